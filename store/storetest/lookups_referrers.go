package storetest

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
)

// referrersOf checks that documents are found by their subject, be it there or not, as
// long as they are visible.
func (f Factory) referrersOf(t *testing.T) {
	w := f.world(t)
	subject, absent := w.src.Image(testimage.Image{Platform: amd64()}), w.src.Image(testimage.Image{Platform: arm64()})
	var ofSubject []ocispec.Descriptor
	for _, payload := range []string{"one", "two", "three"} {
		ofSubject = append(ofSubject, w.src.Referrer(subject, "application/vnd.example.note", payload))
	}
	ofReferrer := w.src.Referrer(ofSubject[0], "application/vnd.example.note", "four")
	ofAbsent := w.src.Referrer(absent, "application/vnd.example.note", "five")
	check := func(of digest.Digest, want ...ocispec.Descriptor) {
		t.Helper()
		digests := []digest.Digest{}
		for _, desc := range want {
			digests = append(digests, desc.Digest)
		}
		slices.Sort(digests)
		w.view(t, func(r store.NameReader) {
			found, err := r.Referrers(of)
			if diff := cmp.Diff(digests, found); err != nil || diff != "" {
				t.Errorf("Referrers of %s: %v, - wanted + found:\n%s", of, err, diff)
			}
		})
	}

	check(subject.Digest)
	w.name(t, subject, busybox)
	check(subject.Digest)
	for i, desc := range ofSubject {
		w.hold(t, desc)
		check(subject.Digest, ofSubject[:i+1]...)
	}
	lease := w.hold(t, ofAbsent)
	w.hold(t, ofReferrer)
	for range 2 {
		check(subject.Digest, ofSubject...)
		check(ofSubject[0].Digest, ofReferrer)
		check(ofSubject[1].Digest)
		check(absent.Digest, ofAbsent)
		check(digest.FromString("anything"))
		w.reopen(t)
	}
	w.release(t, lease)
	w.collect(t)
	check(absent.Digest)
	check(subject.Digest, ofSubject...)
	w.view(t, func(r store.NameReader) {
		if found, err := r.Referrers("sha256:no"); !invalid(err) {
			t.Errorf("Referrers of what is no digest: %v, %v", found, err)
		}
	})
}
