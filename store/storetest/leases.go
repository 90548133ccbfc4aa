package storetest

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
)

func (f Factory) leases() map[string]func(*testing.T) {
	return map[string]func(*testing.T){
		"make":                 f.makeLease,
		"release":              f.releaseLease,
		"expire":               f.expire,
		"extend":               f.extend,
		"hold before it comes": f.holdLate,
		"hold what is below":   f.holdGraph,
		"held":                 f.held,
		"of any form":          f.hostileLeases,
		"stay":                 f.leasesStay,
		"process":              f.processLease,
		"process that ended":   f.endedLease,
		"ends under a batch":   f.leaseEnds,
	}
}

// leases returns those that are not over.
func (w *world) leases(t *testing.T) []store.Lease {
	t.Helper()
	all, err := w.Leases(t.Context())
	if err != nil {
		t.Fatal("Leases:", err)
	}
	return all
}

// wantLeases checks which leases are not over.
func (w *world) wantLeases(t *testing.T, ids ...string) {
	t.Helper()
	var found []string
	for _, l := range w.leases(t) {
		found = append(found, l.ID)
	}
	slices.Sort(ids)
	if !slices.Equal(found, ids) {
		t.Errorf("leases: %q, want %q", found, ids)
	}
}

// makeLease checks what a lease says, and that an ID is used once.
func (f Factory) makeLease(t *testing.T) {
	w := f.world(t)
	start := time.Now().Add(-time.Second)
	until := time.Now().Add(time.Hour)
	want := store.Lease{ID: "mine", Labels: map[string]string{"a": "b", "containerd.io/gc.expire": "2001-01-01T00:00:00Z", "containerd.io/gc.flat": "x"}, Until: until}
	made, err := w.Lease(t.Context(), want)
	if err != nil {
		t.Fatal("Lease:", err)
	}
	_, err = w.Lease(t.Context(), store.Lease{ID: "mine"})
	wantKind(t, "a lease of the same ID", err, errdefs.ErrAlreadyExists)
	one, two := w.lease(t), w.lease(t)
	if one == "" || one == two {
		t.Errorf("chosen IDs: %q and %q", one, two)
	}
	w.wantLeases(t, "mine", one, two)
	for _, l := range append(w.leases(t), made) {
		switch {
		case l.Created.Before(start) || l.Created.After(time.Now().Add(time.Second)):
			t.Errorf("lease %s: Created %v", l.ID, l.Created)
		case l.ID == "mine" && (!l.Until.Equal(until) || !maps.Equal(l.Labels, want.Labels) || l.Process):
			t.Errorf("lease: %+v, want %+v", l, want)
		case l.ID != "mine" && (!l.Until.IsZero() || len(l.Labels) != 0):
			t.Errorf("lease: %+v", l)
		}
	}
}

// releaseLease checks that what only a lease held goes with it, and that the lease is
// gone for every call.
func (f Factory) releaseLease(t *testing.T) {
	w := f.world(t)
	root := w.src.Image(testimage.Image{Platform: amd64()})
	id := w.hold(t, root)
	w.collect(t)
	w.wantImage(t, root)
	w.release(t, id)
	w.wantLeases(t)
	w.collect(t)
	w.wantBlobs(t)
	_, err := w.Held(t.Context(), id)
	for what, err := range map[string]error{
		"Release": w.Release(t.Context(), id), "Extend": w.Extend(t.Context(), id, time.Time{}), "Held": err,
		"Hold": w.Hold(t.Context(), id, root.Digest), "Release of nothing": w.Release(t.Context(), "absent"),
	} {
		wantKind(t, what+" after Release", err, errdefs.ErrNotFound)
	}
}

// soon is a time after which a lease that was made now has expired, and that is long
// enough for a slow machine to do something before.
const soon = 1500 * time.Millisecond

// expire checks that a lease is over at its time, and what it held is not kept.
func (f Factory) expire(t *testing.T) {
	w := f.world(t)
	until := time.Now().Add(soon)
	l, err := w.Lease(t.Context(), store.Lease{ID: "short", Until: until})
	if err != nil {
		t.Fatal("Lease:", err)
	}
	b := w.begin(t, l.ID)
	desc := b.blob(t, []byte("x"))
	b.publish(t)
	b.close(t)
	if time.Now().Before(until) {
		w.wantLeases(t, "short")
	}
	time.Sleep(time.Until(until) + 10*time.Millisecond)
	w.wantLeases(t)
	_, err = w.Begin(t.Context(), l.ID)
	wantKind(t, "Begin under an expired lease", err, errdefs.ErrNotFound)
	wantKind(t, "Extend of an expired lease", w.Extend(t.Context(), l.ID, time.Time{}), errdefs.ErrNotFound)
	c := w.collect(t)
	if f.Cannot.Counts == "" && c.Leases != 1 {
		t.Errorf("Collect: %+v; want one lease", c)
	}
	w.wantAbsent(t, desc.Digest)
	if _, err := w.Lease(t.Context(), store.Lease{ID: "short"}); err != nil {
		t.Error("Lease of an ID that is free again:", err)
	}
}

