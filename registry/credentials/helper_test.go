package credentials

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
)

// TestHelpers runs helpers, as processes, that behave in all kinds of ways.
func TestHelpers(t *testing.T) {
	t.Parallel()
	look := helpers(t, "test", "empty", "broken", "garbage", "twice", "number", "nobody", "token", "flood", "hang", "orphan")
	for name, test := range map[string]struct {
		helper string
		want   string
		err    string
		kind   func(error) bool
	}{
		"it has none":              {helper: "empty"},
		"it has nothing to say":    {helper: "nobody"},
		"a token":                  {helper: "token", want: " refresh=" + canary},
		"what it started lingers":  {helper: "orphan", want: "me:" + canary},
		"it fails":                 {helper: "broken", err: "credential helper docker-credential-broken get, named in credential-helpers: exit status 1"},
		"it answers with garbage":  {helper: "garbage", err: "is not an object with Username and Secret", kind: errdefs.IsInvalidArgument},
		"it says something twice":  {helper: "twice", err: "is not an object", kind: errdefs.IsInvalidArgument},
		"its secret is a number":   {helper: "number", err: "is not an object", kind: errdefs.IsInvalidArgument},
		"it answers without end":   {helper: "flood", err: "has more than 1048576 bytes", kind: errdefs.IsResourceExhausted},
		"it does not answer":       {helper: "hang", err: "it was not done after 300ms"},
		"it is not there":          {helper: "missing", err: "executable file not found"},
		"its name is a path":       {helper: "../test", err: `the credential helper "../test", which is not`, kind: errdefs.IsInvalidArgument},
		"its name is another path": {helper: `..\test`, err: "which is not", kind: errdefs.IsInvalidArgument},
		"its name is an option":    {helper: "a b", err: "which is not", kind: errdefs.IsInvalidArgument},
		"its name is a command":    {helper: "a;b", err: "which is not", kind: errdefs.IsInvalidArgument},
		"it has no name":           {helper: "", err: "which is not", kind: errdefs.IsInvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log strings.Builder
			k := New(Options{Helpers: []string{test.helper}, LookPath: look, Logger: logTo(&log)})
			if test.helper == "hang" {
				k.time = 300 * time.Millisecond
			}
			kind := test.kind
			if kind == nil {
				kind = errdefs.IsFailedPrecondition
			}
			c, err := k.Get(t.Context(), "quay.io", "a/b")
			checkError(t, err, test.err, kind)
			if shown(c) != test.want {
				t.Errorf("got %q, want %q", shown(c), test.want)
			}
			if leaks(log.String()) {
				t.Errorf("logged: %s", log.String())
			}
		})
	}
}

// TestHelperIsCancelled shows that a helper that hangs does not keep a caller who
// has given up.
func TestHelperIsCancelled(t *testing.T) {
	t.Parallel()
	k := New(Options{Helpers: []string{"hang"}, LookPath: helpers(t, "hang")})
	ctx, cancel := context.WithCancelCause(t.Context())
	var given time.Time
	time.AfterFunc(200*time.Millisecond, func() {
		given = time.Now()
		cancel(nil)
	})
	_, err := k.Get(ctx, "quay.io", "")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(given); took > time.Second {
		t.Errorf("returned %v after it was cancelled", took)
	}
}

// TestRelativeHelper shows that no program is run that was found by way of the
// working directory.
func TestRelativeHelper(t *testing.T) {
	t.Parallel()
	for _, look := range []func(string) (string, error){
		func(file string) (string, error) { return file, nil },
		func(file string) (string, error) { return "bin/" + file, nil },
		func(file string) (string, error) { return file, &exec.Error{Name: file, Err: exec.ErrDot} },
	} {
		_, err := New(Options{Helpers: []string{"test"}, LookPath: look}).Get(t.Context(), "quay.io", "")
		if !errors.Is(err, exec.ErrDot) || !errdefs.IsFailedPrecondition(err) {
			t.Errorf("got %v", err)
		}
	}
}

