package embedded_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

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

// source is where the bytes of a store came from, and as what they were put.
type source struct {
	*testimage.Store
	nodes []*image.Node
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

// copy returns a source of its own of the same.
func (src *source) copy() *source { return &source{Store: src.Store, nodes: slices.Clone(src.nodes)} }

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
	large := src.Image(testimage.Image{Platform: amd, Name: "large", Annotations: map[string]string{"large": strings.Repeat("x", 70<<10)}})
	src.write(tb, s, map[string]ocispec.Descriptor{
		"docker.io/library/index:1": index, "docker.io/library/one:1": one, "quay.io/x/old:latest": old, "quay.io/x/gone:latest": gone,
		"quay.io/x/large:1": large, "quay.io/x/upon:1": src.upon(tb, one), "quay.io/x/about:1": src.Referrer(one, "application/x", "about"),
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

// upon makes an image that says that it was built upon another one.
func (src *source) upon(tb testing.TB, base ocispec.Descriptor) ocispec.Descriptor {
	tb.Helper()
	var m ocispec.Manifest
	if err := json.Unmarshal(src.Get(base.Digest), &m); err != nil {
		tb.Fatal(err)
	}
	m.Config = src.JSON(ocispec.MediaTypeImageConfig, map[string]any{
		"os": "linux", "architecture": "amd64", "rootfs": map[string]any{"type": "layers", "diff_ids": []digest.Digest{}},
		"config": map[string]any{"Labels": map[string]string{"org.mobyproject.image.parent": m.Config.Digest.String()}},
	})
	m.Layers = []ocispec.Descriptor{}
	return src.JSON(ocispec.MediaTypeImageManifest, m)
}

func target(desc ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size}
}
