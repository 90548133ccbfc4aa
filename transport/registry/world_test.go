package registry_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/dhowhq/dhow/internal/testregistry"
	"github.com/dhowhq/dhow/internal/testregistry/distribution"
	client "github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/registry/blob"
	"github.com/dhowhq/dhow/registry/hosts"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/registry"
)

// servers are the registries that are tested against: three that behave differently.
var servers = map[string]func(tb testing.TB) http.Handler{
	"olareg":       testregistry.Olareg,
	"ggcr":         testregistry.GGCRWithReferrers,
	"distribution": distribution.New,
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
	return reference(t, h.Listener.Addr().String()+"/"+name)
}

// reference is the reference of a name with its registry.
func reference(t testing.TB, name string) registry.Reference {
	t.Helper()
	r, err := registry.Parse("//" + name)
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
