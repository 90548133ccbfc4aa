package wire_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	client "github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/registry/credentials"
	"github.com/dhowhq/dhow/registry/hosts"
	"github.com/dhowhq/dhow/registry/wire"
)

// misbehaviour is a registry that does what it should not, asked by the whole client:
// what has to come of it, by how many requests, and after how long on the clock of a
// bubble.
type misbehaviour struct {
	name     string
	secure   bool         // the registry speaks TLS
	registry http.Handler // registry.example
	other    http.Handler // store.example, by https and by http
	names    map[string]string
	opts     client.Options
	cert     func(t *testing.T, a wire.Authority) tls.Certificate // of the registry; nil is a good one
	do       func(ctx context.Context, p *parties) error

	kind     error // nil: there is no error
	says     []string
	requests int // to the registry
	others   int // to the other host
	elapsed  time.Duration
}

// parties are the client, and those that it asks.
type parties struct {
	t               *testing.T
	client          *client.Client
	registry, other *party
}

// party is a server that notes what it was asked.
type party struct {
	mu    sync.Mutex
	lines []string // METHOD URI, and the range
	given []string // header fields that are secret
}

func (p *party) note(r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Range")))
	for _, name := range []string{"Authorization", "Cookie", "Referer"} {
		if r.Header.Get(name) != "" {
			p.given = append(p.given, name)
		}
	}
}

// want checks how often a server was asked.
func (p *party) want(t *testing.T, who string, requests int) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.lines) != requests {
		t.Errorf("%d requests to %s, want %d:\n%s", len(p.lines), who, requests, strings.Join(p.lines, "\n"))
	}
}

// The attempts that a request has, one after the other.
const allAttempts = 500*time.Millisecond + time.Second + 2*time.Second + 4*time.Second

const canary = "cAnArY-77e1"

func runMisbehaviours(t *testing.T, rows []misbehaviour) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) { synctest.Test(t, row.run) })
	}
}

func (row misbehaviour) run(t *testing.T) {
	p := row.parties(t)
	began := time.Now()
	err := row.do(t.Context(), p)
	took := time.Since(began)
	switch {
	case row.kind == nil && err != nil:
		t.Errorf("error: %v", err)
	case !errors.Is(err, row.kind):
		t.Errorf("not of the kind %v: %v", row.kind, err)
	}
	for _, text := range row.says {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("does not say %q: %v", text, err)
		}
	}
	if err != nil && strings.Contains(err.Error(), canary) {
		t.Errorf("it tells a secret: %v", err)
	}
	p.registry.want(t, "the registry", row.requests)
	p.other.want(t, "the other host", row.others)
	if len(p.other.given) > 0 {
		t.Errorf("the other host got %q", p.other.given)
	}
	if took != row.elapsed {
		t.Errorf("it took %s, want %s", took, row.elapsed)
	}
}

// parties starts the servers, and makes the client.
func (row misbehaviour) parties(t *testing.T) *parties {
	t.Helper()
	ca := wire.NewAuthority(t)
	n := &network{names: row.names, sites: map[string]chan net.Conn{}}
	p := &parties{t: t, registry: &party{}, other: &party{}}
	year := time.Now().AddDate(1, 0, 0)
	if row.secure {
		cert := ca.Issue(t, "registry.example", year)
		if row.cert != nil {
			cert = row.cert(t, ca)
		}
		n.listen(t, "registry.example:443", &cert, p.registry, row.registry)
	} else {
		n.listen(t, "registry.example:80", nil, p.registry, row.registry)
	}
	cert := ca.Issue(t, "store.example", year)
	n.listen(t, "store.example:443", &cert, p.other, row.other)
	n.listen(t, "store.example:80", nil, p.other, row.other)

	server := "http://registry.example"
	if row.secure {
		server = "https://registry.example"
	}
	opts := row.opts
	opts.Hosts = hostsTOML(t, server)
	opts.Wire.TLS = func(wire.Origin) (*tls.Config, error) { return &tls.Config{RootCAs: ca.Pool()}, nil }
	opts.Wire = wire.InMemory(opts.Wire, n.dial)
	store, err := credentials.Static("registry.example", credentials.Credential{Username: "user", Password: credentials.NewSecret(canary)})
	if err != nil {
		t.Fatal(err)
	}
	opts.Credentials = store
	if p.client, err = client.NewClient(opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.client.Close)
	return p
}

// hostsTOML has the registry be at a server.
func hostsTOML(t *testing.T, server string) *hosts.Config {
	t.Helper()
	certs := t.TempDir()
	file := filepath.Join(certs, "registry.example", "hosts.toml")
	if err := errors.Join(os.Mkdir(filepath.Dir(file), 0o700), os.WriteFile(file, fmt.Appendf(nil, "server = %q\n", server), 0o600)); err != nil {
		t.Fatal(err)
	}
	c, err := hosts.Load(hosts.Options{CertsDirs: []string{certs}, Root: t.TempDir(), Home: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
