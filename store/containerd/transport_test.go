package containerd

import (
	"context"
	"testing"

	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/store"
	"github.com/dhowhq/dhow/transport/transporttest"
)

// TestTransport runs the suite of all transports on images of a real containerd.
func TestTransport(t *testing.T) {
	d := running(t)
	transporttest.Run(t, transporttest.Factory{
		New: func(tb testing.TB) transporttest.Place {
			tb.Helper()
			return images(tb, d)
		},
		Cannot: transporttest.Cannot{Signatures: "a store has no place for them"},
		Many:   30,
	})
}

// images is an image of a new namespace of a daemon.
func images(tb testing.TB, d *daemon) transporttest.Place {
	tb.Helper()
	s, err := Open(tb.Context(), d.address(newNamespace()), Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { transporttest.Close(tb, s) })
	source := func(details string) func(context.Context) (transport.Source, error) {
		return func(ctx context.Context) (transport.Source, error) {
			ref, err := store.Parse(details)
			if err != nil {
				return nil, err
			}
			src, err := store.OpenSource(ctx, ref, store.Options{Store: s})
			if err != nil {
				return nil, err // not a nil *Source in the interface
			}
			return src, nil
		}
	}
	return transporttest.Place{
		Destination: func(ctx context.Context) (transport.Destination, error) {
			ref, err := store.Parse("app:1")
			if err != nil {
				return nil, err
			}
			dst, err := store.OpenDestination(ctx, ref, store.Options{Store: s})
			if err != nil {
				return nil, err
			}
			return dst, nil
		},
		Source:  source("app:1"),
		Missing: source("missing"),
	}
}
