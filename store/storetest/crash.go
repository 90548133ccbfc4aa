package storetest

import (
	"bytes"
	"context"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
)

func (f Factory) crash() map[string]func(*testing.T) {
	return map[string]func(*testing.T){
		"while a blob is written":  f.crashWriting,
		"before Publish":           f.crashBeforePublish,
		"after each step":          f.crashAfterEach,
		"while it is collected":    f.crashCollecting,
		"again and again":          f.crashAgain,
		"with readers and writers": f.crashOpen,
	}
}

// state is all that a store says of itself.
type state struct {
	Blobs   []store.Blob
	Facts   map[digest.Digest]store.Facts
	Records []store.Record
	Leases  []store.Lease
	Held    map[string][]digest.Digest
}

// state asks the store for everything.
func (w *world) state(t *testing.T) state {
	t.Helper()
	s := state{Facts: map[digest.Digest]store.Facts{}, Held: map[string][]digest.Digest{}, Records: w.records(t), Leases: w.leases(t)}
	for _, d := range w.visible(t) {
		b, err := w.Stat(t.Context(), d)
		if err != nil {
			t.Error("Stat:", err)
		}
		s.Blobs = append(s.Blobs, b)
		if facts, err := w.Facts(t.Context(), d); err == nil {
			s.Facts[d] = facts
		}
	}
	for _, l := range s.Leases {
		held, err := w.Held(t.Context(), l.ID)
		if err != nil {
			t.Error("Held:", err)
		}
		s.Held[l.ID] = held
	}
	return s
}

// wantState checks that the store says what it did before.
func (w *world) wantState(t *testing.T, when string, before state) {
	t.Helper()
	if diff := cmp.Diff(before, w.state(t), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s, - before + after:\n%s", when, diff)
	}
	for _, b := range before.Blobs {
		if w.src.Get(b.Digest) != nil {
			w.wantBlob(t, b.Digest)
		}
	}
}

// crashWriting checks that a blob of which a part was written does not show, and can
// be written again.
func (f Factory) crashWriting(t *testing.T) {
	w := f.world(t)
	b := w.begin(t, w.lease(t))
	desc := w.layer(bytes.Repeat([]byte("0123456789abcdef"), large/8))
	_, err := b.Put(t.Context(), desc, image.RoleLayer, func(context.Context, int64) (io.ReadCloser, error) {
		return w.src.count(io.MultiReader(bytes.NewReader(w.src.Get(desc.Digest)[:large]), iotest.ErrReader(errBroken))), nil
	})
	wantKind(t, "Put that is cut", err, errBroken)
	w.crash(t)
	w.wantBlobs(t)
	b = w.begin(t, w.lease(t))
	if put := b.put(t, desc, image.RoleLayer); put != store.Written {
		t.Errorf("Put after the crash: %s", put)
	}
	b.publish(t)
	w.wantBlob(t, desc.Digest)
	w.wantPartial(t)
}

// crashBeforePublish checks that nothing of what was not published shows, and that the
// same can be done again.
func (f Factory) crashBeforePublish(t *testing.T) {
	w := f.world(t)
	im := w.images(t, "before")[0]
	w.move(t, store.Move{Name: busybox, To: im})
	before := w.state(t)
	root := w.src.Index(w.src.Image(testimage.Image{Platform: amd64(), Layers: 2, LayerSize: large}))
	lease := before.Leases[0].ID
	for range 2 {
		w.begin(t, lease).image(t, root)
		w.crash(t)
		if f.Cannot.Together == "" {
			w.wantState(t, "after a crash before Publish", before)
		}
	}
	b := w.begin(t, lease)
	b.image(t, root)
	b.publish(t, store.Move{Name: busybox, To: target(root)})
	w.wantImage(t, root)
	w.wantPartial(t)
}

