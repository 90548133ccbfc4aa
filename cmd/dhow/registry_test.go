package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
)

// canary is a password that must show up nowhere.
const canary = "correct-horse-battery"

// newRegistry starts a registry that wants a login, and returns its host and port.
func newRegistry(t *testing.T) string {
	t.Helper()
	inner := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)), ggcr.WithReferrersSupport(true))
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
		"half a login":         {[]string{"inspect", "--creds", canary, "docker://" + host + "/app"}, 1, "USER:PASSWORD"},
		"of a layout":          {inspect("oci:layout:latest"), 1, "docker: only"},
		"no slashes":           {[]string{"inspect", "docker:busybox"}, 1, "does not start with //"},
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
