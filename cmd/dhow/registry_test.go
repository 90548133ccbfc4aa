package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dhowhq/dhow/internal/testregistry"
)

// canary is a password that must show up nowhere.
const canary = "correct-horse-battery"

// newRegistry starts a registry that wants a login, and returns its host and port.
func newRegistry(t *testing.T) string {
	t.Helper()
	inner := testregistry.GGCRWithReferrers(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != canary {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// TestRegistry copies to, between and from registries, and inspects what is there.
func TestRegistry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := newRegistry(t), newRegistry(t)
	creds := "me:" + canary
	from, to := []string{"--src-creds", creds, "--src-tls-verify=false"}, []string{"--dest-creds", creds, "--dest-tls-verify=false"}
	source := "oci:layout:latest"
	root := w.root(t, source)
	w.must(t, slices.Concat([]string{"copy", source, "docker://" + one + "/team/app:1"}, to)...)
	out := w.must(t, slices.Concat([]string{"copy", "docker://" + one + "/team/app:1", "docker://" + two + "/app:2"}, from, to)...)
	if !strings.Contains(out, root.String()) {
		t.Errorf("standard output is %q, want the digest %s", out, root)
	}
	w.must(t, slices.Concat([]string{"copy", "docker://" + two + "/app:2@" + root.String(), "oci:back:x"}, from)...)
	if got := w.root(t, "oci:back:x"); got != root {
		t.Errorf("it came back as %s, went as %s", got, root)
	}
	tree := w.must(t, "inspect", "--creds", creds, "--tls-verify=false", "docker://"+two+"/app:2")
	if !strings.Contains(tree, root.String()) || !strings.Contains(tree, "referrer") {
		t.Errorf("tree\n%s", tree)
	}
}

// TestRegistryLists lists and deletes what is in a registry.
func TestRegistryLists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := newRegistry(t)
	flags := []string{"--creds", "me:" + canary, "--tls-verify=false"}
	root := w.root(t, "oci:layout:latest")
	w.must(t, "copy", "-q", "oci:layout:latest", "docker://"+host+"/team/app:1", "--dest-creds", "me:"+canary, "--dest-tls-verify=false")
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"tags", "docker://" + host + "/team/app"}, []string{"1\n"}},
		{[]string{"tags", "--json", host + "/team/app"}, []string{`"1"`}},
		{[]string{"repos", host}, []string{"team/app\n"}},
		{[]string{"repos", "--json", host}, []string{`["team/app"`}},
		{[]string{"referrers", "docker://" + host + "/team/app:1"}, []string{"ARTIFACT TYPE", "sha256:"}},
		{[]string{"referrers", "--json", "docker://" + host + "/team/app:1"}, []string{`"artifactType"`}},
		{[]string{"delete", "--tag-only", "docker://" + host + "/team/app:1"}, []string{"team/app:1\n"}},
		{[]string{"delete", "docker://" + host + "/team/app@" + root.String()}, []string{root.String() + "\n"}},
	} {
		got := w.must(t, append(slices.Clone(tt.args), flags...)...)
		for _, want := range tt.want {
			if !strings.Contains(got, want) {
				t.Errorf("dhow %q printed %q, want %q", tt.args, got, want)
			}
		}
	}
	r := w.run(t, append([]string{"inspect", "docker://" + host + "/team/app@" + root.String()}, flags...)...)
	if r.code != 2 {
		t.Errorf("what was deleted is there: %d, %s", r.code, r.stderr)
	}
}

// TestLogin logs in, copies with what was kept, and logs out.
func TestLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := newRegistry(t)
	file := filepath.Join(w.dir, "auth.json")
	if r := w.runWith(t, "wrong\n", "login", "-u", "me", "--password-stdin", "--tls-verify=false", "--authfile", file, host); r.code != 1 || strings.Contains(r.stderr, "wrong") {
		t.Errorf("a wrong password: %d, %s", r.code, r.stderr)
	}
	if r := w.runWith(t, canary+"\n", "login", "-u", "me", "--password-stdin", "--tls-verify=false", "--authfile", file, host); r.code != 0 || !strings.Contains(r.stdout, file) {
		t.Fatalf("login: %d, %s%s", r.code, r.stdout, r.stderr)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of credentials: %v, %v", info, err)
	}
	w.must(t, "copy", "-q", "oci:layout:single", "docker://"+host+"/app:1", "--dest-tls-verify=false", "--authfile", file)
	w.must(t, "logout", "--authfile", file, host)
	if r := w.run(t, "copy", "-q", "oci:layout:single", "docker://"+host+"/app:2", "--dest-tls-verify=false", "--authfile", file); r.code != 1 {
		t.Errorf("after logout: %d", r.code)
	}
	if r := w.run(t, "login", "-u", "me", host); r.code != 1 || !strings.Contains(r.stderr, "--password-stdin") {
		t.Errorf("no terminal: %d, %s", r.code, r.stderr)
	}
}

// TestRegistryErrors checks exit codes, and that no secret is told.
func TestRegistryErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := newRegistry(t)
	inspect := func(args ...string) []string { return append([]string{"inspect", "--creds", "me:" + canary}, args...) }
	for name, tt := range map[string]struct {
		args []string
		code int
		text string
	}{
		"nothing of that name": {inspect("--tls-verify=false", "docker://"+host+"/none:1"), 2, "404"},
		"a wrong password":     {[]string{"inspect", "--creds", "me:" + canary + "!", "--tls-verify=false", "docker://" + host + "/app"}, 1, "401"},
		"no login":             {[]string{"inspect", "--no-creds", "--tls-verify=false", "docker://" + host + "/app"}, 1, "401"},
		"no TLS there":         {inspect("docker://" + host + "/app"), 1, "TLS"},
		"both logins":          {inspect("--no-creds", "docker://"+host+"/app"), 1, "no-creds"},
		"half a login":         {[]string{"inspect", "--creds", canary, "docker://" + host + "/app"}, 1, "no terminal to ask for a password"},
		"of a layout":          {inspect("oci:layout:latest"), 1, "--creds goes with docker: only"},
		"no slashes":           {[]string{"copy", "docker:busybox", "oci:out:x"}, 1, "does not start with //"},
		"an upper-case name":   {[]string{"inspect", "docker://example.com/UPPER"}, 1, "invalid argument"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := w.run(t, append([]string{"--log-level", "debug"}, tt.args...)...)
			if r.code != tt.code || !strings.Contains(r.stderr, tt.text) {
				t.Errorf("exit code %d, standard error %q; want %d and %q", r.code, r.stderr, tt.code, tt.text)
			}
			if strings.Contains(r.stderr+r.stdout, canary) {
				t.Errorf("the secret was told: %s", r.stderr)
			}
		})
	}
}
