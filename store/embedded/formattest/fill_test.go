package formattest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
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

// world is a store that a test writes to, at times of the test's own.
type world struct {
	*embedded.Store
	dir string
	src *testimage.Store
	now time.Time
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{
		dir: filepath.Join(tb.TempDir(), "store"), src: &testimage.Store{},
		now: time.Date(2026, 2, 3, 4, 5, 6, 700, time.UTC),
	}
	w.open(tb)
	tb.Cleanup(func() { w.close(tb) })
	return w
}

func (w *world) open(tb testing.TB) {
	tb.Helper()
	s, err := embedded.Open(context.Background(), w.dir, embedded.Options{Clock: func() time.Time { return w.now }})
	if err != nil {
		tb.Fatal("Open:", err)
	}
	w.Store = s
}

func (w *world) close(tb testing.TB) {
	tb.Helper()
	if err := w.Close(); err != nil {
		tb.Error("Close:", err)
	}
}

func (w *world) lease(tb testing.TB, l store.Lease) {
	tb.Helper()
	if _, err := w.Lease(tb.Context(), l); err != nil {
		tb.Fatal("Lease:", err)
	}
}

func (w *world) move(tb testing.TB, moves ...store.Move) {
	tb.Helper()
	w.now = w.now.Add(time.Minute)
	if _, err := w.Move(tb.Context(), moves...); err != nil {
		tb.Fatal("Move:", err)
	}
}

func (w *world) collect(tb testing.TB) {
	tb.Helper()
	if _, err := store.Collect(tb.Context(), w); err != nil {
		tb.Fatal("Collect:", err)
	}
}

// blob puts and publishes one blob: what is published together has no order.
func (w *world) blob(tb testing.TB, lease string, desc ocispec.Descriptor, role image.Role) {
	tb.Helper()
	b, err := w.Begin(tb.Context(), lease)
	if err != nil {
		tb.Fatal("Begin:", err)
	}
	if _, err := b.Put(tb.Context(), desc, role, w.src.Opener(desc)); err != nil {
		tb.Fatal("Put:", err)
	}
	_, err = b.Publish(tb.Context())
	if err := errors.Join(err, b.Close()); err != nil {
		tb.Fatal("Publish:", err)
	}
}

// graph writes what the source has below a descriptor, all together.
func (w *world) graph(tb testing.TB, lease string, root ocispec.Descriptor, moves ...store.Move) {
	tb.Helper()
	missing := func(*image.Node, error) error { return nil }
	g, err := image.Walker{Fetch: w.src.Fetch, Missing: missing}.Walk(tb.Context(), root)
	if err != nil {
		tb.Fatal(err)
	}
	b, err := w.Begin(tb.Context(), lease)
	if err != nil {
		tb.Fatal("Begin:", err)
	}
	for _, n := range g.Nodes() {
		if w.src.Get(n.Desc.Digest) == nil {
			continue
		}
		if _, err := b.Put(tb.Context(), n.Desc, n.Role, w.src.Opener(n.Desc)); err != nil {
			tb.Fatal("Put:", err)
		}
	}
	_, err = b.Publish(tb.Context(), moves...)
	if err := errors.Join(err, b.Close()); err != nil {
		tb.Fatal("Publish:", err)
	}
}

// written leaves something under a ref that is not complete.
func (w *world) written(tb testing.TB, lease, ref string, data []byte) {
	tb.Helper()
	b, err := w.Begin(tb.Context(), lease)
	if err != nil {
		tb.Fatal("Begin:", err)
	}
	writer, err := b.Writer(tb.Context(), ref)
	if err != nil {
		tb.Fatal("Writer:", err)
	}
	_, err = writer.Write(data)
	if err := errors.Join(err, writer.Close(), b.Close()); err != nil {
		tb.Fatal("Write:", err)
	}
}

var errBroken = errors.New("broken")

// broken leaves half of what a Put was to write.
func (w *world) broken(tb testing.TB, lease string, desc ocispec.Descriptor) {
	tb.Helper()
	b, err := w.Begin(tb.Context(), lease)
	if err != nil {
		tb.Fatal("Begin:", err)
	}
	half := w.src.Get(desc.Digest)[:desc.Size/2]
	_, err = b.Put(tb.Context(), desc, image.RoleLayer, func(context.Context, int64) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(half), failing{})), nil
	})
	if !errors.Is(err, errBroken) {
		tb.Fatal("Put:", err)
	}
	if err := b.Close(); err != nil {
		tb.Fatal(err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errBroken }

func pointing(desc ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size}
}

// Names of what fill writes.
const (
	one   = "docker.io/library/one:1"
	index = "registry.example:5000/a/index:latest"
	other = "quay.io/x/other:v2"
)