// TestHelpersInFiles shows which helper a file names for a registry, and what
// comes after it.
func TestHelpersInFiles(t *testing.T) {
	t.Parallel()
	const other = `"auths":{"quay.io":{"auth":"eDp5"},"other.io":{"auth":"eDp5"},"quay.io/a":{"auth":"eDp5"}}`
	look := helpers(t, "test", "empty", "token", "broken")
	for name, test := range map[string]struct {
		file       string
		helpers    []string
		host, want string
		err        string
	}{
		"for the registry":               {file: `{"credHelpers":{"quay.io":"token"},` + other + `}`, want: " refresh=" + canary},
		"for another registry":           {file: `{"credHelpers":{"quay.io":"token"},` + other + `}`, host: "other.io", want: "x:y"},
		"for all":                        {file: `{"credsStore":"token",` + other + `}`, want: " refresh=" + canary},
		"for the registry, not for all":  {file: `{"credsStore":"broken","credHelpers":{"quay.io":"token"}}`, want: " refresh=" + canary},
		"for all but the registry":       {file: `{"credsStore":"broken","credHelpers":{"quay.io":""},` + other + `}`, want: "x:y"},
		"it stands for the file's auths": {file: `{"credHelpers":{"quay.io":"empty"},` + other + `}`},
		"its failure is no anonymity":    {file: `{"credHelpers":{"quay.io":"broken"},` + other + `}`, err: "docker-credential-broken"},
		"it is not there":                {file: `{"credHelpers":{"quay.io":"gone"},` + other + `}`, err: "docker-credential-gone"},
		"of Docker Hub, by its URL":      {file: `{"credHelpers":{"https://index.docker.io/v1/":"token"}}`, host: "docker.io", want: " refresh=" + canary},
		"of Docker Hub, by its name":     {file: `{"credHelpers":{"docker.io":"token"}}`, host: "registry-1.docker.io", want: " refresh=" + canary},
		"of one registry, twice":         {file: `{"credHelpers":{"https://quay.io":"token","quay.io":"broken"}}`, want: " refresh=" + canary},
		"a helper before the files":      {file: `{` + other + `}`, helpers: []string{"token", FilesHelper}, want: " refresh=" + canary},
		"the files before a helper":      {file: `{` + other + `}`, helpers: []string{FilesHelper, "broken"}, want: "x:y"},
		"a helper after the files":       {file: `{}`, helpers: []string{FilesHelper, "empty", "token"}, want: " refresh=" + canary},
		"a helper without the files":     {file: `{` + other + `}`, helpers: []string{"empty"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := one(t, test.file)
			opts.Helpers, opts.LookPath = test.helpers, look
			host := test.host
			if host == "" {
				host = "quay.io"
			}
			c, err := New(opts).Get(t.Context(), host, "b")
			checkError(t, err, test.err, errdefs.IsFailedPrecondition)
			if shown(c) != test.want {
				t.Errorf("got %q, want %q", shown(c), test.want)
			}
		})
	}
}

// TestHelperInEnvironment shows that a variable counts like a file.
func TestHelperInEnvironment(t *testing.T) {
	t.Parallel()
	vars := env{"DHOW_AUTH_CONFIG": `{"credHelpers":{"quay.io":"token"}}`}
	c, err := New(Options{Root: t.TempDir(), LookupEnv: vars.Lookup, LookPath: helpers(t, "token")}).Get(t.Context(), "quay.io", "")
	if err != nil || shown(c) != " refresh="+canary {
		t.Errorf("%q, %v", shown(c), err)
	}
	vars["DHOW_AUTH_CONFIG"] = canary
	_, err = New(Options{LookupEnv: vars.Lookup}).Get(t.Context(), "quay.io", "")
	checkError(t, err, "credentials in $DHOW_AUTH_CONFIG: document: is not JSON", errdefs.IsInvalidArgument)
}

// TestHelperKeys shows under which name a helper is asked for Docker Hub: the one
// that Docker uses, and then the one that others do.
func TestHelperKeys(t *testing.T) {
	t.Parallel()
	look := helpers(t, "test")
	program, err := look("docker-credential-test")
	if err != nil {
		t.Fatal(err)
	}
	keep := func(server, user string) {
		t.Helper()
		name := filepath.Join(filepath.Dir(program), "kept-"+hex.EncodeToString([]byte(server)))
		text := fmt.Sprintf(`{"ServerURL":%q,"Username":%q,"Secret":"pw"}`, server, user)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k := New(Options{Helpers: []string{"test"}, LookPath: look})
	for _, step := range []struct{ server, user string }{
		{"docker.io", "podman"}, {"https://index.docker.io/v1/", "docker"}, {"index.docker.io", "nobody"},
	} {
		keep(step.server, step.user)
		want := step.user
		if want == "nobody" {
			want = "docker"
		}
		if c, err := k.Get(t.Context(), "registry-1.docker.io", "library/a"); err != nil || c.Username != want {
			t.Errorf("with %s: %q, %v, want %q", step.server, shown(c), err, want)
		}
	}
	if _, err := k.Save(t.Context(), "docker.io", password("saved")); err != nil {
		t.Fatal(err)
	}
	if c, err := k.Get(t.Context(), "docker.io", ""); err != nil || c.Username != "saved" {
		t.Errorf("saved: %q, %v", shown(c), err)
	}
}
