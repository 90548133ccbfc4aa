package registry_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testregistry"
	"github.com/dhowhq/dhow/internal/testregistry/distribution"
	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/registry/hosts"
)

// kind is one of the registries that the suite is run against.
type kind struct {
	name     string
	api      bool // has the referrers API
	untags   bool // deletes tags by themselves
	children bool // refuses a manifest whose blobs are not there
	start    func(tb testing.TB) http.Handler
	remote   func(t *testing.T) server // instead of start, if it is no handler
}

// server is a registry of which it is known what it was asked.
type server interface {
	host() string
	asked() []string // since it was called last
	client(t *testing.T) *registry.Client
}

// open starts the registry.
func (k kind) open(t *testing.T) server {
	t.Helper()
	if k.remote != nil {
		return k.remote(t)
	}
	return listen(t, k.start(t))
}

func kinds() []kind {
	return []kind{
		{name: "olareg", api: true, untags: true, children: true, start: testregistry.Olareg},
		{name: "ggcr with referrers", api: true, untags: true, start: testregistry.GGCRWithReferrers},
		{name: "ggcr without", untags: true, start: testregistry.GGCR},
		{name: "distribution", untags: true, children: true, start: distribution.New},
	}
}

// site is a handler on a port of its own, and what it was asked.
type site struct {
	*httptest.Server
	mu  sync.Mutex
	log []string
}

func listen(t *testing.T, h http.Handler) *site {
	t.Helper()
	s := newSite(h)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func listenTLS(t *testing.T, h http.Handler) *site {
	t.Helper()
	s := newSite(h)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func newSite(h http.Handler) *site {
	s := &site{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.log = append(s.log, r.Method+" "+r.URL.RequestURI())
		s.mu.Unlock()
		h.ServeHTTP(w, r)
	}))
	// What a client refuses on purpose is no news.
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	return s
}

// host returns the site's host:port.
func (s *site) host() string { return s.Listener.Addr().String() }

// asked returns the requests since it was called last.
func (s *site) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.log
	s.log = nil
	return all
}

// logged is where everything goes that is logged in a test.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// logger returns a logger of everything.
func (l *logged) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// configure reads a registries.conf.
func configure(t *testing.T, conf string) *hosts.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "registries.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := hosts.Load(hosts.Options{RegistriesConf: file, CertsDirs: []string{}, Root: t.TempDir(), Home: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// hostsTOML reads a hosts.toml for a host.
func hostsTOML(t *testing.T, host, toml string) *hosts.Config {
	t.Helper()
	certs := t.TempDir()
	if err := os.Mkdir(filepath.Join(certs, host), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(certs, host, "hosts.toml"), []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := hosts.Load(hosts.Options{CertsDirs: []string{certs}, Root: t.TempDir(), Home: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// insecure is the registries.conf that allows http to hosts.
func insecure(names ...string) string {
	var b strings.Builder
	for _, h := range names {
		fmt.Fprintf(&b, "[[registry]]\nlocation = %q\ninsecure = true\n", h)
	}
	return b.String()
}

func newClient(t *testing.T, opts registry.Options) *registry.Client {
	t.Helper()
	c, err := registry.NewClient(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// clientOf returns a client that may ask sites by http.
func clientOf(t *testing.T, sites ...*site) *registry.Client {
	t.Helper()
	var all []string
	for _, s := range sites {
		all = append(all, s.host())
	}
	return newClient(t, registry.Options{Hosts: configure(t, insecure(all...))})
}

func repository(t *testing.T, c *registry.Client, name string, use hosts.Use) *registry.Repository {
	t.Helper()
	r, err := c.Repository(parse(t, name), use)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func parse(t *testing.T, name string) ref.Reference {
	t.Helper()
	r, err := ref.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// descriptor returns that of data.
func descriptor(mediaType string, data []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
}

// emptyIndex is an index without entries, which needs nothing else.
func emptyIndex(note string) (ocispec.Descriptor, []byte) {
	data := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[],"annotations":{"note":%q}}`, ocispec.MediaTypeImageIndex, note)
	return descriptor(ocispec.MediaTypeImageIndex, data), data
}

// pushed puts an index under tags and returns it.
func pushed(t *testing.T, r *registry.Repository, note string, tags ...string) (ocispec.Descriptor, []byte) {
	t.Helper()
	desc, data := emptyIndex(note)
	for _, tag := range tags {
		if err := r.Put(t.Context(), desc, data, tag); err != nil {
			t.Fatal(err)
		}
	}
	return desc, data
}

// client is clientOf of the site alone.
func (s *site) client(t *testing.T) *registry.Client {
	t.Helper()
	return clientOf(t, s)
}

// clientOnce is clientOf, and asks once only.
func clientOnce(t *testing.T, s *site) *registry.Client {
	t.Helper()
	return newClient(t, onceOptions(t, s, &logged{}))
}

// onceOptions are those of clientOnce, with a log.
func onceOptions(t *testing.T, s *site, to *logged) registry.Options {
	t.Helper()
	opts := registry.Options{Hosts: configure(t, insecure(s.host())), Logger: to.logger()}
	opts.Wire.Attempts = -1
	return opts
}
