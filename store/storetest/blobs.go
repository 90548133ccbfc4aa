package storetest

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
)

var errBroken = errors.New("the cable was cut")

func (f Factory) blobs() map[string]func(*testing.T) {
	return map[string]func(*testing.T){
		"visible after Publish":         f.visibleAfterPublish,
		"closed without Publish":        f.closedUnpublished,
		"Publish again":                 f.publishAgain,
		"sizes":                         f.sizes,
		"algorithms":                    f.algorithms,
		"offsets":                       f.offsets,
		"read at":                       f.readAt,
		"put what is there":             f.putVisible,
		"bytes that do not fit":         f.badBytes,
		"resume":                        f.resume,
		"resume what was wrong":         f.resumeWrong,
		"walk":                          f.walk,
		"one digest at once":            f.putTogether,
		"two batches want one blob":     f.putShared,
		"batches cross":                 f.batchesCross,
		"the other batch gives up":      f.putAbandoned,
		"one batch from many":           f.batchTogether,
		"hostile digests":               f.hostileDigest,
		"no lease":                      f.noLease,
		"an opener fails":               f.openerFails,
		"complete blobs are kept":       f.completeKept,
		"visible since":                 f.visibleSince,
		"a batch that Publish refused":  f.publishRefused,
		"published under another lease": f.otherLease,
		"another lets go of it":         f.otherLetsGo,
	}
}

// visibleAfterPublish checks that nothing of a batch shows before Publish.
func (f Factory) visibleAfterPublish(t *testing.T) {
	skipIf(t, f.Cannot.Together)
	w := f.world(t)
	root := w.src.Image(testimage.Image{Platform: amd64(), Layers: 2, LayerSize: large})
	b := w.begin(t, w.lease(t))
	b.image(t, root)
	w.wantBlobs(t)
	for _, n := range w.src.nodes(t, root) {
		w.wantAbsent(t, n.Desc.Digest)
	}
	b.publish(t)
	w.wantBlobs(t, w.src.digests(t, root)...)
	w.wantImage(t, root)
}

// closedUnpublished checks that what was not published never shows.
func (f Factory) closedUnpublished(t *testing.T) {
	w := f.world(t)
	b := w.begin(t, w.lease(t))
	descs := []ocispec.Descriptor{b.blob(t, bytes.Repeat([]byte("a"), small)), b.blob(t, bytes.Repeat([]byte("b"), large))}
	b.close(t)
	for range 2 {
		w.wantBlobs(t)
		for _, desc := range descs {
			w.wantAbsent(t, desc.Digest)
		}
		w.reopen(t)
	}
}

// publishAgain checks that a batch goes on after Publish, and that an empty one is
// published too.
func (f Factory) publishAgain(t *testing.T) {
	w := f.world(t)
	b := w.begin(t, w.lease(t))
	b.publish(t)
	first := b.blob(t, []byte("first"))
	b.publish(t)
	w.wantBlobs(t, first.Digest)
	second := b.blob(t, []byte("second"))
	b.publish(t)
	b.publish(t)
	w.wantBlobs(t, first.Digest, second.Digest)
}

// sizes checks that blobs of all sizes come back.
func (f Factory) sizes(t *testing.T) {
	w := f.world(t)
	b := w.begin(t, w.lease(t))
	var all []ocispec.Descriptor
	for i, size := range []int{0, 1, small, 4095, 4096, 64<<10 - 1, 64 << 10, 64<<10 + 1, large, 1 << 20, 5<<20 + 1} {
		all = append(all, b.blob(t, bytes.Repeat([]byte{byte(i)}, size)))
	}
	b.publish(t)
	for _, desc := range all {
		w.wantBlob(t, desc.Digest)
	}
	w.reopen(t)
	for _, desc := range all {
		w.wantBlob(t, desc.Digest)
	}
}

