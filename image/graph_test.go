package image_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
)

// nest makes an index with depth lists above one another and an image at the end.
func nest(s *testimage.Store, depth int) ocispec.Descriptor {
	d := s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	for range depth {
		d = s.Index(d)
	}
	return d
}

// diamond makes levels of lists of which each names all width lists of the next
// level, so that width^levels paths lead to the image at the end.
func diamond(s *testimage.Store, levels, width int) ocispec.Descriptor {
	below := []ocispec.Descriptor{s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})}
	for level := range levels {
		if level == levels-1 {
			return s.Index(below...)
		}
		var lists []ocispec.Descriptor
		for i := range width {
			entries := append([]ocispec.Descriptor{}, below...)
			entries[0].Annotations = map[string]string{"list": fmt.Sprint(level, i)}
			lists = append(lists, s.Index(entries...))
		}
		below = lists
	}
	return below[0]
}

func TestWalkBounds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		limit image.Limits
		root  func(s *testimage.Store) ocispec.Descriptor
		nodes int
		kind  error
		text  string
	}{
		{
			name: "8 lists above one another", nodes: 8 + 3,
			root: func(s *testimage.Store) ocispec.Descriptor { return nest(s, 8) },
		},
		{
			name: "9 lists above one another", kind: errdefs.ErrResourceExhausted, text: "more than 8 lists",
			root: func(s *testimage.Store) ocispec.Descriptor { return nest(s, 9) },
		},
		{
			name: "a diamond of 2^40 paths", nodes: 1 + 7*32 + 3,
			root: func(s *testimage.Store) ocispec.Descriptor { return diamond(s, 8, 32) },
		},
		{
			name: "as many nodes as allowed", limit: image.Limits{GraphNodes: 4}, nodes: 4,
			root: func(s *testimage.Store) ocispec.Descriptor { return nest(s, 1) },
		},
		{
			name: "a node too many", limit: image.Limits{GraphNodes: 3}, kind: errdefs.ErrResourceExhausted, text: "more than 3 descriptors",
			root: func(s *testimage.Store) ocispec.Descriptor { return nest(s, 1) },
		},
		{
			name: "documents together too large", limit: image.Limits{GraphBytes: 500}, kind: errdefs.ErrResourceExhausted, text: "more than 500 bytes",
			root: func(s *testimage.Store) ocispec.Descriptor { return nest(s, 3) },
		},
		{
			name: "one digest with two sizes", kind: errdefs.ErrInvalidArgument, text: "has size",
			root: func(s *testimage.Store) ocispec.Descriptor {
				im := s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
				liar := im
				liar.Size++
				return s.Index(s.Index(im), s.Index(liar))
			},
		},
		{
			name: "a document larger than its limit", limit: image.Limits{DocumentBytes: 10}, kind: errdefs.ErrResourceExhausted, text: "the limit is 10",
			root: func(s *testimage.Store) ocispec.Descriptor { return nest(s, 1) },
		},
		{
			name: "a config larger than its limit", limit: image.Limits{ConfigBytes: 10}, kind: errdefs.ErrResourceExhausted, text: "the limit is 10",
			root: func(s *testimage.Store) ocispec.Descriptor { return nest(s, 1) },
		},
		{
			name: "a child that is not there", kind: errdefs.ErrNotFound, text: "entry 0 of",
			root: func(s *testimage.Store) ocispec.Descriptor {
				im := s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
				s.Delete(im.Digest)
				return s.Index(im)
			},
		},
		{
			name: "a child whose bytes are others", kind: errdefs.ErrDataLoss, text: "manifest sha256:",
			root: func(s *testimage.Store) ocispec.Descriptor {
				im := s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
				s.Set(im.Digest, []byte(strings.Repeat("x", int(im.Size))))
				return s.Index(im)
			},
		},
		{
			name: "a list that names itself, from a source that lies", kind: errdefs.ErrDataLoss, text: "sha256:",
			root: func(s *testimage.Store) ocispec.Descriptor {
				d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromString("itself"), Size: 0}
				body := s.Get(s.Index(d).Digest)
				d.Size = int64(len(body))
				s.Set(d.Digest, body)
				return d
			},
		},
		{
			name: "a root whose digest is a path", kind: errdefs.ErrInvalidArgument, text: "root of the image",
			root: func(*testimage.Store) ocispec.Descriptor {
				return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: "sha256:../../etc/passwd", Size: 1}
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s testimage.Store
			root := tt.root(&s)
			g, err := image.Walker{Fetch: s.Fetch, Limits: tt.limit}.Walk(t.Context(), root)
			if tt.kind != nil {
				if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) {
					t.Fatalf("error %v; want %v with %q", err, tt.kind, tt.text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := len(g.Nodes()); got != tt.nodes {
				t.Errorf("%d nodes, want %d", got, tt.nodes)
			}
		})
	}
}

