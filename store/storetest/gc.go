package storetest

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
)

func (f Factory) gc() map[string]func(*testing.T) {
	return map[string]func(*testing.T){
		"what names keep":                 f.keptByNames,
		"what dangling keeps":             f.keptByDangling,
		"lists":                           f.keptByLists,
		"sparse lists":                    f.keptBySparseLists,
		"shared blobs":                    f.keptByOthers,
		"a layer that is a config":        f.keptInTwoRoles,
		"open readers":                    f.keptByReaders,
		"an open batch":                   f.keptByBatch,
		"reused in an open batch":         f.keptByReuse,
		"partial blobs":                   f.keptPartial,
		"what is counted":                 f.counted,
		"nothing to collect":              f.nothingToCollect,
		"steps":                           f.steps,
		"written again":                   f.collectedAndWritten,
		"below readers":                   f.keptBelowReaders,
		"opened meanwhile":                f.openedMeanwhile,
		"referrers":                       f.referrers,
		"referrers of what a lease holds": f.heldReferrers,
		"what was never held":             f.replaced,
	}
}

// keptByNames checks that what is below a name stays, and nothing else.
func (f Factory) keptByNames(t *testing.T) {
	w := f.world(t)
	stays, goes := w.src.Image(testimage.Image{Platform: amd64()}), w.src.Image(testimage.Image{Platform: arm64()})
	w.name(t, stays, busybox, alpine)
	w.name(t, goes, debian)
	w.collect(t)
	w.wantImage(t, stays)
	w.wantImage(t, goes)
	w.move(t, store.Move{Name: debian, Forget: true}, store.Move{Name: alpine, Forget: true})
	w.collect(t)
	w.wantBlobs(t, w.src.digests(t, stays)...)
	w.wantImage(t, stays)
	for _, d := range w.src.digests(t, goes) {
		w.wantAbsent(t, d)
	}
	w.reopen(t)
	w.collect(t)
	w.wantBlobs(t, w.src.digests(t, stays)...)
}

// keptByDangling checks that what a name pointed at before stays until its dangling
// record is removed.
func (f Factory) keptByDangling(t *testing.T) {
	w := f.world(t)
	old, next := w.src.Image(testimage.Image{Platform: amd64(), Name: "old"}), w.src.Image(testimage.Image{Platform: amd64(), Name: "next"})
	w.name(t, old, busybox)
	w.name(t, next, busybox)
	w.collect(t)
	w.wantBlobs(t, w.src.digests(t, old, next)...)
	w.move(t, store.Move{Name: "@" + old.Digest.String()})
	w.collect(t)
	w.wantBlobs(t, w.src.digests(t, next)...)
}

// keptByLists checks that everything below an index is kept by its name, at any depth.
func (f Factory) keptByLists(t *testing.T) {
	w := f.world(t)
	amd := w.src.Image(testimage.Image{Platform: amd64()})
	root := w.src.Index(amd, w.src.Attestation(amd), w.src.Index(w.src.List(w.src.Image(testimage.Image{Platform: arm64(), Family: testimage.Docker}))),
		w.src.Put("application/octet-stream", []byte("opaque")))
	w.name(t, root, busybox)
	w.collect(t)
	w.wantBlobs(t, w.src.digests(t, root)...)
	w.move(t, store.Move{Name: busybox, Forget: true})
	w.collect(t)
	w.wantBlobs(t)
}

// keptBySparseLists checks that a list keeps the platforms that are there, whichever
// these are and in whichever order they come.
func (f Factory) keptBySparseLists(t *testing.T) {
	w := f.world(t)
	amd, absent := w.src.Image(testimage.Image{Platform: amd64()}), w.src.Image(testimage.Image{Platform: arm64()})
	index := w.src.Index(amd, absent)
	manifest := w.src.Get(absent.Digest)
	w.src.Delete(absent.Digest)
	w.name(t, index, busybox)
	w.collect(t)
	w.wantBlobs(t, w.src.digests(t, index)...)
	w.src.Set(absent.Digest, manifest)
	lease := w.hold(t, absent)
	w.release(t, lease)
	w.collect(t)
	w.wantBlobs(t, w.src.digests(t, index)...)
	w.wantImage(t, absent)
	w.move(t, store.Move{Name: busybox, Forget: true})
	w.collect(t)
	w.wantBlobs(t)
}

