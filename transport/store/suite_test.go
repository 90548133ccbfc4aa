package store_test

import (
	"path/filepath"
	"testing"

	local "github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
	"github.com/dhowhq/dhow/transport/store"
	"github.com/dhowhq/dhow/transport/transporttest"
)

func TestTransport(t *testing.T) {
	for name, details := range map[string]string{
		"with a tag":    "example.org/app:v1",
		"without a tag": "busybox",
	} {
		t.Run(name, func(t *testing.T) {
			transporttest.Run(t, transporttest.Factory{
				New: func(tb testing.TB) transporttest.Place {
					tb.Helper()
					s, dir := newStore(tb)
					return place(s, details, filepath.Join(dir, "blobs"))
				},
				Cannot: transporttest.Cannot{Signatures: "a store has no place for them"},
			})
		})
	}
}

// newStore opens a new embedded store until the end of the test.
func newStore(tb testing.TB) (s *embedded.Store, dir string) {
	tb.Helper()
	dir = filepath.Join(tb.TempDir(), "store")
	s, err := embedded.Open(tb.Context(), dir, embedded.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { transporttest.Close(tb, s) })
	return s, dir
}

// place is an image of a store; files is where the store has its blobs.
func place(s local.Store, details, files string) transporttest.Place {
	opts := store.Options{Store: s}
	source := transporttest.Sources(store.Parse, store.OpenSource, opts)
	return transporttest.Place{
		Destination: transporttest.Destinations(store.Parse, store.OpenDestination, opts)(details),
		Source:      source(details),
		Missing:     source("missing"),
		Files:       files,
	}
}
