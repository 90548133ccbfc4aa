package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
)

// The sizes of blobs that an engine may keep in different ways.
const (
	small = 300
	large = 300 << 10
)

// world is a store under test, and what is written into it.
type world struct {
	store.Store
	f       Factory
	place   Place
	src     *source
	batches []*batch // that are open
}

// world opens a new store until the end of the test.
func (f Factory) world(t *testing.T) *world {
	t.Helper()
	w := &world{f: f, place: f.New(t), src: &source{Store: &testimage.Store{}}}
	w.open(t)
	t.Cleanup(func() {
		w.close(t)
		if n := w.src.open.Load(); n != 0 {
			t.Errorf("%d of %d readers of what was put were not closed, or twice", n, w.src.opened.Load())
		}
	})
	return w
}

func (w *world) open(t *testing.T) {
	t.Helper()
	s, err := w.place.Open(t.Context())
	if err != nil {
		t.Fatal("opening the store:", err)
	}
	w.Store = s
}

// close closes the batches that are open, and the store.
func (w *world) close(t *testing.T) {
	t.Helper()
	if w.Store == nil {
		return
	}
	for _, b := range slices.Clone(w.batches) {
		b.close(t)
	}
	if err := w.Close(); err != nil {
		t.Error("closing the store:", err)
	}
	w.Store = nil
}

// reopen closes the store and opens it again.
func (w *world) reopen(t *testing.T) {
	t.Helper()
	w.close(t)
	w.open(t)
}

// crash opens the store again, as after a kill.
func (w *world) crash(t *testing.T) {
	t.Helper()
	skipIf(t, w.f.Cannot.Crash)
	old, batches := w.Store, w.batches
	w.place, w.batches, w.Store = w.place.Crash(t), nil, nil
	t.Cleanup(func() { // what the killed process would have done is of no interest
		for _, b := range batches {
			_ = b.Batch.Close()
		}
		_ = old.Close()
	})
	w.open(t)
}

// lease makes a lease and returns its ID.
func (w *world) lease(t *testing.T) string {
	t.Helper()
	l, err := w.Lease(t.Context(), store.Lease{})
	if err != nil {
		t.Fatal("Lease:", err)
	}
	return l.ID
}

func (w *world) release(t *testing.T, id string) {
	t.Helper()
	if err := w.Release(t.Context(), id); err != nil {
		t.Errorf("Release of %s: %v", id, err)
	}
}

// move moves names and fails the test if that does.
func (w *world) move(t *testing.T, moves ...store.Move) []store.Moved {
	t.Helper()
	moved, err := w.Move(t.Context(), moves...)
	if err != nil {
		t.Fatalf("Move of %v: %v", namesOf(moves), err)
	}
	if len(moved) != len(moves) {
		t.Fatalf("Move of %d names returned %d", len(moves), len(moved))
	}
	return moved
}

func namesOf(moves []store.Move) []string {
	var names []string
	for _, m := range moves {
		names = append(names, m.Name)
	}
	return names
}

// collect collects everything that there is to collect.
func (w *world) collect(t *testing.T) store.Collected {
	t.Helper()
	c, err := store.Collect(t.Context(), w)
	if err != nil {
		t.Fatal("Collect:", err)
	}
	return c
}

// batch is a batch that knows where its bytes come from.
type batch struct {
	store.Batch
	w *world
}

// begin begins a batch that is closed with the store at the latest.
func (w *world) begin(t *testing.T, lease string) *batch {
	t.Helper()
	b, err := w.Begin(t.Context(), lease)
	if err != nil {
		t.Fatal("Begin:", err)
	}
	w.batches = append(w.batches, &batch{b, w})
	return w.batches[len(w.batches)-1]
}

func (b *batch) close(t *testing.T) {
	t.Helper()
	b.w.batches = slices.DeleteFunc(b.w.batches, func(other *batch) bool { return other == b })
	if err := b.Close(); err != nil {
		t.Error("closing a batch:", err)
	}
}

// put puts what the source has.
func (b *batch) put(t *testing.T, desc ocispec.Descriptor, role image.Role) store.Put {
	t.Helper()
	put, err := b.Put(t.Context(), desc, role, b.w.src.opener(desc))
	if err != nil {
		t.Fatalf("Put of %s %s: %v", role, desc.Digest, err)
	}
	return put
}

