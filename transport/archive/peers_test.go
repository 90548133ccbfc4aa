package archive_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	ctdarchive "github.com/containerd/containerd/v2/core/images/archive"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	oraslayout "oras.land/oras-go/v2/content/oci"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/archive"
	"github.com/dhowhq/dhow/transport/transporttest"
)

// peersArchive writes a list under two names and an image beside it.
func peersArchive(t *testing.T, kind archive.Kind, names ...string) (path string, list, single ocispec.Descriptor) {
	t.Helper()
	store := &testimage.Store{}
	amd64 := store.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, Layers: 2})
	arm64 := store.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "arm64"}, LayerSize: 2 << 20})
	list = store.Index(amd64, arm64, store.Attestation(amd64))
	path = filepath.Join(t.TempDir(), "images.tar")
	w, err := archive.Create(t.Context(), path, kind, archive.Options{Platform: arm64.Platform})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for i, root := range []ocispec.Descriptor{list, amd64} {
		dst, err := w.Image(names[i])
		if err == nil {
			err = copyImage(t.Context(), dst, store, root)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	return path, list, amd64
}

// TestGoContainerRegistryReads has crane's library read manifest.json.
func TestGoContainerRegistryReads(t *testing.T) {
	t.Parallel()
	path, _, _ := peersArchive(t, archive.Docker, "example.com/app:v1", "single")
	for text, arch := range map[string]string{"example.com/app:v1": "arm64", "single:latest": "amd64"} {
		tag, err := name.NewTag(text)
		if err != nil {
			t.Fatal(err)
		}
		im, err := tarball.ImageFromPath(path, &tag)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(im); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if config, err := im.ConfigFile(); err != nil || config.Architecture != arch {
			t.Errorf("%s: %+v, %v; want %s", text, config, err, arch)
		}
	}
}

// TestContainerdReads has containerd's library import the archive, as `ctr image import` and
// `docker load` with the containerd store do.
func TestContainerdReads(t *testing.T) {
	t.Parallel()
	path, list, single := peersArchive(t, archive.Docker, "example.com/app:v1", "single")
	store, err := local.NewStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx := namespaces.WithNamespace(t.Context(), "test")
	index, err := ctdarchive.ImportIndex(ctx, store, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, index.Size)
	r, err := store.ReaderAt(ctx, index)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.ReadAt(raw, 0); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{list.Digest.String(), single.Digest.String(), `"docker.io/library/single:latest"`, `"example.com/app:v1"`} {
		if !bytes.Contains(raw, []byte(want)) {
			t.Errorf("the imported index has no %s: %s", want, raw)
		}
	}
	if _, err := store.Info(ctx, list.Digest); err != nil {
		t.Errorf("the list: %v", err)
	}

	// And back: what containerd exports is read here.
	var exported bytes.Buffer
	if err := ctdarchive.Export(ctx, store, &exported, ctdarchive.WithManifest(list, "example.com/app:v1", "example.com/app:v2"), ctdarchive.WithManifest(single)); err != nil {
		t.Fatal(err)
	}
	images := imagesIn(t, &exported)
	if len(images) != 2 || images[0].Root.Digest != list.Digest || !slices.Equal(images[0].Names, []string{"example.com/app:v1", "example.com/app:v2"}) || images[1].Root.Digest != single.Digest {
		t.Errorf("images: %+v", images)
	}
}

// imagesIn reads an archive, and every byte of its images.
func imagesIn(t *testing.T, stream io.Reader) []archive.Image {
	t.Helper()
	r, err := archive.NewReader(t.Context(), stream, archive.Docker, archive.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { transporttest.Close(t, r) })
	images, err := r.Images(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, im := range images {
		src := im.Source()
		fetch := func(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
			return transport.Fetch(ctx, src, desc, 4<<20)
		}
		g, err := image.Walker{Fetch: fetch}.Walk(t.Context(), im.Root)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range g.Nodes() {
			if _, err := fetch(t.Context(), n.Desc); err != nil {
				t.Errorf("%s: %v", n.Role, err)
			}
		}
	}
	return images
}

// TestReadsWhatGoContainerRegistryWrites has crane's library write an archive of two images.
func TestReadsWhatGoContainerRegistryWrites(t *testing.T) {
	t.Parallel()
	var stream bytes.Buffer
	byTag := map[name.Tag]v1.Image{}
	for _, text := range []string{"example.com/a:v1", "b:v2"} {
		tag, err := name.NewTag(text)
		if err != nil {
			t.Fatal(err)
		}
		if byTag[tag], err = random.Image(5000, 3); err != nil {
			t.Fatal(err)
		}
	}
	if err := tarball.MultiWrite(byTag, &stream); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, im := range imagesIn(t, &stream) {
		names = append(names, im.Names...)
	}
	if slices.Sort(names); !slices.Equal(names, []string{"docker.io/library/b:v2", "example.com/a:v1"}) {
		t.Errorf("names: %q", names)
	}
}

// TestORASReads has oras read an archive as a layout in a tar file.
func TestORASReads(t *testing.T) {
	t.Parallel()
	path, list, _ := peersArchive(t, archive.OCI, "v1", "single")
	store, err := oraslayout.NewFromTar(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	desc, err := store.Resolve(t.Context(), "v1")
	if err != nil || desc.Digest != list.Digest {
		t.Errorf("Resolve: %v, %v", desc, err)
	}
	var tags []string
	if err := store.Tags(t.Context(), "", func(some []string) error { tags = append(tags, some...); return nil }); err != nil || !slices.Equal(tags, []string{"single", "v1"}) {
		t.Errorf("tags: %q, %v", tags, err)
	}
}
