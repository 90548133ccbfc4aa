package service_test

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/platform"
	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// fixture is an image service on an embedded store of its own, and where the images come
// from that tests write into that: src makes them, put writes them.
type fixture struct {
	*service.Service
	store *embedded.Store
	src   *testimage.Store
}

// newFixture opens a fixture that is closed at the end of the test.
func newFixture(tb testing.TB, opts service.Options) *fixture {
	tb.Helper()
	s, err := embedded.Open(tb.Context(), filepath.Join(tb.TempDir(), "store"), embedded.Options{Clock: opts.Clock})
	if err != nil {
		tb.Fatal("opening the store:", err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error("closing the store:", err)
		}
	})
	return &fixture{service.New(s, opts), s, &testimage.Store{}}
}

// plain is a store whose readers can do no more than they have to.
type plain struct{ store.Store }

func (p plain) View(ctx context.Context, f func(store.NameReader) error) error {
	return p.Store.View(ctx, func(r store.NameReader) error { return f(struct{ store.NameReader }{r}) })
}

// image makes an image for a platform, as linux/arm/v7, which differs from those of other
// names, and returns its manifest's descriptor. It is not written yet.
func (f *fixture) image(tb testing.TB, of, name string) ocispec.Descriptor {
	tb.Helper()
	return f.src.Image(testimage.Image{Platform: parsePlatform(tb, of), Name: name})
}

// index makes an index of images for platforms.
func (f *fixture) index(tb testing.TB, name string, platforms ...string) ocispec.Descriptor {
	tb.Helper()
	var entries []ocispec.Descriptor
	for _, p := range platforms {
		entries = append(entries, f.image(tb, p, name))
	}
	return f.src.Index(entries...)
}

// put writes what src has of a graph, and points names at it, in their normal form or a
// shorter one. Without any it becomes a dangling record.
func (f *fixture) put(tb testing.TB, root ocispec.Descriptor, names ...string) {
	tb.Helper()
	f.putPart(tb, root, nil, names...)
}

// putPart is put without what leave reports, and what is below that.
func (f *fixture) putPart(tb testing.TB, root ocispec.Descriptor, leave func(*image.Node) bool, names ...string) {
	tb.Helper()
	var moves []store.Move
	for _, name := range names {
		moves = append(moves, store.Move{Name: normalName(tb, name), To: targetOf(root)})
	}
	if len(names) == 0 {
		moves = append(moves, store.Move{Name: "@" + root.Digest.String(), To: targetOf(root)})
	}
	f.write(tb, moves, nodesOf(tb, f.src, root, leave)...)
}

// putBlobs writes nodes of a graph for a name that has it already, as a pull of what was
// left out would.
func (f *fixture) putBlobs(tb testing.TB, root ocispec.Descriptor) {
	tb.Helper()
	f.write(tb, nil, nodesOf(tb, f.src, root, nil)...)
}

// write writes nodes under a lease that is over when it returns.
func (f *fixture) write(tb testing.TB, moves []store.Move, nodes ...*image.Node) {
	tb.Helper()
	if err := ingest(tb.Context(), f.store, f.src, moves, nodes...); err != nil {
		tb.Fatal("writing a test image:", err)
	}
}

// ingest writes nodes, children first, and moves names with them, under a lease of its
// own: as a pull does.
func ingest(ctx context.Context, s store.Store, src *testimage.Store, moves []store.Move, nodes ...*image.Node) error {
	lease, err := s.Lease(ctx, store.Lease{Process: true})
	if err != nil {
		return err
	}
	b, err := s.Begin(ctx, lease.ID)
	if err != nil {
		return err
	}
	defer b.Close()
	for _, n := range nodes {
		if _, err := b.Put(ctx, n.Desc, n.Role, src.Opener(n.Desc)); err != nil {
			return err
		}
	}
	if _, err := b.Publish(ctx, moves...); err != nil {
		return err
	}
	return s.Release(ctx, lease.ID)
}

// nodesOf returns the nodes of a graph that a source has, each once, children before
// parents, without those that leave reports and what only these need.
func nodesOf(tb testing.TB, src *testimage.Store, root ocispec.Descriptor, leave func(*image.Node) bool) []*image.Node {
	tb.Helper()
	walker := image.Walker{Fetch: src.Fetch, Missing: func(*image.Node, error) error { return nil }}
	graph, err := walker.Walk(tb.Context(), root)
	if err != nil {
		tb.Fatal("reading a test image:", err)
	}
	wanted := map[digest.Digest]bool{}
	var nodes []*image.Node
	for _, n := range graph.Nodes() { // parents first
		if n != graph.Root && !wanted[n.Desc.Digest] || src.Get(n.Desc.Digest) == nil || leave != nil && leave(n) {
			continue
		}
		nodes = append(nodes, n)
		if n.Doc == nil {
			continue
		}
		for _, e := range n.Doc.Edges() {
			wanted[e.Desc.Digest] = true
		}
	}
	slices.Reverse(nodes)
	return nodes
}

// records returns all records of the store by their keys.
func (f *fixture) records(tb testing.TB) map[string]store.Record {
	tb.Helper()
	all := map[string]store.Record{}
	err := f.store.View(tb.Context(), func(r store.NameReader) error {
		records, err := r.List("", 0)
		for _, rec := range records {
			all[rec.Key()] = rec
		}
		return err
	})
	if err != nil {
		tb.Fatal("View:", err)
	}
	return all
}

// has reports whether a blob is visible.
func (f *fixture) has(tb testing.TB, d digest.Digest) bool {
	tb.Helper()
	_, err := f.store.Stat(tb.Context(), d)
	return err == nil
}

// config returns the digest of the config of a manifest that src has.
func (f *fixture) config(tb testing.TB, manifest ocispec.Descriptor) digest.Digest {
	tb.Helper()
	doc, err := image.Decode(f.src.Get(manifest.Digest), image.Declared{Descriptor: manifest.MediaType}, image.Limits{})
	if err != nil {
		tb.Fatal("reading a test image:", err)
	}
	return doc.(*image.Manifest).Config().Digest
}

// children returns the entries of a list, or the config and layers of a manifest.
func (f *fixture) children(tb testing.TB, of ocispec.Descriptor) []ocispec.Descriptor {
	tb.Helper()
	doc, err := image.Decode(f.src.Get(of.Digest), image.Declared{Descriptor: of.MediaType}, image.Limits{})
	if err != nil {
		tb.Fatal("reading a test image:", err)
	}
	var all []ocispec.Descriptor
	for _, e := range doc.Edges() {
		all = append(all, e.Desc)
	}
	return all
}

// targetOf returns what a name has that points at a descriptor.
func targetOf(desc ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size}
}

func parsePlatform(tb testing.TB, s string) ocispec.Platform {
	tb.Helper()
	p, err := platform.Parse(s)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// normalName returns the name of a record as the store has it: with latest where it has
// neither tag nor digest.
func normalName(tb testing.TB, s string) string {
	tb.Helper()
	r, err := ref.Parse(s)
	if err != nil {
		tb.Fatal(err)
	}
	return r.Tagged().String()
}