// keptByOthers checks that of images which share blobs each keeps what it has.
func (f Factory) keptByOthers(t *testing.T) {
	w := f.world(t)
	base, _ := w.src.Layer("base", large)
	var roots []ocispec.Descriptor
	for i := range 3 {
		own, _ := w.src.Layer(fmt.Sprint(i), small)
		roots = append(roots, w.manifest(fmt.Sprintf(`{"os":"linux","architecture":"amd64","author":"%d"}`, i/2), base, own, base))
		w.name(t, roots[i], fmt.Sprintf("docker.io/library/x:%d", i))
	}
	for i := range roots {
		w.move(t, store.Move{Name: fmt.Sprintf("docker.io/library/x:%d", i), Forget: true})
		w.collect(t)
		w.wantBlobs(t, w.src.digests(t, roots[i+1:]...)...)
	}
}

// keptInTwoRoles checks that a blob which is more than one thing is kept for each.
func (f Factory) keptInTwoRoles(t *testing.T) {
	w := f.world(t)
	inner := w.src.Image(testimage.Image{Platform: amd64()})
	config := w.edges(t, inner)[0].Desc
	config.MediaType = "application/vnd.example.file"
	archive := inner
	archive.MediaType, archive.Platform = "application/vnd.example.file", nil
	outer := w.src.JSON(ocispec.MediaTypeImageManifest, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "artifactType": "application/vnd.example",
		"config": w.src.Put(ocispec.MediaTypeEmptyJSON, []byte("{}")), "layers": []ocispec.Descriptor{config, archive},
	})
	w.name(t, inner, busybox)
	w.name(t, outer, alpine)
	w.move(t, store.Move{Name: busybox, Forget: true})
	w.collect(t)
	for _, d := range w.src.digests(t, outer) {
		w.wantBlob(t, d)
	}
	w.move(t, store.Move{Name: alpine, Forget: true})
	w.collect(t)
	w.wantBlobs(t)
}

// keptByReaders checks that what is read stays until the reader is closed.
func (f Factory) keptByReaders(t *testing.T) {
	for _, size := range []int{small, large} {
		for how, open := range map[string]func(*world, digest.Digest) (io.ReadCloser, error){
			"Open":   func(w *world, d digest.Digest) (io.ReadCloser, error) { return w.Open(t.Context(), d, 1) },
			"OpenAt": func(w *world, d digest.Digest) (io.ReadCloser, error) { return w.readerAt(t, d) },
		} {
			t.Run(fmt.Sprintf("%s of %d bytes", how, size), func(t *testing.T) { f.keptByReader(t, size, open) })
		}
	}
}

// keptByReader does so with a reader that begins at the second byte.
func (f Factory) keptByReader(t *testing.T, size int, open func(*world, digest.Digest) (io.ReadCloser, error)) {
	w := f.world(t)
	lease := w.lease(t)
	b := w.begin(t, lease)
	desc := b.blob(t, bytes.Repeat([]byte("0123456789"), size/10))
	b.publish(t)
	b.close(t)
	r, err := open(w, desc.Digest)
	if err != nil {
		t.Fatal("opening it:", err)
	}
	if _, err := io.ReadFull(r, make([]byte, 9)); err != nil {
		t.Error(err)
	}
	w.release(t, lease)
	w.collect(t)
	w.wantBlob(t, desc.Digest)
	got, err := io.ReadAll(r)
	if want := w.src.Get(desc.Digest)[10:]; err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v; want %d", len(got), err, len(want))
	}
	if err := r.Close(); err != nil {
		t.Error("Close:", err)
	}
	w.collect(t)
	w.wantAbsent(t, desc.Digest)
}

// readerAt opens a blob for reading anywhere, and reads it from its second byte on.
func (w *world) readerAt(t *testing.T, d digest.Digest) (io.ReadCloser, error) {
	t.Helper()
	r, err := w.OpenAt(t.Context(), d)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(r, 1, r.Size()-1), r}, nil
}