// TestWalkReadsOnce shows that a walk costs what the graph has, not what its
// paths are.
func TestWalkReadsOnce(t *testing.T) {
	t.Parallel()
	var s testimage.Store
	root := diamond(&s, 8, 32)
	var fetched atomic.Int64
	w := image.Walker{Fetch: func(ctx context.Context, d ocispec.Descriptor) ([]byte, error) {
		fetched.Add(1)
		return s.Fetch(ctx, d)
	}}
	if _, err := w.Walk(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	if want := int64(1 + 7*32 + 1); fetched.Load() != want {
		t.Errorf("%d documents fetched, want %d", fetched.Load(), want)
	}
}

func TestWalkEntersAndPassesOver(t *testing.T) {
	t.Parallel()
	var s testimage.Store
	amd64 := s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	arm64 := s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "arm64"}})
	gone := s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "s390x"}})
	opaque := s.Put("application/x-unknown", []byte("opaque"))
	s.Delete(gone.Digest)
	root := s.Index(amd64, s.Attestation(amd64), arm64, gone, opaque)

	w := image.Walker{
		Fetch:   s.Fetch,
		Enter:   func(n *image.Node) bool { return n.Desc.Digest != arm64.Digest },
		Missing: func(*image.Node, error) error { return nil },
	}
	g, err := w.Walk(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		desc    ocispec.Descriptor
		role    image.Role
		read    bool
		missing bool
		index   int
	}{
		{desc: root, role: image.RoleIndex, read: true},
		{desc: amd64, role: image.RoleManifest, read: true},
		{desc: arm64, role: image.RoleManifest, index: 2},
		{desc: gone, role: image.RoleManifest, missing: true, index: 3},
		{desc: opaque, role: image.RoleOpaque, index: 4},
	} {
		n := g.Node(want.desc.Digest)
		if n == nil {
			t.Errorf("%s is not in the graph", want.desc.Digest)
			continue
		}
		if n.Role != want.role || (n.Doc != nil) != want.read || n.Missing != want.missing || n.Index != want.index {
			t.Errorf("%s: %+v, want %+v", want.desc.Digest, n, want)
		}
	}
	if first := g.Nodes()[0]; first != g.Root {
		t.Errorf("the first node is %s, not the root", first.Desc.Digest)
	}
}

func TestWalkStopsWhenCancelled(t *testing.T) {
	t.Parallel()
	var s testimage.Store
	root := nest(&s, 3)
	ctx, cancel := context.WithCancel(t.Context())
	w := image.Walker{Fetch: func(ctx context.Context, d ocispec.Descriptor) ([]byte, error) {
		cancel()
		return s.Fetch(ctx, d)
	}}
	if _, err := w.Walk(ctx, root); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

// TestWalkReadsWhatIsABlobElsewhere shows that a digest that is met as a layer, a
// config or an opaque entry first is still read where it is a manifest.
func TestWalkReadsWhatIsABlobElsewhere(t *testing.T) {
	t.Parallel()
	var s testimage.Store
	im := s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	opaque := im
	opaque.MediaType = "application/octet-stream"
	artifact := s.JSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/x",
		Config: s.Put(ocispec.MediaTypeEmptyJSON, []byte("{}")), Layers: []ocispec.Descriptor{im},
	})
	for name, root := range map[string]ocispec.Descriptor{
		"a layer, then a manifest deeper": s.Index(artifact, s.Index(im)),
		"a layer, then a manifest":        s.Index(artifact, im),
		"opaque, then a manifest":         s.Index(opaque, im),
		"a manifest, then a layer":        s.Index(im, artifact),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, err := image.Walker{Fetch: s.Fetch}.Walk(t.Context(), root)
			if err != nil {
				t.Fatal(err)
			}
			if n := g.Node(im.Digest); n.Doc == nil || n.Role != image.RoleManifest {
				t.Errorf("the manifest is a %s without document", n.Role)
			}
		})
	}
	list := im
	list.MediaType = ocispec.MediaTypeImageIndex
	if _, err := (image.Walker{Fetch: s.Fetch}).Walk(t.Context(), s.Index(im, list)); !errdefs.IsInvalidArgument(err) {
		t.Errorf("a digest that is a manifest and an index: %v", err)
	}
}

func TestWalkTakesEmbeddedData(t *testing.T) {
	t.Parallel()
	var s testimage.Store
	im := s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	im.Data = s.Get(im.Digest)
	root := s.Index(im)
	s.Delete(im.Digest)
	g, err := image.Walker{Fetch: s.Fetch}.Walk(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	if g.Node(im.Digest).Doc == nil {
		t.Error("the embedded manifest was not decoded")
	}
}
