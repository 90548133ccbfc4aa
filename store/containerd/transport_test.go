package containerd

import (
	"testing"

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
	opts := store.Options{Store: s}
	source := transporttest.Sources(store.Parse, store.OpenSource, opts)
	return transporttest.Place{
		Destination: transporttest.Destinations(store.Parse, store.OpenDestination, opts)("app:1"),
		Source:      source("app:1"),
		Missing:     source("missing"),
	}
}
