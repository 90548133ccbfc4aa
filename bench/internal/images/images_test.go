package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func small() Spec { return Spec{Name: "small", Platforms: 3, Layers: 2, LayerSize: 1000} }

func TestMake(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		spec             Spec
		manifests, blobs int
		names            []string
	}{
		"an index":       {spec: small(), manifests: 4, blobs: 9},
		"a single image": {spec: Spec{Name: "single", Layers: 1, LayerSize: 10}, manifests: 1, blobs: 2},
		"several tags": {
			spec:      Spec{Name: "tags", Platforms: 1, Layers: 1, LayerSize: 10, Tags: 3},
			manifests: 6, blobs: 6,
			names: []string{"v0", "v1", "v2"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			image, err := Make(t.Context(), t.TempDir(), tc.spec)
			if err != nil {
				t.Fatal(err)
			}
			if err := image.CheckLayout(image.Layout, HashBlobs); err != nil {
				t.Error(err)
			}
			if len(image.Manifests) != tc.manifests || len(image.Blobs) != tc.blobs {
				t.Errorf("%d manifests and %d blobs, want %d and %d", len(image.Manifests), len(image.Blobs), tc.manifests, tc.blobs)
			}
			if diff := cmp.Diff(tc.names, image.Names()); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMakeIsReproducible(t *testing.T) {
	t.Parallel()
	first, err := Make(t.Context(), t.TempDir(), small())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	second, err := Make(t.Context(), dir, small())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first.Tags, second.Tags); diff != "" {
		t.Errorf("another image the second time (-first +second):\n%s", diff)
	}
	const want = "sha256:30c4d14ff4ab1b7a9d73f476769289e3767385867068859724491e2e560904f0" // with another one the version has to be another one too
	if got := first.Tags[0].Root.Digest.String(); got != want {
		t.Errorf("the root is %s, want %s", got, want)
	}
	third, err := Make(t.Context(), dir, small())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(second, third); diff != "" {
		t.Errorf("an image that was there is another one (-made +found):\n%s", diff)
	}
	other := small()
	other.LayerSize++
	if fourth, err := Make(t.Context(), dir, other); err != nil {
		t.Fatal(err)
	} else if fourth.Tags[0].Root.Digest == third.Tags[0].Root.Digest {
		t.Error("another spec has the same image")
	}
}

func TestLayersAreReal(t *testing.T) {
	t.Parallel()
	image, err := Make(t.Context(), t.TempDir(), small())
	if err != nil {
		t.Fatal(err)
	}
	for _, desc := range image.Blobs {
		if desc.MediaType != ocispec.MediaTypeImageLayerGzip {
			continue
		}
		data, err := os.ReadFile(blobPath(image.Layout, desc.Digest))
		if err != nil {
			t.Fatal(err)
		}
		gz, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		tr := tar.NewReader(gz)
		header, err := tr.Next()
		if err != nil {
			t.Fatal(err)
		}
		if header.Size != 1000 {
			t.Errorf("a file of %d bytes, want 1000", header.Size)
		}
		if _, err := tr.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("after the file: %v, want EOF", err)
		}
	}
}

func TestInstance(t *testing.T) {
	t.Parallel()
	image, err := Make(t.Context(), t.TempDir(), small())
	if err != nil {
		t.Fatal(err)
	}
	instance, err := image.Instance("linux/arm64")
	if err != nil {
		t.Fatal(err)
	}
	if instance.Tags[0].Root.Digest != image.Manifests[1].Digest || len(instance.Manifests) != 1 || len(instance.Blobs) != 3 {
		t.Errorf("not the instance: %+v", instance)
	}
	if _, err := image.Instance("plan9/mips"); err == nil {
		t.Error("a platform that is not there was found")
	}
}

func TestCheckLayout(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		damage func(t *testing.T, i *Image)
		sizes  bool // seen without hashing the blobs
	}{
		"a layer that is missing": {
			damage: func(t *testing.T, i *Image) { must(t, os.Remove(blobPath(i.Layout, i.Blobs[0].Digest))) },
			sizes:  true,
		},
		"a layer that is too short": {
			damage: func(t *testing.T, i *Image) { must(t, os.Truncate(blobPath(i.Layout, i.Blobs[0].Digest), 5)) },
			sizes:  true,
		},
		"a layer with other bytes": {
			damage: func(t *testing.T, i *Image) { overwrite(t, blobPath(i.Layout, i.Blobs[0].Digest)) },
		},
		"a manifest with other bytes": {
			damage: func(t *testing.T, i *Image) { overwrite(t, blobPath(i.Layout, i.Manifests[0].Digest)) },
			sizes:  true,
		},
		"an index without the image": {
			damage: func(t *testing.T, i *Image) {
				must(t, os.WriteFile(filepath.Join(i.Layout, ocispec.ImageIndexFile), []byte(`{"manifests":[]}`), 0o644))
			},
			sizes: true,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			image, err := Make(t.Context(), t.TempDir(), small())
			if err != nil {
				t.Fatal(err)
			}
			tc.damage(t, image)
			if err := image.CheckLayout(image.Layout, HashBlobs); err == nil {
				t.Error("the damage was not seen")
			}
			if err := image.CheckLayout(image.Layout, SizesOnly); (err != nil) != tc.sizes {
				t.Errorf("without hashing: %v", err)
			}
		})
	}
}

func TestCheckRegistry(t *testing.T) {
	t.Parallel()
	image, err := Make(t.Context(), t.TempDir(), small())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		if name == Tag {
			name = image.Tags[0].Root.Digest.String()
		}
		http.ServeFile(w, r, filepath.Join(image.Layout, "blobs", strings.ReplaceAll(name, ":", "/")))
	}))
	defer server.Close()
	host := server.Listener.Addr().String()
	if err := image.CheckRegistry(t.Context(), host, "bench/small"); err != nil {
		t.Error(err)
	}
	must(t, os.Remove(blobPath(image.Layout, image.Blobs[len(image.Blobs)-1].Digest)))
	if err := image.CheckRegistry(t.Context(), host, "bench/small"); err == nil {
		t.Error("a blob that is missing was not seen")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

// overwrite changes a file's first byte.
func overwrite(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	data[0] ^= 1
	must(t, os.WriteFile(path, data, 0o644))
}
