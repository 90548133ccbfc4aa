package hosts

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dhowhq/dhow/internal/testtree"
	"github.com/dhowhq/dhow/ref"
)

const (
	digest1 = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	digest2 = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

	system = "etc/containers/registries.conf"
)

type (
	tree = testtree.Tree
	env  = testtree.Env
)

// options are those of a machine that has these files alone.
func options(root string, log *strings.Builder) Options {
	uid := 0
	opts := Options{Root: root, UID: &uid}
	if log != nil {
		opts.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return opts
}

func mustLoad(t *testing.T, opts Options) *Config {
	t.Helper()
	c, err := Load(opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustParse(t *testing.T, s string) ref.Reference {
	t.Helper()
	r, err := ref.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// shown writes an endpoint so that a table can have it. Paths are those below
// root.
func shown(e Endpoint, root string) string {
	below := func(name string) string {
		return filepath.ToSlash(strings.TrimPrefix(name, root+string(filepath.Separator)))
	}
	s := e.URL() + " " + e.Path
	if e.Tag != "" {
		s += ":" + e.Tag
	}
	for _, ca := range e.TLS.CA {
		s += " ca=" + below(ca)
	}
	for _, c := range e.TLS.Client {
		s += " client=" + below(c.Cert) + "+" + below(c.Key)
	}
	if e.TLS.SkipVerify {
		s += " unverified"
	}
	if e.PlainHTTP {
		s += " or-http"
	}
	if e.Mirror {
		s += " mirror"
	}
	if e.Namespace != "" {
		s += " ns=" + e.Namespace
	}
	if e.DialTimeout != 0 {
		s += " dial=" + e.DialTimeout.String()
	}
	if e.Proxy != nil {
		s += " proxy=" + e.Proxy.Host
	}
	for key, values := range e.Header {
		s += fmt.Sprintf(" %s=%s", key, strings.Join(values, ","))
	}
	return s
}

// asked is a name and what comes out for it.
type asked struct {
	name string
	use  Use
	want []string // the endpoints, or
	err  string   // a part of the error
}

// check compares the endpoints of names on a machine with these files.
func check(t *testing.T, opts Options, rows ...asked) {
	t.Helper()
	c := mustLoad(t, opts)
	for _, row := range rows {
		var endpoints []Endpoint
		var err error
		if host, ok := strings.CutSuffix(row.name, "/*"); ok {
			endpoints, err = c.HostEndpoints(host, row.use)
		} else {
			endpoints, err = c.Endpoints(mustParse(t, row.name), row.use)
		}
		if row.err != "" {
			if err == nil || !strings.Contains(err.Error(), row.err) {
				t.Errorf("%s %s: error %v, want %q", row.use, row.name, err, row.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s %s: %v", row.use, row.name, err)
			continue
		}
		got := make([]string, 0, len(endpoints))
		for _, e := range endpoints {
			got = append(got, shown(e, opts.Root))
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s %s: (-want +got)\n%s", row.use, row.name, diff)
		}
	}
}

func TestNoConfiguration(t *testing.T) {
	t.Parallel()
	for _, use := range []Use{Pull, Push, List, Delete} {
		suffix := ":latest"
		if use == List {
			suffix = ""
		}
		check(t, options(t.TempDir(), nil),
			asked{name: "busybox", use: use, want: []string{"https://registry-1.docker.io/v2 library/busybox" + suffix}},
			asked{name: "example.com:5000/a/b", use: use, want: []string{"https://example.com:5000/v2 a/b" + suffix}},
			asked{name: "localhost:5000/a", use: use, want: []string{"https://localhost:5000/v2 a" + suffix}},
			asked{name: "[::1]:5000/a", use: use, want: []string{"https://[::1]:5000/v2 a" + suffix}},
			asked{name: "example.com/*", use: use, want: []string{"https://example.com/v2 "}},
			asked{name: "docker.io/*", use: use, want: []string{"https://registry-1.docker.io/v2 "}},
			asked{name: "index.docker.io/*", use: use, want: []string{"https://registry-1.docker.io/v2 "}},
			asked{name: "exa_mple.com/*", use: use, err: `"exa_mple.com" is not a DNS name`},
			asked{name: "user:password@example.com/*", use: use, err: "before an @"},
		)
	}
	c := mustLoad(t, Options{Root: t.TempDir()})
	if _, err := c.Endpoints(ref.Reference{}, Pull); err == nil {
		t.Error("the zero reference has endpoints")
	}
	if _, err := c.Endpoints(mustParse(t, "x"), Use(9)); err == nil || !strings.Contains(err.Error(), "use 9") {
		t.Errorf("a use that there is none of: %v", err)
	}
	if got := c.CredentialHelpers(); !cmp.Equal(got, []string{"containers-auth.json"}) {
		t.Errorf("credential helpers %q", got)
	}
}

// numbered repeats a format for the numbers below n.
func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}
