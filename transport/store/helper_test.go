package store_test

import (
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	local "github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/store"
	"github.com/dhowhq/dhow/transport/transporttest"
)

func parse(tb testing.TB, details string) store.Reference {
	tb.Helper()
	r, err := store.Parse(details)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// destination opens a destination until the end of the test.
func destination(tb testing.TB, s local.Store, details string) *store.Destination {
	tb.Helper()
	d, err := store.OpenDestination(tb.Context(), parse(tb, details), store.Options{Store: s})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { transporttest.Close(tb, d) })
	return d
}

// source opens a source until the end of the test.
func source(tb testing.TB, s local.Store, details string) *store.Source {
	tb.Helper()
	src, err := store.OpenSource(tb.Context(), parse(tb, details), store.Options{Store: s})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { transporttest.Close(tb, src) })
	return src
}

// nodes returns what the source of test images has of a graph, children before parents.
func nodes(tb testing.TB, src *testimage.Store, root ocispec.Descriptor) []transport.Node {
	tb.Helper()
	g, err := image.Walker{Fetch: src.Fetch, Missing: func(*image.Node, error) error { return nil }}.Walk(tb.Context(), root)
	if err != nil {
		tb.Fatal(err)
	}
	var all []transport.Node
	for _, n := range slices.Backward(g.Nodes()) {
		if src.Get(n.Desc.Digest) != nil {
			all = append(all, transport.Node{Desc: n.Desc, Role: n.Role, Parent: n.Parent, Index: n.Index})
		}
	}
	return all
}

// put puts what there is of graphs.
func put(tb testing.TB, d transport.Destination, src *testimage.Store, roots ...ocispec.Descriptor) (copied int) {
	tb.Helper()
	for _, root := range roots {
		for _, n := range nodes(tb, src, root) {
			out, err := d.Put(tb.Context(), n, src.Opener(n.Desc))
			if err != nil {
				tb.Fatal(err)
			}
			if out.Action == transport.Copied {
				copied++
			}
		}
	}
	return copied
}

// write writes what there is of an image under a name.
func write(tb testing.TB, s local.Store, src *testimage.Store, root ocispec.Descriptor, details string) {
	tb.Helper()
	d := destination(tb, s, details)
	put(tb, d, src, root)
	transporttest.Commit(tb, d, transport.Naming{Desc: root})
	transporttest.Close(tb, d)
}

// wantNames checks the keys of all records and what they point at.
func wantNames(tb testing.TB, s local.Store, want map[string]digest.Digest) {
	tb.Helper()
	err := s.View(tb.Context(), func(r local.NameReader) error {
		records, err := r.List("", 0)
		if len(records) != len(want) {
			tb.Errorf("%d records; want %d", len(records), len(want))
		}
		for _, rec := range records {
			if want[rec.Key()] != rec.Target.Digest {
				tb.Errorf("%s points at %s; want %s", rec.Key(), rec.Target.Digest, want[rec.Key()])
			}
		}
		return err
	})
	if err != nil {
		tb.Error("View:", err)
	}
}

func platform(arch string) ocispec.Platform { return ocispec.Platform{OS: "linux", Architecture: arch} }