// algorithms checks that each digest algorithm is used as it is named.
func (f Factory) algorithms(t *testing.T) {
	skipIf(t, f.Cannot.SHA512)
	for _, alg := range []digest.Algorithm{digest.SHA384, digest.SHA512} {
		t.Run(alg.String(), func(t *testing.T) {
			w := f.world(t)
			w.src.Algorithm = alg
			root := w.src.Image(testimage.Image{Platform: amd64(), LayerSize: large})
			w.name(t, root, busybox)
			w.wantBlobs(t, w.src.digests(t, root)...)
			w.wantImage(t, root)
			w.wantNames(t, map[string]digest.Digest{busybox: root.Digest})
			desc := root
			desc.Digest = alg.FromString("other")
			b := w.begin(t, w.lease(t))
			_, err := b.Put(t.Context(), desc, image.RoleLayer, w.src.opener(root))
			wantKind(t, "Put of other bytes", err, errdefs.ErrDataLoss)
		})
	}
}

// offsets checks that a blob is read from where it was asked for.
func (f Factory) offsets(t *testing.T) {
	w := f.world(t)
	b := w.begin(t, w.lease(t))
	for _, size := range []int64{small, large} {
		desc := b.blob(t, []byte(strings.Repeat("0123456789", int(size)/10)))
		b.publish(t)
		for _, from := range []int64{0, 1, size / 2, size - 1, size} {
			got, err := readAll(t.Context(), w, desc.Digest, from)
			if want := w.src.Get(desc.Digest)[from:]; err != nil || !bytes.Equal(got, want) {
				t.Errorf("Open of %d bytes from %d: %d bytes, error %v; want %d", size, from, len(got), err, len(want))
			}
		}
		for _, from := range []int64{-1, size + 1, -1 << 63, 1<<63 - 1} {
			_, err := readAll(t.Context(), w, desc.Digest, from)
			wantKind(t, "Open beyond the size", err, errdefs.ErrInvalidArgument)
		}
	}
}

// readAt checks that blobs are read anywhere.
func (f Factory) readAt(t *testing.T) {
	w := f.world(t)
	b := w.begin(t, w.lease(t))
	for _, size := range []int{0, small, large} {
		data := []byte(strings.Repeat("0123456789", size/10))
		desc := b.blob(t, data)
		b.publish(t)
		r, err := w.OpenAt(t.Context(), desc.Digest)
		if err != nil {
			t.Fatal("OpenAt:", err)
		}
		if r.Size() != int64(size) {
			t.Errorf("Size: %d, want %d", r.Size(), size)
		}
		// iotest reads at all offsets, also beyond the end, and checks the errors.
		if err := iotest.TestReader(io.NewSectionReader(r, 0, min(r.Size(), small)), data[:min(size, small)]); err != nil {
			t.Error(err)
		}
		for from := 0; from < size; from += max(size/20, 1) {
			wantReadAt(t, r, data, from, 1, 4096, size-from, size)
		}
		if n, err := r.ReadAt(make([]byte, 10), int64(size)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("ReadAt the end: %d, %v; want 0, EOF", n, err)
		}
		if _, err := r.ReadAt(make([]byte, 10), -1); err == nil {
			t.Error("ReadAt of a negative offset: no error")
		}
		if err := r.Close(); err != nil {
			t.Error("Close:", err)
		}
	}
}

// wantReadAt checks what is read somewhere, by the length of what it is read into.
func wantReadAt(t *testing.T, r io.ReaderAt, data []byte, from int, lengths ...int) {
	t.Helper()
	for _, n := range lengths {
		got, want := make([]byte, n), data[from:min(from+n, len(data))]
		read, err := r.ReadAt(got, int64(from))
		if short := read < n; !bytes.Equal(got[:read], want) || short && err == nil || err != nil && !errors.Is(err, io.EOF) {
			t.Errorf("ReadAt of %d bytes at %d: %d, %v; want %d", n, from, read, err, len(want))
		}
	}
}