// blob puts new bytes and returns their descriptor.
func (b *batch) blob(t *testing.T, data []byte) ocispec.Descriptor {
	t.Helper()
	desc := b.w.src.Put(ocispec.MediaTypeImageLayerGzip, data)
	b.put(t, desc, image.RoleLayer)
	return desc
}

// image puts a graph as far as the source has it, children before parents.
func (b *batch) image(t *testing.T, root ocispec.Descriptor) {
	t.Helper()
	for _, n := range b.w.src.nodes(t, root) {
		b.put(t, n.Desc, n.Role)
	}
}

func (b *batch) publish(t *testing.T, moves ...store.Move) []store.Moved {
	t.Helper()
	moved, err := b.Publish(t.Context(), moves...)
	if err != nil {
		t.Fatalf("Publish with names %v: %v", namesOf(moves), err)
	}
	return moved
}

// hold writes graphs, which a new lease holds, and returns its ID.
func (w *world) hold(t *testing.T, roots ...ocispec.Descriptor) string {
	t.Helper()
	lease := w.lease(t)
	b := w.begin(t, lease)
	for _, root := range roots {
		b.image(t, root)
	}
	b.publish(t)
	b.close(t)
	return lease
}

// name writes an image under names, which alone hold it in the end.
func (w *world) name(t *testing.T, root ocispec.Descriptor, names ...string) {
	t.Helper()
	var moves []store.Move
	for _, name := range names {
		moves = append(moves, store.Move{Name: name, To: target(root)})
	}
	lease := w.lease(t)
	b := w.begin(t, lease)
	b.image(t, root)
	b.publish(t, moves...)
	b.close(t)
	w.release(t, lease)
}

// target returns what a name that points at a descriptor has.
func target(desc ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size}
}

// source is a store of bytes in memory that counts its readers.
type source struct {
	*testimage.Store
	opened, open, read atomic.Int64 // read: bytes
	from               atomic.Int64 // where the last reader began
}

// opener returns the opener of a descriptor.
func (s *source) opener(desc ocispec.Descriptor) store.Opener {
	return func(ctx context.Context, from int64) (io.ReadCloser, error) {
		r, err := s.Open(ctx, desc, from)
		if err != nil {
			return nil, err
		}
		s.from.Store(from)
		return s.count(r), nil
	}
}

// of returns an opener of any bytes.
func (s *source) of(data []byte) store.Opener {
	return func(_ context.Context, from int64) (io.ReadCloser, error) {
		s.from.Store(from)
		return s.count(bytes.NewReader(data[min(from, int64(len(data))):])), nil
	}
}

func (s *source) count(r io.Reader) io.ReadCloser {
	s.opened.Add(1)
	s.open.Add(1)
	return &countedReader{Reader: r, of: s}
}

type countedReader struct {
	io.Reader
	of *source
}

func (r *countedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.of.read.Add(int64(n))
	return n, err
}

func (r *countedReader) Close() error {
	r.of.open.Add(-1)
	return nil
}

// nodes returns the nodes of a graph that are there, each once and children before
// parents.
func (s *source) nodes(t testing.TB, root ocispec.Descriptor) []*image.Node {
	t.Helper()
	graph, err := image.Walker{Fetch: s.Fetch, Missing: func(*image.Node, error) error { return nil }}.Walk(t.Context(), root)
	if err != nil {
		t.Fatal("reading the test image:", err)
	}
	nodes := slices.DeleteFunc(graph.Nodes(), func(n *image.Node) bool { return s.Get(n.Desc.Digest) == nil })
	slices.Reverse(nodes)
	return nodes
}

// digests returns those of the nodes of graphs, sorted.
func (s *source) digests(t testing.TB, roots ...ocispec.Descriptor) []digest.Digest {
	t.Helper()
	var all []digest.Digest
	for _, root := range roots {
		for _, n := range s.nodes(t, root) {
			all = append(all, n.Desc.Digest)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// amd64, arm64 and arm are platforms for test images.
func amd64() ocispec.Platform { return ocispec.Platform{OS: "linux", Architecture: "amd64"} }
func arm64() ocispec.Platform {
	return ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
}
func arm() ocispec.Platform {
	return ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}
}

// invalid reports whether an error is one for an argument that is not valid or not
// supported.
func invalid(err error) bool {
	return errors.Is(err, errdefs.ErrInvalidArgument) || errors.Is(err, errdefs.ErrNotImplemented)
}