// fill writes some of all that a store may have.
func (w *world) fill(tb testing.TB) {
	tb.Helper()
	amd, arm := ocispec.Platform{OS: "linux", Architecture: "amd64"}, ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
	windows := ocispec.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.1", OSFeatures: []string{"win32k"}}
	first := w.src.Image(testimage.Image{Platform: amd, Layers: 2, LayerSize: 100 << 10, Annotations: map[string]string{"b": "2", "a": ""}})
	second := w.src.Image(testimage.Image{Platform: arm})
	elsewhere := &testimage.Store{}
	absent := elsewhere.Image(testimage.Image{Platform: windows})
	absent.URLs, absent.Data, absent.ArtifactType = []string{"https://example.com/x"}, elsewhere.Get(absent.Digest), "application/x"
	list := w.src.Index(first, second, absent, w.src.Attestation(first))
	docker := w.src.Image(testimage.Image{Platform: amd, Family: testimage.Docker, Name: "docker"})

	w.lease(tb, store.Lease{ID: "one", Labels: map[string]string{"z": "", "a": "b\x00\n"}, Until: w.now.Add(time.Hour)})
	w.lease(tb, store.Lease{ID: "a/b c\xff", Process: true})
	w.lease(tb, store.Lease{ID: "gone"})
	w.graph(tb, "one", list, store.Move{Name: index, To: pointing(list)}, store.Move{Name: one, To: pointing(first), Labels: map[string]string{"containerd.io/gc.root": "x"}})
	w.graph(tb, "gone", docker, store.Move{Name: other, To: pointing(docker)})
	w.graph(tb, "a/b c\xff", w.src.Referrer(list, "application/sbom", "sbom"))
	w.graph(tb, "a/b c\xff", w.src.Referrer(absent, "application/sbom", "of what is absent"))
	w.built(tb, docker)
	w.otherAlgorithm(tb)
	w.move(tb, store.Move{Name: other, To: pointing(first)}) // docker dangles
	w.move(tb, store.Move{Name: other, To: pointing(first), Labels: map[string]string{"later": "x"}})
	w.move(tb, store.Move{Name: "quay.io/x/other@" + list.Digest.String(), To: pointing(list)}, store.Move{Name: "quay.io/x/o:1", To: pointing(second)})
	w.move(tb, store.Move{Name: "quay.io/x/o:1", Forget: true}, store.Move{Name: "quay.io/x/other@" + list.Digest.String()})
	if err := w.Hold(tb.Context(), "one", digest.FromString("comes later"), digest.FromString("never")); err != nil {
		tb.Fatal("Hold:", err)
	}
	if err := w.Extend(tb.Context(), "one", w.now.Add(2*time.Hour)); err != nil {
		tb.Fatal("Extend:", err)
	}
	w.collected(tb)
	w.partial(tb)
	w.damaged(tb)
	// What no collection has seen:
	if err := w.Release(tb.Context(), "gone"); err != nil {
		tb.Fatal("Release:", err)
	}
	w.move(tb, store.Move{Name: "quay.io/x/long:sha384", Forget: true})
}

// built writes a config that says what it was built upon, and one that is not one at first.
func (w *world) built(tb testing.TB, upon ocispec.Descriptor) {
	tb.Helper()
	doc, err := image.Decode(w.src.Get(upon.Digest), image.Declared{Descriptor: upon.MediaType}, image.Limits{})
	if err != nil {
		tb.Fatal(err)
	}
	config := w.src.JSON(ocispec.MediaTypeImageConfig, map[string]any{
		"created": "2020-01-02T03:04:05.000000006+01:00", "os": "linux", "architecture": "arm", "variant": "v7",
		"config": map[string]any{"Labels": map[string]string{"org.mobyproject.image.parent": string(doc.Edges()[0].Desc.Digest)}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{}},
	})
	w.blob(tb, "one", config, image.RoleLayer)
	w.blob(tb, "one", config, image.RoleConfig)
}

// otherAlgorithm writes images whose digests are others.
func (w *world) otherAlgorithm(tb testing.TB) {
	tb.Helper()
	for _, a := range []digest.Algorithm{digest.SHA384, digest.SHA512} {
		w.src.Algorithm = a
		im := w.src.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "riscv64"}, LayerSize: 70 << 10, Name: string(a)})
		w.graph(tb, "one", im, store.Move{Name: "quay.io/x/long:" + string(a), To: pointing(im)})
	}
	w.src.Algorithm = ""
}

// collected writes blobs that are collected.
func (w *world) collected(tb testing.TB) {
	tb.Helper()
	w.lease(tb, store.Lease{ID: "short"})
	w.graph(tb, "short", w.src.Image(testimage.Image{LayerSize: 90 << 10, Name: "collected"}))
	if err := w.Release(tb.Context(), "short"); err != nil {
		tb.Fatal("Release:", err)
	}
	w.collect(tb)
}

// partial leaves what is not complete.
func (w *world) partial(tb testing.TB) {
	tb.Helper()
	w.written(tb, "one", "short", []byte("x"))
	w.written(tb, "one", "Not plain/\x00%", bytes.Repeat([]byte("x"), 70_000))
	w.written(tb, "one", "put on", []byte("y"))
	w.written(tb, "one", strings.Repeat("long ", 100), bytes.Repeat([]byte("0123456789abcdef"), 9<<20/16))
	w.broken(tb, "one", w.src.Put("text/plain", bytes.Repeat([]byte("half"), 50_000)))
}

// damaged has a file be set aside, and written again.
func (w *world) damaged(tb testing.TB) {
	tb.Helper()
	desc := w.src.Put("text/plain", bytes.Repeat([]byte("damaged"), 20_000))
	w.blob(tb, "one", desc, image.RoleLayer)
	hex := desc.Digest.Encoded()
	if err := os.Truncate(filepath.Join(w.dir, "blobs/sha256", hex[:2], hex), 3); err != nil {
		tb.Fatal(err)
	}
	w.blob(tb, "one", desc, image.RoleLayer)
}
