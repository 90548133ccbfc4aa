package storetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// putTogether checks that one digest which many batches want at once is read once.
func (f Factory) putTogether(t *testing.T) {
	w := f.world(t)
	for _, size := range []int{small, large} {
		desc := w.src.Put(ocispec.MediaTypeImageLayerGzip, bytes.Repeat([]byte("x"), size))
		before := w.src.read.Load()
		var written atomic.Int64
		var batches []*batch
		for range 8 {
			batches = append(batches, w.begin(t, w.lease(t)))
		}
		together(batches, func(b *batch) {
			put, err := b.Put(t.Context(), desc, image.RoleLayer, w.src.opener(desc))
			if err != nil {
				t.Error("Put:", err)
			}
			if put == store.Written {
				written.Add(1)
			}
		})
		together(batches, func(b *batch) {
			if _, err := b.Publish(t.Context()); err != nil {
				t.Error("Publish:", err)
			}
		})
		if n := w.src.read.Load() - before; n != desc.Size {
			t.Errorf("%d bytes were read of a blob of %d", n, desc.Size)
		}
		if written.Load() == 0 {
			t.Error("nobody has written it")
		}
		w.wantBlob(t, desc.Digest)
	}
}

// together does something with all batches at once.
func together(batches []*batch, do func(b *batch)) {
	var wg sync.WaitGroup
	for _, b := range batches {
		wg.Go(func() { do(b) })
	}
	wg.Wait()
}

// putShared checks that each of two batches that want a blob makes it visible.
func (f Factory) putShared(t *testing.T) {
	skipIf(t, f.Cannot.Together)
	for _, which := range []string{"the batch that has written it", "the batch that has not"} {
		t.Run(which, func(t *testing.T) {
			w := f.world(t)
			first, second := w.begin(t, w.lease(t)), w.begin(t, w.lease(t))
			desc := first.blob(t, bytes.Repeat([]byte("x"), large))
			second.put(t, desc, image.RoleLayer)
			w.wantBlobs(t)
			if which == "the batch that has not" {
				first, second = second, first
			}
			first.publish(t)
			w.wantBlob(t, desc.Digest)
			first.close(t)
			second.publish(t)
			w.wantBlob(t, desc.Digest)
		})
	}
}

// batchesCross checks that two batches which want each other's blobs do not wait for
// each other for ever.
func (f Factory) batchesCross(t *testing.T) {
	w := f.world(t)
	one, two := w.begin(t, w.lease(t)), w.begin(t, w.lease(t))
	a, b := one.blob(t, []byte("a")), two.blob(t, []byte("b"))
	one.put(t, b, image.RoleLayer)
	two.put(t, a, image.RoleLayer)
	one.publish(t)
	one.close(t)
	two.publish(t)
	w.wantBlobs(t, a.Digest, b.Digest)
}

// putAbandoned checks that a batch which relies on the blob of another one has it
// also when that is closed without Publish, before it was complete or after.
func (f Factory) putAbandoned(t *testing.T) {
	t.Run("complete", func(t *testing.T) {
		w := f.world(t)
		first, second := w.begin(t, w.lease(t)), w.begin(t, w.lease(t))
		for _, size := range []int{small, large} {
			desc := first.blob(t, bytes.Repeat([]byte("x"), size))
			second.put(t, desc, image.RoleLayer)
		}
		first.close(t)
		second.publish(t)
		for _, d := range w.src.Digests() {
			w.wantBlob(t, d)
		}
	})
	t.Run("not complete", func(t *testing.T) {
		w := f.world(t)
		first, second := w.begin(t, w.lease(t)), w.begin(t, w.lease(t))
		desc := w.src.Put(ocispec.MediaTypeImageLayerGzip, bytes.Repeat([]byte("x"), large))
		begun, cut := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := first.Put(t.Context(), desc, image.RoleLayer, func(context.Context, int64) (io.ReadCloser, error) {
				close(begun)
				<-cut
				return nil, errBroken
			})
			wantKind(t, "Put that is cut", err, errBroken)
		})
		<-begun
		wg.Go(func() {
			if _, err := second.Put(t.Context(), desc, image.RoleLayer, w.src.opener(desc)); err != nil {
				t.Error("Put that has waited:", err)
			}
		})
		close(cut)
		wg.Wait()
		second.publish(t)
		w.wantBlob(t, desc.Digest)
	})
}

// batchTogether checks that one batch may be written from many goroutines.
func (f Factory) batchTogether(t *testing.T) {
	w := f.world(t)
	b := w.begin(t, w.lease(t))
	var descs []ocispec.Descriptor
	for i := range 100 {
		descs = append(descs, w.src.Put(ocispec.MediaTypeImageLayerGzip, bytes.Repeat(fmt.Append(nil, "blob ", i), 1+i%10*2000)))
	}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range descs {
				desc := descs[(i*7+worker*13)%len(descs)]
				if _, err := b.Put(t.Context(), desc, image.RoleLayer, w.src.opener(desc)); err != nil {
					t.Error("Put:", err)
				}
				if i%20 == worker {
					if _, err := b.Publish(t.Context()); err != nil {
						t.Error("Publish:", err)
					}
				}
			}
		})
	}
	wg.Wait()
	b.publish(t)
	w.wantBlobs(t, w.src.Digests()...)
	for _, desc := range descs {
		w.wantBlob(t, desc.Digest)
	}
}

// otherLease checks that a blob which two leases hold stays until both have ended.
func (f Factory) otherLease(t *testing.T) {
	w := f.world(t)
	one, two := w.lease(t), w.lease(t)
	first, second := w.begin(t, one), w.begin(t, two)
	desc := first.blob(t, []byte("x"))
	first.publish(t)
	second.put(t, desc, image.RoleLayer)
	second.publish(t)
	first.close(t)
	second.close(t)
	w.release(t, one)
	w.collect(t)
	w.wantBlob(t, desc.Digest)
	w.release(t, two)
	w.collect(t)
	w.wantAbsent(t, desc.Digest)
}

// otherLetsGo checks that a batch publishes what it wrote also when another one has done
// so first, and its lease has ended and a collection been run before.
func (f Factory) otherLetsGo(t *testing.T) {
	w := f.world(t)
	one, two := w.lease(t), w.lease(t)
	first, second := w.begin(t, one), w.begin(t, two)
	var descs []ocispec.Descriptor
	for _, size := range []int{small, large} {
		descs = append(descs, first.blob(t, bytes.Repeat([]byte("x"), size)))
	}
	streamed := w.layer(bytes.Repeat([]byte("y"), large))
	writer := first.writer(t, "ref")
	write(t, writer, w.src.Get(streamed.Digest))
	if err := writer.Commit(t.Context(), streamed, image.RoleLayer); err != nil {
		t.Fatal("Commit:", err)
	}
	descs = append(descs, streamed)
	for _, desc := range descs {
		second.put(t, desc, image.RoleLayer)
	}
	second.publish(t)
	second.close(t)
	w.release(t, two)
	w.collect(t)
	first.publish(t)
	first.close(t)
	w.wantBlobs(t, w.src.Digests()...)
	for _, desc := range descs {
		w.wantBlob(t, desc.Digest)
	}
	w.release(t, one)
	w.collect(t)
	w.wantBlobs(t)
}
