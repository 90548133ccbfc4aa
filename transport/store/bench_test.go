package store_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/internal/testregistry"
	client "github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/registry/hosts"
	"github.com/dhowhq/dhow/store/embedded"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/oci"
	"github.com/dhowhq/dhow/transport/registry"
	"github.com/dhowhq/dhow/transport/store"
	"github.com/dhowhq/dhow/transport/transporttest"
)

// puller pulls an image from a registry into new places.
type puller struct {
	ref    registry.Reference
	client *client.Client
	bytes  int64
}

// newPuller serves an image with that many layers of a size.
func newPuller(tb testing.TB, layers, size int) *puller {
	tb.Helper()
	server := httptest.NewServer(testregistry.Olareg(tb))
	tb.Cleanup(server.Close)
	conf, err := hosts.Load(hosts.Options{Root: tb.TempDir(), Verify: hosts.VerifyNever})
	if err != nil {
		tb.Fatal(err)
	}
	c, err := client.NewClient(client.Options{Hosts: conf})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	ref, err := registry.Parse("//" + server.Listener.Addr().String() + "/app:1")
	if err != nil {
		tb.Fatal(err)
	}
	p := &puller{ref: ref, client: c}

	src := &testimage.Store{}
	var descs []ocispec.Descriptor
	var diffIDs []digest.Digest
	for i := range layers {
		layer, diffID := src.Layer(fmt.Sprint("layer ", i), size)
		descs, diffIDs, p.bytes = append(descs, layer), append(diffIDs, diffID), p.bytes+layer.Size
	}
	root := src.JSON(ocispec.MediaTypeImageManifest, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "layers": descs,
		"config": src.JSON(ocispec.MediaTypeImageConfig, ocispec.Image{RootFS: ocispec.RootFS{Type: "layers", DiffIDs: diffIDs}}),
	})
	dst, err := registry.OpenDestination(tb.Context(), ref, registry.Options{Client: c})
	if err != nil {
		tb.Fatal(err)
	}
	for _, n := range nodes(tb, src, root) {
		n.Parent = "" // each is pushed by itself
		if n.Desc.Digest != root.Digest {
			n.Parent = root.Digest
		}
		if _, err := dst.Put(tb.Context(), n, src.Opener(n.Desc)); err != nil {
			tb.Fatal(err)
		}
	}
	transporttest.Commit(tb, dst, transport.Naming{Desc: root})
	return p
}

// into copies the image to a destination, which it closes.
func (p *puller) into(tb testing.TB, dst transport.Destination, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	src, err := registry.OpenSource(tb.Context(), p.ref, registry.Options{Client: p.client})
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := copy.Image(tb.Context(), dst, src, copy.Options{}); err != nil {
		tb.Fatal(err)
	}
	transporttest.Close(tb, dst)
}

// toLayout pulls into a new layout.
func (p *puller) toLayout(tb testing.TB, dir string) {
	tb.Helper()
	dst, err := oci.OpenDestination(tb.Context(), oci.Reference{Path: filepath.Join(dir, "layout"), Name: "app"}, oci.Options{})
	p.into(tb, dst, err)
}

// toStore pulls into a new store, which is opened and closed.
func (p *puller) toStore(tb testing.TB, dir string) {
	tb.Helper()
	s, err := embedded.Open(tb.Context(), filepath.Join(dir, "store"), embedded.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	dst, err := store.OpenDestination(tb.Context(), parse(tb, "app:1"), store.Options{Store: s})
	p.into(tb, dst, err)
	transporttest.Close(tb, s)
}

// BenchmarkPull pulls from a registry in the same process into a layout and into a store.
func BenchmarkPull(b *testing.B) {
	for name, size := range map[string]int{"16 of 64 KiB": 64 << 10, "8 of 16 MiB": 16 << 20} {
		layers := 8
		if size < 1<<20 {
			layers = 16
		}
		p := newPuller(b, layers, size)
		for what, pull := range map[string]func(testing.TB, string){"layout": p.toLayout, "store": p.toStore} {
			b.Run(name+"/"+what, func(b *testing.B) {
				b.SetBytes(p.bytes)
				for b.Loop() {
					dir := b.TempDir()
					pull(b, dir)
					b.StopTimer()
					if err := os.RemoveAll(dir); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
			})
		}
	}
}

// atMost is how many times as long a pull of a large image into a store may take as one
// into a layout.
const atMost = 1.15

// TestPullCost compares the two, by the fastest of some runs that alternate.
func TestPullCost(t *testing.T) {
	if os.Getenv("DHOW_TEST_LONG") == "" {
		t.Skip("it measures time; the long tests do that")
	}
	p := newPuller(t, 8, 32<<20)
	var layout, local []time.Duration
	for range 7 {
		layout = append(layout, p.timed(t, p.toLayout))
		local = append(local, p.timed(t, p.toStore))
	}
	ratio := float64(slices.Min(local)) / float64(slices.Min(layout))
	t.Logf("layout %v, store %v: %.2f", layout, local, ratio)
	if ratio > atMost {
		t.Errorf("a pull into a store takes %.2f times as long as one into a layout, at most %.2f are allowed", ratio, atMost)
	}
}

func (p *puller) timed(t *testing.T, pull func(testing.TB, string)) time.Duration {
	t.Helper()
	dir := t.TempDir()
	start := time.Now()
	pull(t, dir)
	took := time.Since(start)
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
	return took
}