// extend checks that the end of a lease moves, forth and back.
func (f Factory) extend(t *testing.T) {
	w := f.world(t)
	root := w.src.Image(testimage.Image{Platform: amd64()})
	until := time.Now().Add(soon)
	for _, id := range []string{"longer", "never", "shorter"} {
		l := store.Lease{ID: id, Until: until}
		if id == "shorter" {
			l.Until = time.Time{}
		}
		if _, err := w.Lease(t.Context(), l); err != nil {
			t.Fatal("Lease:", err)
		}
	}
	for id, until := range map[string]time.Time{"longer": until.Add(time.Hour), "never": {}, "shorter": until} {
		if err := w.Extend(t.Context(), id, until); err != nil {
			t.Errorf("Extend of %s: %v", id, err)
		}
	}
	b := w.begin(t, "never")
	b.image(t, root)
	b.publish(t)
	b.close(t)
	time.Sleep(time.Until(until) + 10*time.Millisecond)
	w.collect(t)
	w.wantLeases(t, "longer", "never")
	w.wantImage(t, root)
	w.reopen(t)
	w.wantLeases(t, "longer", "never")
}

// holdLate checks that a lease holds what comes after Hold.
func (f Factory) holdLate(t *testing.T) {
	skipIf(t, f.Cannot.Late)
	w := f.world(t)
	root := w.src.Index(w.src.Image(testimage.Image{Platform: amd64()}))
	early := w.lease(t)
	if err := w.Hold(t.Context(), early, root.Digest); err != nil {
		t.Fatal("Hold:", err)
	}
	w.collect(t)
	w.reopen(t)
	w.release(t, w.hold(t, root))
	w.collect(t)
	w.wantImage(t, root)
	w.release(t, early)
	w.collect(t)
	w.wantBlobs(t)
}

// holdGraph checks that holding a list holds what is below it, and what comes there
// later, and nothing beside it.
func (f Factory) holdGraph(t *testing.T) {
	w := f.world(t)
	amd, later := w.src.Image(testimage.Image{Platform: amd64()}), w.src.Image(testimage.Image{Platform: arm64()})
	index, other := w.src.Index(amd, later), w.src.Image(testimage.Image{Platform: arm()})
	manifest := w.src.Get(later.Digest)
	w.src.Delete(later.Digest)
	first := w.hold(t, index, other)
	id := w.lease(t)
	if err := w.Hold(t.Context(), id, index.Digest); err != nil {
		t.Fatal("Hold:", err)
	}
	w.src.Set(later.Digest, manifest)
	second := w.hold(t, later)
	w.release(t, first)
	w.release(t, second)
	w.collect(t)
	w.wantBlobs(t, w.src.digests(t, index)...)
	w.release(t, id)
	w.collect(t)
	w.wantBlobs(t)
}

// held checks what a lease is said to hold.
func (f Factory) held(t *testing.T) {
	w := f.world(t)
	id := w.lease(t)
	b := w.begin(t, id)
	put := []digest.Digest{b.blob(t, []byte("a")).Digest, b.blob(t, bytes.Repeat([]byte("b"), large)).Digest}
	b.publish(t)
	other := w.begin(t, w.lease(t))
	there := other.blob(t, []byte("c"))
	other.publish(t)
	b.put(t, there, image.RoleLayer)
	b.publish(t)
	if err := w.Hold(t.Context(), id, put[0], put[0]); err != nil {
		t.Fatal("Hold:", err)
	}
	if err := w.Hold(t.Context(), id); err != nil {
		t.Error("Hold of nothing:", err)
	}
	want := slices.Concat(put, []digest.Digest{there.Digest})
	slices.Sort(want)
	held, err := w.Held(t.Context(), id)
	if err != nil || !slices.Equal(held, want) {
		t.Errorf("Held: %v, %v; want %v", held, err, want)
	}
	if held, err := w.Held(t.Context(), w.lease(t)); err != nil || len(held) != 0 {
		t.Errorf("Held of a new lease: %v, %v", held, err)
	}
}

