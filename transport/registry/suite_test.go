package registry_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	client "github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/registry"
	"github.com/dhowhq/dhow/transport/transporttest"
)

func TestSuite(t *testing.T) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			handler := server(t) // one for all: some never end all that they began
			suite(t, transporttest.Factory{Cannot: cannot(name)}, func(tb testing.TB) (string, *client.Client) {
				tb.Helper()
				return serve(tb, handler).Listener.Addr().String(), newClient(tb)
			})
		})
	}
}

// suite runs the suite against servers, of which each place opens one, or the same one
// again, and has a repository of its own.
func suite(t *testing.T, f transporttest.Factory, open func(tb testing.TB) (host string, c *client.Client)) {
	t.Helper()
	var places atomic.Int64
	f.New = func(tb testing.TB) transporttest.Place {
		tb.Helper()
		host, c := open(tb)
		opts, number := registry.Options{Client: c}, places.Add(1)
		named := func(tag string) registry.Reference {
			return reference(tb, fmt.Sprintf("%s/team/app%d:%s", host, number, tag))
		}
		tag, missing := named("tag"), named("missing")
		source := func(r registry.Reference) func(context.Context) (transport.Source, error) {
			return func(ctx context.Context) (transport.Source, error) { return registry.OpenSource(ctx, r, opts) }
		}
		return transporttest.Place{
			Destination: func(ctx context.Context) (transport.Destination, error) {
				return registry.OpenDestination(ctx, tag, opts)
			},
			Source:  source(tag),
			Missing: source(missing),
		}
	}
	transporttest.Run(t, f)
}

// cannot says what a kind of server cannot hold.
func cannot(name string) transporttest.Cannot {
	c := transporttest.Cannot{
		Signatures: "a registry has no simple signatures",
		SHA384:     "no server takes it",
	}
	switch name {
	case "ggcr":
		c.SHA512 = "what a tag points at is known by its sha256"
	case "distribution":
		c.SHA512 = "the server takes manifests by their sha256 only"
		c.Opaque = "the server wants entries to be manifests"
	}
	return c
}
