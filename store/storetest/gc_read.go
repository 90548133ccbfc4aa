package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
)

// keptBelowReaders checks that a reader of a list keeps what is below it, and what refers
// to that.
func (f Factory) keptBelowReaders(t *testing.T) {
	for _, referrer := range []bool{false, true} {
		t.Run(fmt.Sprintf("referrer %t", referrer), func(t *testing.T) {
			w := f.world(t)
			one := w.src.Image(testimage.Image{Platform: amd64(), LayerSize: large})
			roots := []ocispec.Descriptor{w.src.Index(one, w.src.Image(testimage.Image{Platform: arm64()}))}
			if referrer {
				roots = append(roots, w.src.Referrer(one, "application/vnd.example.signature", "signature"))
			}
			lease := w.hold(t, roots...)
			r, err := w.Open(t.Context(), roots[0].Digest, 0)
			if err != nil {
				t.Fatal("Open:", err)
			}
			w.release(t, lease)
			w.collect(t)
			w.wantBlobs(t, w.src.digests(t, roots...)...)
			if err := r.Close(); err != nil {
				t.Error("Close:", err)
			}
			w.collect(t)
			w.wantBlobs(t)
		})
	}
}

// heldReferrers checks that what refers to what a lease holds stays as long as that.
func (f Factory) heldReferrers(t *testing.T) {
	w := f.world(t)
	subject := w.src.Image(testimage.Image{Platform: amd64()})
	signature := w.src.Referrer(subject, "application/vnd.example.signature", "signature")
	holds, other := w.hold(t, subject), w.hold(t, signature)
	w.release(t, other)
	w.collect(t)
	w.wantBlobs(t, w.src.digests(t, subject, signature)...)
	w.release(t, holds)
	w.collect(t)
	w.wantBlobs(t)
}

// openedMeanwhile checks that a list which is opened while a collection runs keeps what is
// below it from then on, wherever the collection is.
func (f Factory) openedMeanwhile(t *testing.T) {
	w := f.world(t)
	one := w.src.Image(testimage.Image{Platform: amd64(), Name: "subject"})
	w.hold(t, one, w.src.Referrer(one, "application/vnd.example.signature", "signature"))
	for n := range 10 {
		var parts []ocispec.Descriptor
		var moves []store.Move
		for i := range 40 {
			part := w.src.Image(testimage.Image{Platform: amd64(), Name: fmt.Sprint(n, i)})
			w.name(t, part, fmt.Sprintf("docker.io/library/part:%d", i))
			parts = append(parts, part)
			moves = append(moves, store.Move{Name: fmt.Sprintf("docker.io/library/part:%d", i), Forget: true})
		}
		list := w.src.Index(parts...)
		w.name(t, list, busybox)
		w.collect(t)
		w.move(t, append(moves, store.Move{Name: busybox, Forget: true})...)
		done := make(chan error, 1)
		go func() { _, err := store.Collect(context.WithoutCancel(t.Context()), w); done <- err }()
		time.Sleep(time.Duration(n) * 100 * time.Microsecond)
		r, openErr := w.Open(t.Context(), list.Digest, 0)
		var there []digest.Digest
		for _, part := range parts {
			if _, err := w.Stat(t.Context(), part.Digest); openErr == nil && err == nil {
				there = append(there, part.Digest)
			}
		}
		if err := <-done; err != nil {
			t.Fatal("Collect:", err)
		}
		if openErr != nil {
			continue // it was gone
		}
		for _, d := range there {
			w.wantBlob(t, d)
		}
		if err := r.Close(); err != nil {
			t.Error("Close:", err)
		}
		w.collect(t)
	}
}
