package blackbox_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/opencontainers/image-spec/schema"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport/oci"
)

// TestWhatIsWrittenIsValid writes images in every way that makes documents anew,
// and has them judged by the JSON schemas of the image specification and by
// another implementation.
func TestWhatIsWrittenIsValid(t *testing.T) {
	t.Parallel()
	var s testimage.Store
	amd64 := s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, Layers: 3})
	arm64 := s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}})
	docker := s.Image(testimage.Image{Family: testimage.Docker, Platform: ocispec.Platform{OS: "linux", Architecture: "s390x"}})
	windows := s.Image(testimage.Image{Platform: ocispec.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.20348.1"}})
	src := filepath.Join(t.TempDir(), "source")
	if err := s.WriteLayout(src,
		testimage.Named{Name: "oci", Desc: s.Index(amd64, arm64, windows, s.Attestation(amd64))},
		testimage.Named{Name: "docker", Desc: s.List(docker)},
		testimage.Named{Name: "mixed", Desc: s.Index(docker, amd64)},
		testimage.Named{Name: "single", Desc: amd64},
	); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"as it is":         {"oci"},
		"one platform":     {"oci", "--platform", "linux/arm64"},
		"sparse":           {"oci", "--platform", "linux/amd64,linux/arm64"},
		"stripped":         {"oci", "--platform", "linux/amd64,linux/arm64", "--strip"},
		"to schema 2":      {"oci", "--format", "v2s2"},
		"without attested": {"oci", "--format", "v2s2", "--drop-attestations"},
		"to OCI":           {"docker", "--format", "oci"},
		"mixed to OCI":     {"mixed", "--format", "oci"},
		"single to v2s2":   {"single", "--format", "v2s2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dst := filepath.Join(t.TempDir(), "layout")
			must(t, append([]string{"copy", "-q", "oci:" + src + ":" + args[0], "oci:" + dst + ":name"}, args[1:]...)...)
			judge(t, dst)
		})
	}
}

// judge checks all documents of a layout's image.
func judge(t *testing.T, dir string) {
	t.Helper()
	src, err := oci.OpenSource(t.Context(), parse(t, dir+":name"), oci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	root, err := src.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bySpec(t, src, root)
	other, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	byPeer(t, dir, other)
}

// bySpec validates a document and those below it that are there by the schema of
// their types; Docker's types have none.
func bySpec(t *testing.T, src *oci.Source, desc ocispec.Descriptor) {
	t.Helper()
	data, err := read(t.Context(), src, desc)
	if err != nil {
		return // left out of a sparse list
	}
	validators := map[string]schema.Validator{
		ocispec.MediaTypeImageIndex:    schema.ValidatorMediaTypeImageIndex,
		ocispec.MediaTypeImageManifest: schema.ValidatorMediaTypeManifest,
		ocispec.MediaTypeImageConfig:   schema.ValidatorMediaTypeImageConfig,
	}
	if v, ok := validators[desc.MediaType]; ok {
		if err := v.Validate(bytes.NewReader(data)); err != nil {
			t.Errorf("%s %s: %v\n%s", desc.MediaType, desc.Digest, err, data)
		}
	}
	if !image.IsDocument(desc.MediaType) {
		return
	}
	doc, err := image.Decode(data, image.Declared{Descriptor: desc.MediaType}, image.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", desc.Digest, err)
	}
	for _, e := range doc.Edges() {
		bySpec(t, src, e.Desc)
	}
}

// byPeer has the runnable images of an index that are there validated whole:
// digests, sizes, diff IDs and configs.
func byPeer(t *testing.T, dir string, index v1.ImageIndex) {
	t.Helper()
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	validated := 0
	for _, d := range m.Manifests {
		_, missing := os.Stat(filepath.Join(dir, "blobs", d.Digest.Algorithm, d.Digest.Hex))
		switch {
		case missing != nil: // left out of a sparse list
		case d.Platform != nil && d.Platform.OS == "unknown":
		case d.MediaType.IsIndex():
			nested, err := index.ImageIndex(d.Digest)
			if err != nil {
				t.Fatal(err)
			}
			byPeer(t, dir, nested)
			validated++
		default:
			im, err := index.Image(d.Digest)
			if err != nil {
				t.Fatal(err)
			}
			if err := validate.Image(im); err != nil {
				t.Errorf("%s: %v", d.Digest, err)
			}
			validated++
		}
	}
	if validated == 0 {
		t.Error("nothing was validated")
	}
}