// crashAfterEach checks that what has been done is there after a crash, and after a
// proper end.
func (f Factory) crashAfterEach(t *testing.T) {
	w := f.world(t)
	amd, arm64 := w.src.Image(testimage.Image{Platform: amd64(), LayerSize: large}), w.src.Image(testimage.Image{Platform: arm64()})
	index := w.src.Index(amd, arm64)
	if _, err := w.Lease(t.Context(), store.Lease{ID: "mine", Until: time.Now().Add(time.Hour), Labels: map[string]string{"a": "b"}}); err != nil {
		t.Fatal("Lease:", err)
	}
	for _, step := range []struct {
		what string
		do   func(b *batch)
	}{
		{"lease", func(*batch) {}},
		{"hold", func(*batch) {
			if err := w.Hold(t.Context(), "mine", digest.FromString("later"), index.Digest); err != nil && f.Cannot.Late == "" {
				t.Fatal("Hold:", err)
			}
		}},
		{"publish", func(b *batch) { b.image(t, amd); b.publish(t) }},
		{"publish with a name", func(b *batch) {
			b.image(t, arm64)
			b.publish(t, store.Move{Name: busybox, To: target(arm64), Labels: map[string]string{"a": "b"}})
		}},
		{"publish a list", func(b *batch) { b.image(t, index); b.publish(t, store.Move{Name: alpine, To: target(index)}) }},
		{"move", func(*batch) {
			w.move(t, store.Move{Name: busybox, To: target(index)}, store.Move{Name: debian, To: target(amd)})
		}},
		{"remove", func(*batch) { w.move(t, store.Move{Name: debian}) }},
		{"remove a dangling record", func(*batch) { w.move(t, store.Move{Name: "@" + amd.Digest.String()}) }},
		{"extend", func(*batch) {
			if err := w.Extend(t.Context(), "mine", time.Now().Add(2*time.Hour)); err != nil {
				t.Fatal("Extend:", err)
			}
		}},
		{"collect", func(*batch) { w.collect(t) }},
		{"remove all", func(*batch) {
			w.move(t, store.Move{Name: alpine, Forget: true}, store.Move{Name: busybox, Forget: true}, store.Move{Name: "@" + arm64.Digest.String()})
		}},
	} {
		b := w.begin(t, "mine")
		step.do(b)
		b.close(t)
		before := w.state(t)
		w.crash(t)
		w.wantState(t, step.what+", then a crash", before)
		w.reopen(t)
		w.wantState(t, step.what+", then a crash and a proper end", before)
	}
	w.release(t, "mine")
	w.crash(t)
	w.collect(t)
	w.wantState(t, "released and collected", state{})
	w.crash(t)
	w.wantState(t, "released and collected, then a crash", state{})
}

// crashCollecting checks that a collection is gone on with after a crash between two
// of its steps, and takes nothing that it should not.
func (f Factory) crashCollecting(t *testing.T) {
	w := f.world(t)
	stays := w.src.Image(testimage.Image{Platform: amd64()})
	w.name(t, stays, busybox)
	lease := w.lease(t)
	b := w.begin(t, lease)
	for i := range 500 {
		b.blob(t, bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 1+i%50*2000))
	}
	b.publish(t)
	b.close(t)
	w.release(t, lease)
	for range 3 {
		if _, err := w.Collect(t.Context()); err != nil {
			t.Fatal("Collect:", err)
		}
		w.crash(t)
		w.wantImage(t, stays)
	}
	w.collect(t)
	w.wantBlobs(t, w.src.digests(t, stays)...)
	w.crash(t)
	w.wantBlobs(t, w.src.digests(t, stays)...)
	w.wantImage(t, stays)
	w.wantPartial(t)
}

// crashAgain checks that a store which is killed again and again loses nothing.
func (f Factory) crashAgain(t *testing.T) {
	w := f.world(t)
	for i, name := range []string{busybox, alpine, debian, busybox} {
		root := w.src.Image(testimage.Image{Platform: amd64(), Name: name + string(rune('0'+i))})
		w.name(t, root, name)
		before := w.state(t)
		for range 3 {
			w.crash(t)
		}
		w.wantState(t, "after crashes", before)
		w.collect(t)
		w.wantState(t, "after crashes and a collection", before)
	}
}

// crashOpen checks that what was open when the process was killed stands in nobody's
// way, and keeps nothing.
func (f Factory) crashOpen(t *testing.T) {
	w := f.world(t)
	lease := w.lease(t)
	b := w.begin(t, lease)
	desc := b.blob(t, bytes.Repeat([]byte("x"), large))
	b.publish(t)
	r, err := w.Open(t.Context(), desc.Digest, 0)
	if err != nil {
		t.Fatal("Open:", err)
	}
	defer r.Close() //nolint:errcheck // of a store that was killed
	write(t, b.writer(t, "ref"), []byte("some bytes"))
	w.crash(t)
	b = w.begin(t, lease)
	writer := b.writer(t, "ref")
	if n := writer.Offset(); n != 0 && n != int64(len("some bytes")) {
		t.Errorf("a writer begins at %d", n)
	}
	if err := writer.Reset(); err != nil {
		t.Error("Reset:", err)
	}
	if err := writer.Close(); err != nil {
		t.Error("Close:", err)
	}
	b.close(t)
	w.release(t, lease)
	w.collect(t)
	w.wantBlobs(t)
}
