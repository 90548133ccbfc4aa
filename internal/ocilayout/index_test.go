package ocilayout_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/ocilayout"
	"github.com/dhowhq/dhow/internal/testimage"
)

// TestSearchForReferrersEnds shows that an index of many large documents costs no more
// than it may, and that what was found until then is returned.
func TestSearchForReferrersEnds(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	root := s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	one, two := s.Referrer(root, "application/x", "1"), s.Referrer(root, "application/x", "2")
	huge := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("huge"), Size: 1 << 40}
	s.Set(huge.Digest, nil)
	list, err := image.NewList(ocispec.MediaTypeImageIndex)
	if err == nil {
		list, err = list.Add(huge, root, one, one, two)
	}
	if err != nil {
		t.Fatal(err)
	}
	documents := func(desc ocispec.Descriptor) (image.Document, error) {
		return image.Decode(s.Get(desc.Digest), image.Declared{Descriptor: desc.MediaType}, image.Limits{})
	}
	var log strings.Builder
	x := ocilayout.NewIndex(list, documents, ocilayout.Options{ScanBytes: root.Size + 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	got, err := x.Referrers(t.Context(), root.Digest)
	if err != nil || len(got) != 1 || got[0].Digest != one.Digest {
		t.Errorf("Referrers: %v, %v; want %s alone", got, err, one.Digest)
	}
	if !strings.Contains(log.String(), "referrers may be missing") {
		t.Errorf("log: %s", log.String())
	}
}

// TestNamesOfAnotherKind shows that an index can be read by other names than ref.name.
func TestNamesOfAnotherKind(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	a := s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	b := s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "arm64"}})
	a.Annotations = map[string]string{ocilayout.ImageName: "docker.io/library/a:v1", ocispec.AnnotationRefName: "v1"}
	b.Annotations = map[string]string{ocilayout.ImageName: "docker.io/library/b:v1", ocispec.AnnotationRefName: "v1"}
	list, err := image.NewList(ocispec.MediaTypeImageIndex)
	if err != nil {
		t.Fatal(err)
	}
	nameOf := func(e ocispec.Descriptor) string { return e.Annotations[ocilayout.ImageName] }
	if list, err = ocilayout.Set(t.Context(), list, []ocispec.Descriptor{a, b}, nameOf); err != nil {
		t.Fatal(err)
	}
	x := ocilayout.NewIndex(list, nil, ocilayout.Options{NameOf: nameOf})
	got, err := x.Root(t.Context(), "docker.io/library/b:v1", -1)
	if err != nil || got.Digest != b.Digest || got.Annotations != nil {
		t.Errorf("Root: %+v, %v; want %s without a name", got, err, b.Digest)
	}
	if _, err := ocilayout.NewIndex(list, nil, ocilayout.Options{}).Root(t.Context(), "v1", -1); err == nil {
		t.Error("two entries with one ref.name: no error")
	}
}
