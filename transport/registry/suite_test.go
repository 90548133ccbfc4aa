package registry_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/registry"
	"github.com/dhowhq/dhow/transport/transporttest"
)

func TestSuite(t *testing.T) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			cannot := transporttest.Cannot{
				Signatures: "a registry has no simple signatures",
				SHA384:     "no server takes it",
			}
			switch name {
			case "ggcr":
				cannot.SHA512 = "what a tag points at is known by its sha256"
			case "distribution":
				cannot.SHA512 = "the server takes manifests by their sha256 only"
				cannot.Opaque = "the server wants entries to be manifests"
			}
			handler := server(t) // one for all: some never end all that they began
			var places atomic.Int64
			transporttest.Run(t, transporttest.Factory{Cannot: cannot, New: func(tb testing.TB) transporttest.Place {
				tb.Helper()
				h, c := serve(tb, handler), newClient(tb)
				repository := fmt.Sprintf("team/app%d", places.Add(1))
				source := func(tag string) func(context.Context) (transport.Source, error) {
					return func(ctx context.Context) (transport.Source, error) {
						return registry.OpenSource(ctx, h.ref(tb, repository+tag), registry.Options{Client: c})
					}
				}
				return transporttest.Place{
					Destination: func(ctx context.Context) (transport.Destination, error) {
						return registry.OpenDestination(ctx, h.ref(tb, repository+":tag"), registry.Options{Client: c})
					},
					Source:  source(":tag"),
					Missing: source(":missing"),
				}
			}})
		})
	}
}
