package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// TestManyBelowReader: a collection ends, and takes what nobody needs, though very much is below
// something that is read.
func TestManyBelowReader(t *testing.T) {
	if os.Getenv("DHOW_TEST_LONG") != "1" {
		t.Skip("writes 16,000 blobs")
	}
	s := openHere(t)
	withReferrer(t, s)
	b := batchOf(t, s, "l")
	var lists []ocispec.Descriptor
	for l := range 2 {
		var children []ocispec.Descriptor
		for i := range 8000 {
			children = append(children, b.artifact(t, fmt.Sprintf(`,"annotations":{"a":"%d.%d"}`, l, i)))
		}
		lists = append(lists, b.list(t, children, ""))
	}
	list := b.list(t, lists, "")
	garbage := b.putBytes(t, "a/b", image.RoleLayer, []byte("garbage"))
	b.published(t)
	r, err := s.Open(t.Context(), list.Digest, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := s.Release(t.Context(), "l"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := store.Collect(ctx, s); err != nil {
		t.Error("Collect:", err)
	}
	if _, err := s.Stat(t.Context(), garbage.Digest); err == nil {
		t.Error("what nobody needs is still there")
	}
}

// TestLeaseAfterAnUnfinishedCollection: a collection sees to leases that are over since one that
// was not finished has looked.
func TestLeaseAfterAnUnfinishedCollection(t *testing.T) {
	s, later := clocked(t)
	many := batchOf(t, s, "many")
	for i := range 2000 {
		many.putBytes(t, "a/b", image.RoleLayer, fmt.Append(nil, "blob ", i))
	}
	many.published(t)
	if _, err := s.Lease(t.Context(), store.Lease{ID: "short", Until: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	in, err := s.Begin(t.Context(), "short")
	if err != nil {
		t.Fatal(err)
	}
	b := in.(*batch)
	desc := b.putBytes(t, "a/b", image.RoleLayer, []byte("short"))
	b.published(t)
	if err := s.Release(t.Context(), "many"); err != nil {
		t.Fatal(err)
	}
	c, err := s.Collect(t.Context()) // one step, as of a collection whose context ends then
	if err != nil || !c.More {
		t.Fatal(c, err)
	}
	later.Store(int64(2 * time.Hour))
	sum, err := store.Collect(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(t.Context(), desc.Digest); err == nil {
		t.Errorf("Collect (%d leases, %d blobs) has left what only a lease held that is over since two hours", sum.Leases, sum.Blobs)
	}
}

// TestTakenBackIsFreed: what was placed for nothing does not keep its room on the disk.
func TestTakenBackIsFreed(t *testing.T) {
	s := openHere(t)
	a := batchOf(t, s, "a")
	desc := a.putBytes(t, "a/b", image.RoleLayer, bytes.Repeat([]byte("0123456789"), 100_000))
	w := a.blobs[desc.Digest]
	if err := s.place(t.Context(), []*pending{w.pending}); err != nil { // as a Publish does whose transaction fails
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Collect(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	disk, err := s.Measure(t.Context())
	if err != nil || disk.Trash.Bytes != 0 {
		t.Errorf("after a collection %d bytes are in the trash, %v", disk.Trash.Bytes, err)
	}
}

// TestCancelledCollectIsFreed: nor does what a collection has let go whose context has ended in its
// transaction.
func TestCancelledCollectIsFreed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var collecting atomic.Bool
	s, err := Open(t.Context(), t.TempDir()+"/store", Options{Clock: func() time.Time {
		if collecting.Load() { // it asks whether leases are over
			cancel()
		}
		return time.Now()
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a := batchOf(t, s, "a")
	a.putBytes(t, "a/b", image.RoleLayer, bytes.Repeat([]byte("0123456789"), 100_000))
	a.published(t)
	if err := s.Release(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	collecting.Store(true)
	if _, err := s.Collect(ctx); !errors.Is(err, context.Canceled) {
		t.Error("Collect:", err)
	}
	collecting.Store(false)
	s.background.Wait()
	if _, err := store.Collect(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	disk, err := s.Measure(t.Context())
	if err != nil || disk.Trash.Bytes != 0 || disk.Blobs.Bytes != 0 {
		t.Errorf("after a collection %d bytes are in the trash, %d in blobs, %v", disk.Trash.Bytes, disk.Blobs.Bytes, err)
	}
}
