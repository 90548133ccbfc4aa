package blackbox_test

import (
	"bytes"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/internal/testregistry/process"
)

// user is somebody at a machine whose registry wants a password.
type user struct {
	home     string
	registry *process.Registry
	said     *bytes.Buffer // all that was ever written
}

// runs has them run the binary with that on its standard input, and returns its standard
// output and exit code.
func (u *user) runs(t *testing.T, input string, args ...string) (string, int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), dhow, append([]string{"--log-level", "debug"}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+u.home, "XDG_CONFIG_HOME=", "XDG_RUNTIME_DIR=", "DOCKER_CONFIG=", "REGISTRY_AUTH_FILE=")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	u.said.Write(out.Bytes())
	u.said.Write(errs.Bytes())
	return out.String(), cmd.ProcessState.ExitCode()
}

// trusts has them trust a host: the registry, or the token server that it names.
func (u *user) trusts(t *testing.T, host string) {
	t.Helper()
	dir := filepath.Join(u.home, ".config", "containers", "certs.d", host)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(u.registry.CertDir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.crt"), ca, 0o600); err != nil {
		t.Fatal(err)
	}
}

// does is runs, which has to succeed.
func (u *user) does(t *testing.T, args ...string) string {
	t.Helper()
	before := u.said.Len()
	out, code := u.runs(t, "", args...)
	if code != 0 {
		t.Errorf("dhow %q: exit code %d: %s", args, code, u.said.Bytes()[before:])
	}
	return out
}

// TestRegistryThatWantsPasswords does all there is to do at real registries that are
// asked by TLS and want a password, or a token for one, and looks for the password in
// all that is said of it.
func TestRegistryThatWantsPasswords(t *testing.T) {
	t.Parallel()
	var s testimage.Store
	root := s.Index(s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}}))
	referrer := s.Referrer(root, "application/vnd.example.note", "a note")
	layout := filepath.Join(t.TempDir(), "layout")
	if err := s.WriteLayout(layout, testimage.Named{Name: "x", Desc: root}, testimage.Named{Desc: referrer}); err != nil {
		t.Fatal(err)
	}
	for mode, what := range map[process.Mode]string{process.Basic: "password", process.Token: "token"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			u := &user{home: t.TempDir(), registry: process.Start(t, mode), said: &bytes.Buffer{}}
			u.trusts(t, u.registry.Host)
			if tokens := u.registry.Tokens; tokens != nil {
				realm, err := url.Parse(tokens.Realm)
				if err != nil {
					t.Fatal(err)
				}
				u.trusts(t, realm.Host)
			}
			host, image := u.registry.Host, "docker://"+u.registry.Host+"/team/app"
			if _, code := u.runs(t, "", "copy", "oci:"+layout+":x", image+":1"); code != 1 {
				t.Errorf("without a login: exit code %d", code)
			}
			if _, code := u.runs(t, "wrong-"+process.Password, "login", "-u", process.Username, "--password-stdin", host); code != 1 {
				t.Errorf("with a wrong password: exit code %d", code)
			}
			if _, code := u.runs(t, process.Password, "login", "-u", process.Username, "--password-stdin", host); code != 0 {
				t.Errorf("login: exit code %d", code)
			}
			u.does(t, "copy", "oci:"+layout+":x", image+":1")
			u.does(t, "copy", image+":1", "docker://"+host+"/other/app:2")
			u.does(t, "copy", image+"@"+root.Digest.String(), "oci:"+filepath.Join(u.home, "back")+":x")
			if got := verify(t, filepath.Join(u.home, "back"), "x"); got.Digest != root.Digest {
				t.Errorf("%s came back, want %s", got.Digest, root.Digest)
			}
			if out := u.does(t, "tags", image); !slices.Contains(strings.Fields(out), "1") {
				t.Errorf("tags: %q", out)
			}
			if out := u.does(t, "repos", host); !slices.Equal(strings.Fields(out), []string{"other/app", "team/app"}) {
				t.Errorf("repos: %q", out)
			}
			if out := u.does(t, "referrers", "docker://"+host+"/other/app:2"); !strings.Contains(out, referrer.Digest.String()) {
				t.Errorf("referrers: %q", out)
			}
			u.does(t, "delete", image+":1")
			if _, code := u.runs(t, "", "inspect", image+":1"); code != 2 {
				t.Errorf("what was deleted: exit code %d", code)
			}
			u.does(t, "logout", host)
			if _, code := u.runs(t, "", "inspect", "docker://"+host+"/other/app:2"); code != 1 {
				t.Errorf("after the logout: exit code %d", code)
			}
			if said := u.said.String(); strings.Contains(said, process.Password) || !strings.Contains(said, "http attempt") {
				t.Errorf("the password is said, or nothing of what was asked:\n%s", said)
			}
		})
	}
}
