package image_test

import (
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
)

// TestListEditGolden edits an index as BuildKit makes them, a file for each edit.
func TestListEditGolden(t *testing.T) {
	t.Parallel()
	edits := map[string]func(l *image.List) (*image.List, error){
		"keep-arm-and-its-attestations": func(l *image.List) (*image.List, error) {
			chosen := digestOf("arm64")
			return l.Keep(func(e ocispec.Descriptor) bool {
				of, _ := image.AttestationOf(e)
				return e.Digest == chosen || of == chosen
			})
		},
		"converted-instance": func(l *image.List) (*image.List, error) {
			to := manifestDesc("converted")
			to.MediaType = image.MediaTypeDockerManifest
			l, err := l.Update(digestOf("arm64"), to)
			if err != nil {
				return nil, err
			}
			return l.Annotate(digestOf("att arm64"), map[string]string{image.AnnotationReferenceDigest: to.Digest.String()})
		},
		"zstd-beside-gzip": func(l *image.List) (*image.List, error) {
			l, err := l.CloneInstance(digestOf("amd64"), manifestDesc("zstd amd64"), image.Zstd)
			if err != nil {
				return nil, err
			}
			return l.CloneInstance(digestOf("arm64"), manifestDesc("zstd arm64"), image.Zstd)
		},
		"another-platform": func(l *image.List) (*image.List, error) {
			return l.Add(ocispec.Descriptor{
				MediaType: ocispec.MediaTypeImageManifest, Digest: digestOf("windows 2025"), Size: 902,
				Platform: &ocispec.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.26100.1742", OSFeatures: []string{"win32k"}},
			})
		},
		"another-version": func(l *image.List) (*image.List, error) {
			return l.Annotate("", map[string]string{"org.opencontainers.image.version": "1.2.4", "org.opencontainers.image.ref.name": ""})
		},
	}
	for name, edit := range edits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := decodeAs[*image.List](t, readFile(t, filepath.Join("testdata", "convert", "oci-index", "in.json")))
			edited, err := edit(l)
			if err != nil {
				t.Fatal(err)
			}
			wellMade(t, edited)
			if !strings.Contains(string(edited.Bytes()), `"com.example.extension":[{"kept":"yes"}]`) {
				t.Error("a member that nobody knows was lost")
			}
			golden(t, filepath.Join("testdata", "edit", name+".json"), edited.Bytes())
		})
	}
}
