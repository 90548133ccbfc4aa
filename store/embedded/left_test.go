package embedded_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	bolt "go.etcd.io/bbolt"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// TestFileThatCannotGo: a file that could not be removed, as the directory that it is in
// could not be used, goes with the next collection.
func TestFileThatCannotGo(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	s := openStore(t, dir, embedded.Options{})
	defer closeStore(t, s)
	src := &source{Store: &testimage.Store{}}
	layer := src.Put(ocispec.MediaTypeImageLayer, bytes.Repeat([]byte("x"), 100<<10))
	b, _ := newBatch(t, s)
	src.put(t, b, layer, image.RoleLayer)
	shard := filepath.Join(dir, "blobs/sha256", layer.Digest.Encoded()[:2])
	file := filepath.Join(shard, layer.Digest.Encoded())

	// The file is placed, and then the record does not come.
	none := store.Move{Name: "docker.io/library/none:1", If: store.Condition{Absent: true}}
	ctx := lateContext{t.Context(), func() bool { _, err := os.Stat(file); return err == nil }}
	if _, err := b.Publish(ctx, none); !errors.Is(err, context.Canceled) {
		t.Fatal("Publish:", err)
	}
	if err := errors.Join(os.Rename(shard, shard+".away"), os.WriteFile(shard, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err == nil {
		t.Error("Close of the batch: nothing, though the file cannot be removed")
	}
	if err := errors.Join(os.Remove(shard), os.Rename(shard+".away", shard)); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Collect(t.Context(), s); err != nil {
		t.Error("Collect:", err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Error("a collection leaves the file:", err)
	}
	wantSound(t, s)
}

// TestKilledInTheFirstCollection: when a process was killed between journal and database in
// the first transaction since the store was closed, and that was a collection, the files of what
// it has let go are found by the next collection, also where another command comes before it.
func TestKilledInTheFirstCollection(t *testing.T) {
	t.Parallel()
	for _, others := range []int{0, 1} {
		killedInTheFirstCollection(t, others)
	}
}

func killedInTheFirstCollection(t *testing.T, others int) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	s := openStore(t, dir, embedded.Options{})
	src := &source{Store: &testimage.Store{}}
	layer := src.Put(ocispec.MediaTypeImageLayer, bytes.Repeat([]byte("x"), 100<<10))
	b, lease := newBatch(t, s)
	src.put(t, b, layer, image.RoleLayer)
	if _, err := b.Publish(t.Context()); err != nil {
		t.Fatal("Publish:", err)
	}
	closeStore(t, b)
	if err := s.Release(t.Context(), lease); err != nil {
		t.Fatal("Release:", err)
	}
	closeStore(t, s)
	database := filepath.Join(dir, "catalog.db")
	file := filepath.Join(dir, "blobs/sha256", layer.Digest.Encoded()[:2], layer.Digest.Encoded())
	before, err := os.ReadFile(database)
	if err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir, embedded.Options{})
	if c, err := store.Collect(t.Context(), s); err != nil || c.Blobs != 1 {
		t.Fatalf("Collect: %+v, %v", c, err)
	}
	closeStore(t, s)
	if err := errors.Join(os.WriteFile(database, before, 0o600), os.WriteFile(file, src.Get(layer.Digest), 0o600)); err != nil {
		t.Fatal(err)
	}

	for range others {
		closeStore(t, openStore(t, dir, embedded.Options{}))
	}
	s = openStore(t, dir, embedded.Options{})
	defer closeStore(t, s)
	if _, err := store.Collect(t.Context(), s); err != nil {
		t.Error("Collect:", err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Error("a collection leaves the file:", err)
	}
	wantSound(t, s)
}

// TestLeak: a blob that nobody needs, and that no collection would find, is told of, and goes
// with the first collection after a repair.
func TestLeak(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	s := openStore(t, dir, embedded.Options{})
	src := &source{Store: &testimage.Store{}}
	root := src.Image(testimage.Image{Layers: 2})
	const name = "docker.io/library/leak:1"
	src.write(t, s, map[string]ocispec.Descriptor{name: root})
	if _, err := store.Collect(t.Context(), s); err != nil {
		t.Fatal("Collect:", err)
	}
	if _, err := s.Move(t.Context(), store.Move{Name: name, Forget: true}); err != nil {
		t.Fatal("Move:", err)
	}
	closeStore(t, s)
	changeDatabase(t, dir, func(tx *bolt.Tx) error { return emptyBucket(tx, "suspects") })

	s = openStore(t, dir, embedded.Options{})
	defer closeStore(t, s)
	for _, opts := range []embedded.CheckOptions{{}, {Repair: true}} {
		if c, err := store.Collect(t.Context(), s); err != nil || c.Blobs != 0 {
			t.Fatalf("Collect: %+v, %v; want nothing collected", c, err)
		}
		wantFinding(t, embedded.Leaked, check(t, s, opts))
	}
	if c, err := store.Collect(t.Context(), s); err != nil || c.Blobs != 4 {
		t.Errorf("Collect after a repair: %+v, %v; want 4 blobs", c, err)
	}
	wantSound(t, s)
}

// lateContext ends as soon as something is so.
type lateContext struct {
	context.Context
	so func() bool
}

func (c lateContext) Err() error {
	if c.so() {
		return context.Canceled
	}
	return c.Context.Err()
}
