package credentials

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
)

func password(user string) Credential {
	return Credential{Username: user, Password: NewSecret(user + "-pw")}
}

// TestSave shows what a file looks like after a login.
func TestSave(t *testing.T) {
	t.Parallel()
	me, id := `{"auth":"`+basic("me")+`"}`, `{"auth":"PHRva2VuPjo=","identitytoken":"id"}`
	for name, test := range map[string]struct {
		name, file, registry string
		credential           Credential
		want                 string
	}{
		"an empty file": {want: "{\n\t\"auths\": {\n\t\t\"quay.io\": " + me + "\n\t}\n}\n"},
		"an empty object": {
			file: "{\n}\n",
			want: "{\n\t\"auths\": {\n\t\t\"quay.io\": " + me + "\n\t}\n}\n",
		},
		"no auths": {
			file: "{ \"x\" : [1,  2] }",
			want: "{\n\t\"auths\": {\n\t\t\"quay.io\": " + me + "\n\t}, \"x\" : [1,  2] }",
		},
		"auths that are null": {
			file: `{"a":1,"auths":null,"b":1}`,
			want: "{\"a\":1,\"auths\":{\n\t\t\"quay.io\": " + me + "\n\t},\"b\":1}",
		},
		"every other byte stays": {
			file: "\n{\"HttpHeaders\":{ \"a\":1.50e+00 }, \"\\u0061uths\" : {\"other.io\":{ \"auth\" :\"eDp5\", \"email\":null}},\r\n  \"credHelpers\":{\"z.io\":\"z\"}, \"ps\\u0046ormat\":\"\\/<>\" } ",
			want: "\n{\"HttpHeaders\":{ \"a\":1.50e+00 }, \"\\u0061uths\" : {\n\t\t\"other.io\": { \"auth\" :\"eDp5\", \"email\":null},\n\t\t\"quay.io\": " + me + "\n\t},\r\n  \"credHelpers\":{\"z.io\":\"z\"}, \"ps\\u0046ormat\":\"\\/<>\" } ",
		},
		"again": {
			file: "{\"auths\":{\"quay.io\":{\"auth\":\"eDp5\",\"email\":\"a@b\"},\"other.io\":{}}}",
			want: "{\"auths\":{\n\t\t\"other.io\": {},\n\t\t\"quay.io\": " + me + "\n\t}}",
		},
		"as another program wrote it": {
			file: `{"auths":{"https://quay.io/v1/":{"auth":"eDp5"},"quay.io":{}}}`,
			want: "{\"auths\":{\n\t\t\"https://quay.io/v1/\": " + me + "\n\t}}",
		},
		"a namespace": {
			file: `{"auths":{"quay.io":{}}}`, registry: "quay.io/a/b",
			want: "{\"auths\":{\n\t\t\"quay.io\": {},\n\t\t\"quay.io/a/b\": " + me + "\n\t}}",
		},
		"Docker Hub": {file: "{}", registry: "docker.io", want: "{\n\t\"auths\": {\n\t\t\"docker.io\": " + me + "\n\t}}"},
		"Docker Hub in Docker's file": {
			name: "config.json", file: "{}", registry: "docker.io",
			want: "{\n\t\"auths\": {\n\t\t\"https://index.docker.io/v1/\": " + me + "\n\t}}",
		},
		"a namespace of Docker Hub in Docker's file": {
			name: "config.json", file: "{}", registry: "index.docker.io/team",
			want: "{\n\t\"auths\": {\n\t\t\"docker.io/team\": " + me + "\n\t}}",
		},
		"an identity token": {
			file: "{}", credential: Credential{RefreshToken: NewSecret("id")},
			want: "{\n\t\"auths\": {\n\t\t\"quay.io\": " + id + "\n\t}}",
		},
		"an access token": {
			file: "{}", credential: Credential{AccessToken: NewSecret("tok")},
			want: "{\n\t\"auths\": {\n\t\t\"quay.io\": {\"registrytoken\":\"tok\"}\n\t}}",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.name == "" {
				test.name = "auth.json"
			}
			if test.registry == "" {
				test.registry = "quay.io"
			}
			if test.credential.IsEmpty() {
				test.credential = password("me")
			}
			file := filepath.Join(tree{test.name: test.file}.Write(t), test.name)
			k := New(Options{AuthFile: file})
			where, err := k.Save(t.Context(), test.registry, test.credential)
			if err != nil || where != file {
				t.Fatalf("in %s, %v", where, err)
			}
			got, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			host, path, _ := strings.Cut(test.registry, "/")
			if c, err := k.Get(t.Context(), host, path); err != nil || shown(c) != shown(test.credential) {
				t.Errorf("read again: %q, %v", shown(c), err)
			}
			if _, err := k.Erase(t.Context(), test.registry); err != nil {
				t.Error(err)
			}
			if c, err := k.Get(t.Context(), host, path); err != nil || !c.IsEmpty() {
				t.Errorf("after it was erased: %q, %v", shown(c), err)
			}
		})
	}
}