// keptByBatch checks that nothing of an open batch goes: what is complete, what is
// published, and what is being written.
func (f Factory) keptByBatch(t *testing.T) {
	w := f.world(t)
	b := w.begin(t, w.lease(t))
	published := b.blob(t, []byte("published"))
	b.publish(t)
	smallBlob, largeBlob := b.blob(t, bytes.Repeat([]byte("s"), small)), b.blob(t, bytes.Repeat([]byte("l"), large))
	desc := w.layer(bytes.Repeat([]byte("w"), large))
	writer := b.writer(t, "ref")
	write(t, writer, w.src.Get(desc.Digest)[:large/2])
	w.collect(t)
	w.wantBlob(t, published.Digest)
	write(t, writer, w.src.Get(desc.Digest)[large/2:])
	if err := writer.Commit(t.Context(), desc, image.RoleLayer); err != nil {
		t.Fatal("Commit:", err)
	}
	w.collect(t)
	b.publish(t)
	w.collect(t)
	w.wantBlobs(t, published.Digest, smallBlob.Digest, largeBlob.Digest, desc.Digest)
	w.wantBlob(t, desc.Digest)
}

// keptByReuse checks that a blob of which Put has said that it is there, is there when
// the batch is published: though nothing else needs it, and it was collected between.
func (f Factory) keptByReuse(t *testing.T) {
	w := f.world(t)
	root := w.src.Image(testimage.Image{Platform: amd64(), LayerSize: large})
	w.name(t, root, busybox)
	for range 3 {
		b := w.begin(t, w.lease(t))
		b.image(t, root)
		w.move(t, store.Move{Name: busybox, Forget: true})
		w.collect(t)
		b.publish(t, store.Move{Name: busybox, To: target(root)})
		b.close(t)
		for _, l := range w.leases(t) {
			w.release(t, l.ID)
		}
		w.collect(t)
		w.wantImage(t, root)
	}
}

// keptPartial checks that what was begun not long ago can be gone on with.
func (f Factory) keptPartial(t *testing.T) {
	w := f.world(t)
	lease := w.lease(t)
	b := w.begin(t, lease)
	writer := b.writer(t, "ref")
	write(t, writer, bytes.Repeat([]byte("x"), large))
	if err := writer.Close(); err != nil {
		t.Error("Close:", err)
	}
	b.close(t)
	w.release(t, lease)
	if c := w.collect(t); f.Cannot.Counts == "" && c.Partial != 0 {
		t.Errorf("Collect: %+v", c)
	}
	w.reopen(t)
	w.collect(t)
	if p := w.wantPartial(t, "ref"); len(p) == 1 && p[0].Offset != large {
		t.Errorf("Partial: %+v", p[0])
	}
}

// counted checks that a collection says what it did.
func (f Factory) counted(t *testing.T) {
	skipIf(t, f.Cannot.Counts)
	w := f.world(t)
	base, _ := w.src.Layer("base", large)
	stays := w.manifest(`{"os":"linux","architecture":"amd64"}`, base)
	goes := w.manifest(`{"os":"linux","architecture":"arm64"}`, base, w.src.Put(ocispec.MediaTypeImageLayer, bytes.Repeat([]byte("l"), large)),
		w.src.Put(ocispec.MediaTypeImageLayer, []byte("s")))
	w.name(t, stays, busybox)
	w.name(t, goes, alpine)
	w.collect(t)
	w.move(t, store.Move{Name: alpine, Forget: true})
	var want store.Collected
	kept := w.src.digests(t, stays)
	for _, d := range w.src.digests(t, goes) {
		if !slices.Contains(kept, d) {
			want.Blobs++
			want.Bytes += int64(len(w.src.Get(d)))
		}
	}
	c := w.collect(t)
	if c.Blobs != want.Blobs || c.Bytes != want.Bytes || c.Leases != 0 || c.Partial != 0 || c.Examined < c.Blobs || c.More {
		t.Errorf("Collect: %+v; want %d blobs of %d bytes", c, want.Blobs, want.Bytes)
	}
}

// nothingToCollect checks that a collection after which nothing has lost anything
// examines nothing, however much there is.
func (f Factory) nothingToCollect(t *testing.T) {
	skipIf(t, f.Cannot.Steps)
	w := f.world(t)
	for i := range 20 {
		w.name(t, w.src.Image(testimage.Image{Platform: amd64(), Name: fmt.Sprint(i)}), fmt.Sprintf("docker.io/library/x:%d", i))
	}
	w.collect(t)
	for range 2 {
		if c := w.collect(t); c.Examined != 0 || c.Blobs != 0 || c.More {
			t.Errorf("Collect with nothing to collect: %+v", c)
		}
		w.reopen(t)
	}
}