// hostileLeases checks that IDs and labels of leases are names and nothing else: such
// a lease is made as it is, or refused.
func (f Factory) hostileLeases(t *testing.T) {
	w := f.world(t)
	var want []string
	for _, id := range []string{"../../x", "/etc/passwd", "a/b", ".", "a\x00b", "a\nb", "%s", "\xff", "ä", " ", "@x", strings.Repeat("x", 2000), "a", "A"} {
		l, err := w.Lease(t.Context(), store.Lease{ID: id})
		if invalid(err) {
			continue
		}
		if err != nil || l.ID != id {
			t.Errorf("Lease %q: %q, %v", id, l.ID, err)
		}
		want = append(want, id)
	}
	w.wantLeases(t, want...)
	for _, id := range want {
		desc := ocispec.Descriptor{Digest: digest.FromString(id)}
		if err := w.Hold(t.Context(), id, desc.Digest); err != nil {
			t.Errorf("Hold by %q: %v", id, err)
		}
		if held, err := w.Held(t.Context(), id); err != nil || !slices.Equal(held, []digest.Digest{desc.Digest}) {
			t.Errorf("Held by %q: %v, %v", id, held, err)
		}
		w.release(t, id)
	}
	w.wantLeases(t)
}

// leasesStay checks that leases, and what they hold, are the same when the store is
// opened again.
func (f Factory) leasesStay(t *testing.T) {
	w := f.world(t)
	root := w.src.Image(testimage.Image{Platform: amd64()})
	until := time.Now().Add(time.Hour)
	if _, err := w.Lease(t.Context(), store.Lease{ID: "stays", Until: until, Labels: map[string]string{"a": "b"}}); err != nil {
		t.Fatal("Lease:", err)
	}
	b := w.begin(t, "stays")
	b.image(t, root)
	b.publish(t)
	before := w.leases(t)
	w.reopen(t)
	after := w.leases(t)
	if len(after) != 1 || !after[0].Created.Equal(before[0].Created) || !after[0].Until.Equal(until) || !maps.Equal(after[0].Labels, before[0].Labels) {
		t.Errorf("leases before: %+v; after: %+v", before, after)
	}
	w.collect(t)
	w.wantImage(t, root)
	if held, err := w.Held(t.Context(), "stays"); err != nil || !slices.Equal(held, w.src.digests(t, root)) {
		t.Errorf("Held: %v, %v", held, err)
	}
}

// processLease checks that a lease which is tied to this process is there while the
// process is.
func (f Factory) processLease(t *testing.T) {
	w := f.world(t)
	l, err := w.Lease(t.Context(), store.Lease{ID: "mine", Process: true})
	if err != nil || !l.Process {
		t.Fatalf("Lease: %+v, %v", l, err)
	}
	b := w.begin(t, l.ID)
	desc := b.blob(t, []byte("x"))
	b.publish(t)
	w.collect(t)
	w.wantBlob(t, desc.Digest)
	if all := w.leases(t); len(all) != 1 || !all[0].Process {
		t.Errorf("Leases: %+v", all)
	}
}

// endedLease checks that a lease is over when its process is.
func (f Factory) endedLease(t *testing.T) {
	skipIf(t, f.Cannot.Process)
	w := f.world(t)
	w.close(t)
	w.place.Ended(t, store.Lease{ID: "ended", Process: true})
	w.place.Ended(t, store.Lease{ID: "stays"})
	w.open(t)
	w.wantLeases(t, "stays")
	w.collect(t)
	w.wantLeases(t, "stays")
}

// leaseEnds checks that what is written in a batch stays until the batch is closed or
// published, even if its lease is released meanwhile; and that a name keeps it then.
func (f Factory) leaseEnds(t *testing.T) {
	w := f.world(t)
	root := w.src.Image(testimage.Image{Platform: amd64()})
	id := w.lease(t)
	b := w.begin(t, id)
	b.image(t, root)
	w.release(t, id)
	w.collect(t)
	_, err := b.Publish(t.Context(), store.Move{Name: busybox, To: target(root)})
	b.close(t)
	w.collect(t)
	if err != nil {
		wantKind(t, "Publish under a lease that was released", err, errdefs.ErrNotFound)
		w.wantBlobs(t)
		w.wantNames(t, map[string]digest.Digest{})
		return
	}
	w.wantImage(t, root)
	w.wantNames(t, map[string]digest.Digest{busybox: root.Digest})
}
