package oci_test

import (
	"path/filepath"
	"testing"

	"github.com/dhowhq/dhow/transport/oci"
	"github.com/dhowhq/dhow/transport/transporttest"
)

func TestTransport(t *testing.T) {
	for name, tc := range map[string]struct {
		ref     string
		shared  string
		replace string
	}{
		"with a name":       {":latest", "", ""},
		"without a name":    {"", "", "a layout keeps all images that have no name"},
		"with shared blobs": {":v1", "shared", ""},
	} {
		t.Run(name, func(t *testing.T) {
			transporttest.Run(t, transporttest.Factory{
				New: func(tb testing.TB) transporttest.Place {
					tb.Helper()
					return newPlace(tb, tc.ref, tc.shared)
				},
				Cannot: transporttest.Cannot{
					Signatures: "a layout has no place for them",
					Replace:    tc.replace,
				},
			})
		})
	}
}

// newPlace returns a new layout; shared is where beside it shared blobs are, if
// they are.
func newPlace(tb testing.TB, name, shared string) transporttest.Place {
	tb.Helper()
	base := tb.TempDir()
	path := filepath.Join(base, "layout")
	opts := oci.Options{}
	if shared != "" {
		opts.SharedBlobs = filepath.Join(base, shared)
	}
	source := transporttest.Sources(oci.Parse, oci.OpenSource, opts)
	p := transporttest.Place{
		Destination: transporttest.Destinations(oci.Parse, oci.OpenDestination, opts)(path + name),
		Source:      source(path + name),
		Files:       base,
	}
	if name != "" {
		p.Missing = source(path + ":missing")
	}
	return p
}