// steps checks that a large collection is done in steps, between which and within
// which others write, and that each holds nobody up for long.
func (f Factory) steps(t *testing.T) {
	w := f.world(t)
	lease := w.lease(t)
	b := w.begin(t, lease)
	const blobs = 3000
	for i := range blobs {
		b.blob(t, fmt.Append(nil, "blob ", i))
	}
	b.publish(t)
	b.close(t)
	stays := w.src.Image(testimage.Image{Platform: amd64()})
	w.name(t, stays, busybox)
	w.release(t, lease)
	var sum store.Collected
	for n := 0; ; n++ {
		c, err := w.Collect(t.Context())
		if err != nil {
			t.Fatal("Collect:", err)
		}
		sum.Blobs += c.Blobs
		sum.Longest = max(sum.Longest, c.Longest)
		if !c.More {
			break
		}
		if n > blobs {
			t.Fatal("there is no end")
		}
		w.move(t, store.Move{Name: alpine, To: target(stays)}, store.Move{Name: debian, To: target(stays)})
	}
	if f.Cannot.Counts == "" && sum.Blobs != blobs {
		t.Errorf("%d blobs have gone, want %d", sum.Blobs, blobs)
	}
	if limit := 50 * time.Millisecond; f.Cannot.Steps == "" && sum.Longest > 10*limit { // how long it is on a quiet machine, a benchmark shows
		t.Errorf("writers had to wait for %v; want %v", sum.Longest, limit)
	}
	w.wantBlobs(t, w.src.digests(t, stays)...)
}

// collectedAndWritten checks that what has gone can come again.
func (f Factory) collectedAndWritten(t *testing.T) {
	w := f.world(t)
	root := w.src.Index(w.src.Image(testimage.Image{Platform: amd64(), LayerSize: large}))
	for range 3 {
		b := w.begin(t, w.lease(t))
		for _, n := range w.src.nodes(t, root) {
			if put := b.put(t, n.Desc, n.Role); put != store.Written {
				t.Errorf("Put of %s, which is gone: %s", n.Role, put)
			}
		}
		b.publish(t, store.Move{Name: busybox, To: target(root)})
		b.close(t)
		for _, l := range w.leases(t) {
			w.release(t, l.ID)
		}
		w.collect(t)
		w.wantImage(t, root)
		w.wantContaining(t, w.edges(t, w.edges(t, root)[0].Desc)[0].Desc.Digest, busybox)
		w.move(t, store.Move{Name: busybox, Forget: true})
		w.collect(t)
		w.wantBlobs(t)
	}
}

// referrers checks that what refers to an image stays as long as that, and does not keep
// it: whichever came first, and by as many steps as there are.
func (f Factory) referrers(t *testing.T) {
	for name, order := range map[string][]int{"the subject first": {0, 1, 2}, "the subject last": {2, 1, 0}} {
		t.Run(name, func(t *testing.T) {
			w := f.world(t)
			subject := w.src.Image(testimage.Image{Platform: amd64()})
			signature := w.src.Referrer(subject, "application/vnd.example.signature", "signature")
			roots := []ocispec.Descriptor{subject, signature, w.src.Referrer(signature, "application/vnd.example.note", "note")}
			all := w.src.digests(t, roots...)
			var leases []string
			for _, i := range order {
				leases = append(leases, w.hold(t, roots[i]))
			}
			w.move(t, store.Move{Name: busybox, To: target(subject)})
			for _, l := range leases {
				w.release(t, l)
			}
			w.collect(t)
			w.wantBlobs(t, all...)
			w.reopen(t)
			w.collect(t)
			w.wantBlobs(t, all...)
			w.move(t, store.Move{Name: alpine, To: target(signature)}, store.Move{Name: busybox, Forget: true})
			w.collect(t)
			w.wantBlobs(t, w.src.digests(t, roots[1:]...)...)
			w.move(t, store.Move{Name: alpine, Forget: true})
			w.collect(t)
			w.wantBlobs(t)
		})
	}
}

// replaced checks that a name which moves on and on leaves nothing behind.
func (f Factory) replaced(t *testing.T) {
	w := f.world(t)
	var last ocispec.Descriptor
	for i := range 10 {
		last = w.src.Image(testimage.Image{Platform: amd64(), Name: fmt.Sprint(i)})
		b := w.begin(t, w.lease(t))
		b.image(t, last)
		b.publish(t, store.Move{Name: busybox, To: target(last), Forget: true})
	}
	w.reopen(t)
	for _, l := range w.leases(t) {
		w.release(t, l.ID)
	}
	w.collect(t)
	w.wantBlobs(t, w.src.digests(t, last)...)
	w.wantImage(t, last)
}
