package embedded_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

func openStore(tb testing.TB, dir string, opts embedded.Options) *embedded.Store {
	tb.Helper()
	s, err := embedded.Open(context.Background(), dir, opts)
	if err != nil {
		tb.Fatal("Open:", err)
	}
	return s
}

func closeStore(tb testing.TB, c io.Closer) {
	tb.Helper()
	if err := c.Close(); err != nil {
		tb.Error("Close:", err)
	}
}

// newBatch begins a batch under a new lease.
func newBatch(tb testing.TB, s *embedded.Store) (store.Batch, string) {
	tb.Helper()
	l, err := s.Lease(context.Background(), store.Lease{})
	if err != nil {
		tb.Fatal("Lease:", err)
	}
	b, err := s.Begin(context.Background(), l.ID)
	if err != nil {
		tb.Fatal("Begin:", err)
	}
	return b, l.ID
}

// put puts a blob that a source has.
func (src *source) put(tb testing.TB, b store.Batch, desc ocispec.Descriptor, role image.Role) store.Put {
	tb.Helper()
	if !slices.ContainsFunc(src.nodes, func(n *image.Node) bool { return n.Desc.Digest == desc.Digest && n.Role == role }) {
		src.nodes = append(src.nodes, &image.Node{Desc: desc, Role: role})
	}
	outcome, err := b.Put(context.Background(), desc, role, func(ctx context.Context, from int64) (io.ReadCloser, error) {
		return src.Open(ctx, desc, from)
	})
	if err != nil {
		tb.Fatalf("Put of %s: %v", desc.Digest, err)
	}
	return outcome
}

// graphOf returns the nodes of an image, children before parents.
func graphOf(tb testing.TB, src *testimage.Store, root ocispec.Descriptor) []*image.Node {
	tb.Helper()
	g, err := image.Walker{Fetch: src.Fetch}.Walk(context.Background(), root)
	if err != nil {
		tb.Fatal(err)
	}
	nodes := g.Nodes()
	slices.Reverse(nodes)
	return nodes
}

// source is where the bytes of a store came from, and as what they were put.
type source struct {
	*testimage.Store
	nodes []*image.Node
}

// write writes images under names, which alone hold them.
func (src *source) write(tb testing.TB, s *embedded.Store, names map[string]ocispec.Descriptor) {
	tb.Helper()
	b, lease := newBatch(tb, s)
	var moves []store.Move
	for name, root := range names {
		for _, n := range graphOf(tb, src.Store, root) {
			src.put(tb, b, n.Desc, n.Role)
		}
		moves = append(moves, store.Move{Name: name, To: ocispec.Descriptor{MediaType: root.MediaType, Digest: root.Digest, Size: root.Size}})
	}
	if _, err := b.Publish(context.Background(), moves...); err != nil {
		tb.Fatal("Publish:", err)
	}
	closeStore(tb, b)
	if err := s.Release(context.Background(), lease); err != nil {
		tb.Fatal("Release:", err)
	}
}

// sample fills a store with a bit of all that a store may have, and returns where the
// bytes came from.
func sample(tb testing.TB, s *embedded.Store) *source {
	tb.Helper()
	ctx := context.Background()
	src := &source{Store: &testimage.Store{}}
	amd, arm := ocispec.Platform{OS: "linux", Architecture: "amd64"}, ocispec.Platform{OS: "linux", Architecture: "arm64"}
	one := src.Image(testimage.Image{Platform: amd, Layers: 2, LayerSize: 100 << 10})
	two := src.Image(testimage.Image{Platform: arm, Layers: 2, Name: "two"})
	index := src.Index(one, two, src.Attestation(one))
	old := src.Image(testimage.Image{Platform: amd, Name: "old", Family: testimage.Docker})
	gone := src.Image(testimage.Image{Platform: amd, Name: "gone", LayerSize: 80 << 10})
	src.write(tb, s, map[string]ocispec.Descriptor{
		"docker.io/library/index:1": index, "docker.io/library/one:1": one, "quay.io/x/old:latest": old, "quay.io/x/gone:latest": gone,
	})
	for _, m := range []store.Move{
		{Name: "quay.io/x/old:latest", To: target(one), Labels: map[string]string{"a": "b"}}, // old dangles
		{Name: "quay.io/x/gone:latest", Forget: true},
	} {
		if _, err := s.Move(ctx, m); err != nil {
			tb.Fatal("Move:", err)
		}
	}
	if _, err := s.Lease(ctx, store.Lease{ID: "held", Labels: map[string]string{"c": "d"}, Until: time.Now().Add(time.Hour)}); err != nil {
		tb.Fatal(err)
	}
	b, err := s.Begin(ctx, "held")
	if err != nil {
		tb.Fatal(err)
	}
	src.put(tb, b, src.Put("text/plain", bytes.Repeat([]byte("held"), 30_000)), image.RoleLayer)
	src.put(tb, b, src.Put("text/plain", []byte("held small")), image.RoleLayer)
	if _, err := b.Publish(ctx); err != nil {
		tb.Fatal(err)
	}
	closeStore(tb, b)
	if _, err := store.Collect(ctx, s); err != nil {
		tb.Fatal("Collect:", err)
	}
	return src
}

func target(desc ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size}
}

// answers are what a store says, one line for each thing that it is asked. Wrong bytes
// fail the test; an error is an answer.
func answers(tb testing.TB, s *embedded.Store, src *source) map[string]string {
	tb.Helper()
	ctx := context.Background()
	all := map[string]string{}
	for _, d := range src.Digests() {
		all["bytes of "+d.String()] = read(tb, s, src, d)
		blob, err := s.Stat(ctx, d)
		all["blob "+d.String()] = text(blob.Size, err)
		facts, err := s.Facts(ctx, d)
		all["facts of "+d.String()] = text(facts, err)
		err = s.View(ctx, func(r store.NameReader) error {
			for what, find := range map[string]func(digest.Digest) ([]store.Record, error){"target": r.Target, "containing": r.Containing} {
				records, err := find(d)
				all[what+" "+d.String()] = text(records, err)
			}
			found, err := r.Prefix(d.Encoded()[:7], 0)
			all["prefix "+d.String()] = text(found, err)
			return nil
		})
		if err != nil {
			all["view "+d.String()] = kindName(err)
		}
	}
	err := s.View(ctx, func(r store.NameReader) error {
		records, err := r.List("", 0)
		all["names"] = text(records, err)
		for _, rec := range records {
			found, err := r.Get(rec.Key())
			all["name "+rec.Key()] = text(found, err)
		}
		return nil
	})
	all["view"] = kindName(err)
	leases, err := s.Leases(ctx)
	all["leases"] = text(leases, err)
	held, err := s.Held(ctx, "held")
	all["held"] = text(held, err)
	return all
}

// text writes an answer.
func text(v any, err error) string {
	if err != nil {
		return kindName(err)
	}
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// read reads a blob, which must be right or end in an error.
func read(tb testing.TB, s *embedded.Store, src *source, d digest.Digest) string {
	tb.Helper()
	r, err := s.Open(context.Background(), d, 0)
	if err != nil {
		return kindName(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err == nil && !bytes.Equal(data, src.Get(d)) {
		tb.Errorf("%s: %d bytes that are not its own were read without an error", d, len(data))
	}
	return kindName(err)
}

// kindName says of what kind an error is.
func kindName(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errdefs.IsNotFound(err):
		return "not found"
	case errdefs.IsDataLoss(err):
		return "data loss"
	}
	return err.Error()
}
