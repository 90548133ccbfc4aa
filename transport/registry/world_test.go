package registry_test

import (
	"context"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory" // a driver registers itself
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"
	"github.com/sirupsen/logrus"

	client "github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/registry/blob"
	"github.com/dhowhq/dhow/registry/hosts"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/registry"
)

func TestMain(m *testing.M) {
	logrus.SetOutput(io.Discard) // distribution logs each request there
	os.Exit(m.Run())
}

// servers make the registries that are tested against: three that behave
// differently.
var servers = map[string]func(tb testing.TB) http.Handler{
	"olareg": func(tb testing.TB) http.Handler {
		tb.Helper()
		s := olareg.New(config.Config{Storage: config.ConfigStorage{StoreType: config.StoreMem}, Log: slog.New(slog.DiscardHandler)})
		tb.Cleanup(func() { _ = s.Close() })
		return s
	},
	"ggcr": func(testing.TB) http.Handler {
		return ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)), ggcr.WithReferrersSupport(true))
	},
	"distribution": func(tb testing.TB) http.Handler {
		tb.Helper()
		app := handlers.NewApp(context.Background(), &configuration.Configuration{Storage: configuration.Storage{
			"inmemory": nil, "delete": {"enabled": true}, "maintenance": {"uploadpurging": map[any]any{"enabled": false}},
		}})
		tb.Cleanup(func() { _ = app.Shutdown() })
		return app
	},
}

// host is a registry that counts what it is asked.
type host struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string
}

func serve(t testing.TB, handler http.Handler) *host {
	t.Helper()
	h := &host{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.requests = append(h.requests, r.Method+" "+r.URL.Path)
		h.mu.Unlock()
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(h.Close)
	return h
}

// asked returns what was asked since the last time.
func (h *host) asked() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	asked := h.requests
	h.requests = nil
	return asked
}

// ref is a reference to a repository of the registry.
func (h *host) ref(t testing.TB, name string) registry.Reference {
	t.Helper()
	r, err := registry.Parse("//" + strings.TrimPrefix(h.URL, "http://") + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// newClient returns a client that takes registries without TLS.
func newClient(t testing.TB) *client.Client {
	t.Helper()
	conf, err := hosts.Load(hosts.Options{Root: t.TempDir(), Verify: hosts.VerifyNever})
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.NewClient(client.Options{Hosts: conf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// pushOptions are those of a plain push.
var pushOptions = blob.PushOptions{}

// opener opens a text.
func opener(text string) transport.Opener {
	return func(_ context.Context, from int64) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text[from:])), nil
	}
}
