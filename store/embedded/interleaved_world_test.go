package embedded

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
)

// linkOf is a descriptor in a document.
func linkOf(d ocispec.Descriptor) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, d.MediaType, d.Digest, d.Size)
}

// artifact puts a manifest whose config is empty.
func (b *batch) artifact(t *testing.T, extra string) ocispec.Descriptor {
	t.Helper()
	empty := ocispec.Descriptor{MediaType: ocispec.MediaTypeEmptyJSON, Digest: digest.FromString("{}"), Size: 2}
	return b.putBytes(t, ocispec.MediaTypeImageManifest, image.RoleManifest, fmt.Appendf(nil,
		`{"schemaVersion":2,"mediaType":%q,"artifactType":"a/b","config":%s,"layers":[]%s}`, ocispec.MediaTypeImageManifest, linkOf(empty), extra))
}

// list puts a list.
func (b *batch) list(t *testing.T, children []ocispec.Descriptor, extra string) ocispec.Descriptor {
	t.Helper()
	var links []string
	for _, c := range children {
		links = append(links, linkOf(c))
	}
	return b.putBytes(t, ocispec.MediaTypeImageIndex, image.RoleIndex, fmt.Appendf(nil,
		`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]%s}`, ocispec.MediaTypeImageIndex, strings.Join(links, ","), extra))
}

// withReferrer publishes something with a subject, that a lease of its own holds.
func withReferrer(t *testing.T, s *Store) {
	t.Helper()
	b := batchOf(t, s, "referrer")
	one := b.artifact(t, `,"annotations":{"a":"subject"}`)
	b.artifact(t, `,"annotations":{"a":"referrer"},"subject":`+linkOf(one))
	if _, err := b.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// clocked opens a store with a clock that can be put forward.
func clocked(t *testing.T) (s *Store, later *atomic.Int64) {
	t.Helper()
	later = &atomic.Int64{}
	s, err := Open(t.Context(), t.TempDir()+"/store", Options{Clock: func() time.Time { return time.Now().Add(time.Duration(later.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error("Close:", err)
		}
	})
	return s, later
}

// published publishes a batch and closes it.
func (b *batch) published(t *testing.T) {
	t.Helper()
	_, err := b.Publish(t.Context())
	if err := errors.Join(err, b.Close()); err != nil {
		t.Fatal("Publish:", err)
	}
}