// putVisible checks that what is visible is not read again, in the same batch, in
// another one, and after the store was opened again.
func (f Factory) putVisible(t *testing.T) {
	w := f.world(t)
	b := w.begin(t, w.lease(t))
	descs := []ocispec.Descriptor{b.blob(t, bytes.Repeat([]byte("a"), small)), b.blob(t, bytes.Repeat([]byte("b"), large))}
	b.publish(t)
	again := func(when string, b *batch) {
		before := w.src.opened.Load()
		for _, desc := range descs {
			if put := b.put(t, desc, image.RoleLayer); put != store.Reused {
				t.Errorf("Put %s: %s, want %s", when, put, store.Reused)
			}
		}
		if n := w.src.opened.Load() - before; n != 0 {
			t.Errorf("Put %s: %d readers were opened, want none", when, n)
		}
		b.publish(t)
	}
	again("in the same batch", b)
	again("in another batch", w.begin(t, w.lease(t)))
	w.reopen(t)
	again("after opening again", w.begin(t, w.lease(t)))
	desc := descs[0]
	desc.Size++
	_, err := w.begin(t, w.lease(t)).Put(t.Context(), desc, image.RoleLayer, w.src.opener(descs[0]))
	wantKind(t, "Put of what is visible with another size", err, errdefs.ErrDataLoss)
	w.wantBlob(t, desc.Digest)
}

// walk checks the order of Walk, where it begins, and that an error ends it.
func (f Factory) walk(t *testing.T) {
	w := f.world(t)
	b := w.begin(t, w.lease(t))
	var all []digest.Digest
	for i := range 40 {
		all = append(all, b.blob(t, bytes.Repeat([]byte{byte(i)}, 1+i%2*large)).Digest)
	}
	b.publish(t)
	slices.Sort(all)
	for _, i := range []int{0, 1, 20, 39} {
		var found []digest.Digest
		err := w.Walk(t.Context(), all[i], func(b store.Blob) error {
			found = append(found, b.Digest)
			return nil
		})
		if err != nil || !slices.Equal(found, all[i+1:]) {
			t.Errorf("Walk after %d of 40: %d blobs, %v", i, len(found), err)
		}
	}
	if found := w.visible(t); !slices.Equal(found, all) {
		t.Errorf("Walk: %d blobs; want 40 in order", len(found))
	}
	absent := digest.FromString("absent")
	var first digest.Digest
	err := w.Walk(t.Context(), absent, func(b store.Blob) error {
		first = b.Digest
		return errBroken
	})
	if i, _ := slices.BinarySearch(all, absent); i < len(all) && (!errors.Is(err, errBroken) || first != all[i]) {
		t.Errorf("Walk after what is absent: %s, %v; want %s and the error of f", first, err, all[i])
	}
}

// visibleSince checks when a blob is said to have become visible.
func (f Factory) visibleSince(t *testing.T) {
	w := f.world(t)
	before := time.Now()
	b := w.begin(t, w.lease(t))
	desc := b.blob(t, []byte("x"))
	b.publish(t)
	first, err := w.Stat(t.Context(), desc.Digest)
	if err != nil {
		t.Fatal("Stat:", err)
	}
	if slack := time.Second; first.Created.Before(before.Add(-slack)) || first.Created.After(time.Now().Add(slack)) {
		t.Errorf("Created: %v; want about %v", first.Created, before)
	}
	b.put(t, desc, image.RoleLayer)
	b.publish(t)
	b.close(t)
	w.reopen(t)
	again, err := w.Stat(t.Context(), desc.Digest)
	if err != nil || !again.Created.Equal(first.Created) {
		t.Errorf("Created later on: %v, %v; want %v", again.Created, err, first.Created)
	}
	w.view(t, func(r store.NameReader) {
		if b, err := r.Blob(desc.Digest); err != nil || !b.Created.Equal(first.Created) || b.Size != first.Size || b.Digest != desc.Digest {
			t.Errorf("Blob in a View: %+v, %v; want %+v", b, err, first)
		}
	})
}

// noLease checks that nothing is written without a lease.
func (f Factory) noLease(t *testing.T) {
	w := f.world(t)
	for _, id := range []string{"", "absent", "../x"} {
		if b, err := w.Begin(t.Context(), id); err == nil {
			t.Errorf("Begin under lease %q: no error", id)
			_ = b.Close()
		} else if id == "absent" {
			wantKind(t, "Begin under an absent lease", err, errdefs.ErrNotFound)
		}
	}
	id := w.lease(t)
	w.release(t, id)
	_, err := w.Begin(t.Context(), id)
	wantKind(t, "Begin under a released lease", err, errdefs.ErrNotFound)
}