// TestErase shows what a file looks like after a logout, and what is an error.
func TestErase(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file, registry string
		want, err      string
	}{
		"the one entry":            {file: `{"auths": {"quay.io":{"auth":"eDp5"}}, "x":1}`, want: `{"auths": {}, "x":1}`},
		"one of several":           {file: `{"auths":{"a.io":{ },"quay.io":{},"b.io":{ }}}`, want: "{\"auths\":{\n\t\t\"a.io\": { },\n\t\t\"b.io\": { }\n\t}}"},
		"all its keys":             {file: `{"auths":{"https://quay.io":{},"quay.io":{},"quay.io/a":{}}}`, want: "{\"auths\":{\n\t\t\"quay.io/a\": {}\n\t}}"},
		"a namespace":              {file: `{"auths":{"quay.io":{},"quay.io/a":{}}}`, registry: "quay.io/a", want: "{\"auths\":{\n\t\t\"quay.io\": {}\n\t}}"},
		"all keys of Docker Hub":   {file: `{"auths":{"docker.io":{},"https://index.docker.io/v1/":{},"registry-1.docker.io":{}}}`, registry: "docker.io", want: `{"auths":{}}`},
		"none":                     {file: `{"auths":{"a.io":{ }}}`, err: "there is no credential for quay.io"},
		"none, and no file":        {file: "-", err: "there is no credential for quay.io"},
		"of a wider scope":         {file: `{"auths":{"quay.io":{"auth":"eDp5"}}}`, registry: "quay.io/a", err: "auth.json, which is left alone"},
		"in a file that is broken": {file: `{"auths":{"quay.io":` + canary, err: "is not JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := tree{"auth.json": test.file}.Write(t)
			file := filepath.Join(root, "auth.json")
			if test.file == "-" {
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
			}
			if test.registry == "" {
				test.registry = "quay.io"
			}
			where, err := New(Options{AuthFile: file}).Erase(t.Context(), test.registry)
			checkError(t, err, test.err, func(err error) bool { return errdefs.IsNotFound(err) || errdefs.IsInvalidArgument(err) })
			if err != nil {
				test.want = test.file
			} else if !cmp.Equal(where, []string{file}) {
				t.Errorf("in %q", where)
			}
			got, err := os.ReadFile(file)
			if err != nil && test.file != "-" {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimPrefix(test.want, "-"), string(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestSaveRefused shows what is not saved, and that nothing changes then.
func TestSaveRefused(t *testing.T) {
	t.Parallel()
	look := helpers(t, "test", "broken", "empty")
	me := password(canary)
	for name, test := range map[string]struct {
		file       string
		helpers    []string
		registry   string
		credential Credential
		err        string
		kind       func(error) bool
	}{
		"nothing":                      {err: "nothing secret", kind: errdefs.IsInvalidArgument},
		"a user alone":                 {credential: Credential{Username: canary}, err: "nothing secret", kind: errdefs.IsInvalidArgument},
		"what is not UTF-8":            {credential: Credential{Username: "a", Password: NewSecret(canary + "\xff")}, err: "not UTF-8", kind: errdefs.IsInvalidArgument},
		"a user with a colon":          {credential: Credential{Username: "a:b", Password: NewSecret(canary)}, err: "has a colon", kind: errdefs.IsInvalidArgument},
		"a repository with a tag":      {registry: "quay.io/a:v1", credential: me, err: "repository name", kind: errdefs.IsInvalidArgument},
		"into a file that is broken":   {file: canary, credential: me, err: "is not JSON", kind: errdefs.IsInvalidArgument},
		"into a list":                  {file: "[]", credential: me, err: "is an array", kind: errdefs.IsInvalidArgument},
		"into what is ambiguous":       {file: `{"auths":{},"auths":{}}`, credential: me, err: "twice", kind: errdefs.IsInvalidArgument},
		"into a file that gets large":  {file: `{"x":"` + strings.Repeat("x", 1<<20-20) + `"}`, credential: me, err: "could not be read again", kind: errdefs.IsResourceExhausted},
		"where a helper fails":         {helpers: []string{"broken", FilesHelper}, credential: me, err: "docker-credential-broken store", kind: errdefs.IsFailedPrecondition},
		"where a helper says no":       {helpers: []string{"empty"}, credential: me, err: "docker-credential-empty store", kind: errdefs.IsNotFound},
		"where a helper is not there":  {file: `{"credsStore":"gone"}`, credential: me, err: "docker-credential-gone", kind: errdefs.IsFailedPrecondition},
		"a namespace, with a helper":   {file: `{"credsStore":"test"}`, registry: "quay.io/a", credential: me, err: "keeps credentials of registries", kind: errdefs.IsInvalidArgument},
		"access tokens, with a helper": {file: `{"credsStore":"test"}`, credential: Credential{AccessToken: NewSecret(canary)}, err: "not access tokens", kind: errdefs.IsInvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log strings.Builder
			opts := one(t, test.file)
			opts.Helpers, opts.LookPath, opts.Logger = test.helpers, look, logTo(&log)
			if test.registry == "" {
				test.registry = "quay.io"
			}
			where, err := New(opts).Save(t.Context(), test.registry, test.credential)
			checkError(t, err, test.err, test.kind)
			if where != "" {
				t.Errorf("saved in %s", where)
			}
			if got, err := os.ReadFile(opts.AuthFile); err != nil || string(got) != test.file {
				t.Errorf("the file has changed: %.100s, %v", got, err)
			}
			if leaks(log.String()) {
				t.Errorf("logged: %s", log.String())
			}
		})
	}
}

// TestHelperRoundTrip shows a login and a logout with a helper that works.
func TestHelperRoundTrip(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file    string
		helpers []string
	}{
		"first of all":          {helpers: []string{"test", FilesHelper}},
		"for the registry":      {file: `{"credHelpers":{"quay.io":"test","docker.io":"test"}}`},
		"for all, with a trace": {file: `{"credsStore":"test","auths":{"quay.io":{},"https://index.docker.io/v1/":{}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := one(t, test.file)
			opts.Helpers, opts.LookPath = test.helpers, helpers(t, "test")
			k := New(opts)
			for _, host := range []string{"quay.io", "docker.io"} {
				for _, c := range []Credential{password("me"), {RefreshToken: NewSecret(canary)}} {
					where, err := k.Save(t.Context(), host, c)
					if err != nil || where != "docker-credential-test" {
						t.Fatalf("in %q, %v", where, err)
					}
					if got, err := k.Get(t.Context(), host, "a"); err != nil || shown(got) != shown(c) {
						t.Errorf("%s: got %q, %v, want %q", host, shown(got), err, shown(c))
					}
				}
				if got, err := os.ReadFile(opts.AuthFile); err != nil || string(got) != test.file {
					t.Errorf("the file has changed: %s, %v", got, err)
				}
				where, err := k.Erase(t.Context(), host)
				if err != nil || where[0] != "docker-credential-test" || len(where) > 1 != strings.Contains(test.file, "auths") {
					t.Errorf("%s: erased in %q, %v", host, where, err)
				}
				if c, err := k.Get(t.Context(), host, "a"); err != nil || !c.IsEmpty() {
					t.Errorf("%s: after it was erased: %q, %v", host, shown(c), err)
				}
				test.file = readString(t, opts.AuthFile)
				if _, err := k.Erase(t.Context(), host); !errdefs.IsNotFound(err) {
					t.Errorf("%s: erased twice: %v", host, err)
				}
			}
		})
	}
}

func readString(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestModes shows that nobody else can read what was saved.
func TestModes(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("needs modes of files")
	}
	mode := func(path string) fs.FileMode {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode()
	}
	root := tree{"open.json": "{}", "closed.json": "{}", "kept.json": "{}", "target/real.json": "{}"}.Write(t)
	in := func(name string) string { return filepath.Join(root, name) }
	save := func(name string) error {
		_, err := New(Options{AuthFile: in(name)}).Save(t.Context(), "quay.io", password("me"))
		return err
	}
	for name, before := range map[string]fs.FileMode{"open.json": 0o664, "closed.json": 0o400} {
		if err := os.Chmod(in(name), before); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"new/dir/auth.json", "open.json", "kept.json"} {
		if err := save(name); err != nil || mode(in(name)) != 0o600 {
			t.Errorf("%s: %v, %v", name, mode(in(name)), err)
		}
	}
	for _, dir := range []string{"new", "new/dir"} {
		if got := mode(in(dir)); got.Perm() != 0o700 {
			t.Errorf("%s: %v", dir, got)
		}
	}
	if err := save("closed.json"); !errdefs.IsPermissionDenied(err) || mode(in("closed.json")) != 0o400 || readString(t, in("closed.json")) != "{}" {
		t.Errorf("a file that is read-only: %v, %v", mode(in("closed.json")), err)
	}
	for link, to := range map[string]string{"link.json": "target/real.json", "nowhere.json": "target/none.json"} {
		if err := os.Symlink(to, in(link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := save("link.json"); err != nil || mode(in("link.json")).Type() != fs.ModeSymlink || !strings.Contains(readString(t, in("target/real.json")), "quay.io") {
		t.Errorf("a link: %v, %v", mode(in("link.json")), err)
	}
	if err := save("nowhere.json"); !errdefs.IsInvalidArgument(err) {
		t.Errorf("a link to nothing: %v", err)
	}
	entries, err := os.ReadDir(in("target"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "real.json" && e.Name() != ".real.json.lock" {
			t.Errorf("%s was left behind", e.Name())
		}
	}
}

const (
	loginProcesses = 4
	loginsEach     = 8
)

// loginMain is a process that logs in to some registries, at the same time.
func loginMain(file string) int {
	var wg sync.WaitGroup
	failed := make(chan error, loginsEach)
	for i := range loginsEach {
		wg.Go(func() {
			registry := fmt.Sprintf("r%s-%d.test", os.Getenv("TEST_LOGIN_NUMBER"), i)
			if _, err := New(Options{AuthFile: file}).Save(context.Background(), registry, password("me")); err != nil {
				failed <- err
			}
		})
	}
	wg.Wait()
	close(failed)
	for err := range failed {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// TestConcurrentLogins shows that of logins at the same time, in several processes
// and several in each, none is lost, while others read.
func TestConcurrentLogins(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "new", "auth.json")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for n := range loginProcesses {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), self)
			cmd.Env = append(os.Environ(), "TEST_LOGIN_FILE="+file, fmt.Sprint("TEST_LOGIN_NUMBER=", n))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("process %d: %v: %s", n, err, out)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	k := New(Options{AuthFile: file})
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
		}
		if _, err := k.Get(t.Context(), "r0-0.test", ""); err != nil && !errdefs.IsNotFound(err) {
			t.Fatal(err)
		}
	}
	for n := range loginProcesses {
		for i := range loginsEach {
			registry := fmt.Sprintf("r%d-%d.test", n, i)
			if c, err := k.Get(t.Context(), registry, ""); err != nil || c.IsEmpty() {
				t.Errorf("%s is lost: %v", registry, err)
			}
		}
	}
}
