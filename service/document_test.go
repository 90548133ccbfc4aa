package service_test

import (
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/service"
)

// TestDocumentOfConfig shows that a config means the manifest whose config it is, for Tag and
// for Document, and not one before that which has it as a layer.
func TestDocumentOfConfig(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{})
	want := f.manifest("wanted")
	config := f.children(t, want)[0]
	layer := config
	layer.MediaType = ocispec.MediaTypeImageLayer
	f.put(t, f.src.Index(f.manifest("first", layer), want), "two:1")
	if doc, err := f.Document(t.Context(), string(config.Digest)); err != nil || doc.Digest != want.Digest {
		t.Errorf("Document: %s, %v; want %s", doc.Digest, err, want.Digest)
	}
	if tagged, err := f.Tag(t.Context(), string(config.Digest), "other:1"); err != nil || tagged.Target.Digest != want.Digest {
		t.Errorf("Tag: %s, %v; want %s", tagged.Target.Digest, err, want.Digest)
	}
}
