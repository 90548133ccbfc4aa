package containerd

import (
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
)

// has returns which of some blobs are known as documents.
func (d *documents) has(blobs []digest.Digest) (known []digest.Digest) {
	for _, of := range blobs {
		if _, is := d.facts(of); is {
			known = append(known, of)
		}
	}
	return known
}

// TestCollectForgets shows that an image is found no more by what a collection has taken
// from it, which containerd tells nobody.
func TestCollectForgets(t *testing.T) {
	t.Parallel()
	d := running(t)
	namespace := newNamespace()
	s, o := connect(t, d, namespace), newOther(t, d, namespace)
	manifest := o.src.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	facts, err := derive(o.src.Get(manifest.Digest), manifest.MediaType)
	if err != nil {
		t.Fatal(err)
	}
	o.writeImage(t, manifest) // the manifest does not keep its config
	o.name(t, busybox, manifest)
	found := func() bool { return slices.Equal(keysOf(t, s, containing(facts.Config)), []string{busybox}) }
	eventually(t, "the config is found", found)
	if err := o.deleteLease(t.Context(), o.lease, false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Collect(t.Context()); err != nil {
		t.Fatal("Collect:", err)
	}
	if found() {
		t.Error("found by a config that was collected")
	}
	if known := s.docs.has(o.src.Digests()); !slices.Equal(known, []digest.Digest{manifest.Digest}) {
		t.Errorf("known: %v", known)
	}
}

// TestRemovedForgotten shows that a document of an image which is removed, by whoever, is
// forgotten, unless another image has it too.
func TestRemovedForgotten(t *testing.T) {
	t.Parallel()
	d := running(t)
	namespace := newNamespace()
	s, o := connect(t, d, namespace), newOther(t, d, namespace)
	first := o.src.Image(testimage.Image{Name: "first", Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	second := o.src.Image(testimage.Image{Name: "second", Platform: ocispec.Platform{OS: "linux", Architecture: "arm64"}})
	list := o.src.Index(first, second)
	const name, other = busybox, "docker.io/library/busybox:other"
	publish(t, s, o.lease, &o.src, list, store.Move{Name: name, To: target(list)})
	publish(t, s, o.lease, &o.src, first, store.Move{Name: other, To: target(first)})
	before := s.docs.has(o.src.Digests())
	o.unname(t, name)
	eventually(t, "what only the list has is forgotten", func() bool {
		return len(before) == 5 && len(s.docs.has(before)) == 2 && len(s.docs.has([]digest.Digest{first.Digest})) == 1
	})
	if _, err := s.Move(t.Context(), store.Move{Name: other, Forget: true}); err != nil {
		t.Fatal("Move:", err)
	}
	if known := s.docs.has(before); len(known) != 0 {
		t.Errorf("known: %v", known)
	}
	for _, desc := range []ocispec.Descriptor{first, second} { // they are there, and understood again
		if facts, err := s.Facts(t.Context(), desc.Digest); err != nil || facts.MediaType != desc.MediaType || facts.Platform == nil {
			t.Errorf("Facts: %+v, %v", facts, err)
		}
	}
}

// TestRebuildForgets shows that what another process has collected is forgotten when the
// index is built anew, and nothing else.
func TestRebuildForgets(t *testing.T) {
	t.Parallel()
	d := running(t)
	namespace := newNamespace()
	s, o := connect(t, d, namespace), connect(t, d, namespace)
	gone := s.docs.has(mine(t, s).Digests())
	var src testimage.Store
	root := src.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "arm64"}})
	publish(t, s, "mine", &src, root, store.Move{Name: busybox, To: target(root)})
	if err := o.Release(t.Context(), "mine"); err != nil {
		t.Fatal("Release:", err)
	}
	if _, err := o.Collect(t.Context()); err != nil {
		t.Fatal("Collect:", err)
	}
	if err := s.rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	if known := s.docs.has(gone); len(gone) != 2 || len(known) != 0 {
		t.Errorf("known of %v: %v", gone, known)
	}
	if known := s.docs.has(src.Digests()); len(known) != 2 {
		t.Errorf("known of what is there: %v", known)
	}
}
