package embedded_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

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
