package embedded_test

import (
	"bytes"
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

// TestSweepPassesWhatIsUsed: a file that a crash has left, and that a batch is writing anew
// while a collection looks for such, goes with the next collection when the batch gives up.
func TestSweepPassesWhatIsUsed(t *testing.T) {
	t.Parallel()
	for _, repair := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "store")
		s := openStore(t, dir, embedded.Options{})
		src := &source{Store: &testimage.Store{}}
		layer := src.Put(ocispec.MediaTypeImageLayer, bytes.Repeat([]byte("x"), 100<<10))
		file := filepath.Join(dir, "blobs/sha256", layer.Digest.Encoded()[:2], layer.Digest.Encoded())
		if _, err := s.Lease(t.Context(), store.Lease{}); err != nil { // the store is not clean
			t.Fatal(err)
		}
		unclean, err := os.ReadFile(filepath.Join(dir, "catalog.db"))
		if err != nil {
			t.Fatal(err)
		}
		closeStore(t, s)
		// Killed between rename and journal.
		err = errors.Join(os.WriteFile(filepath.Join(dir, "catalog.db"), unclean, 0o600),
			os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, src.Get(layer.Digest), 0o600))
		if err != nil {
			t.Fatal(err)
		}

		s = openStore(t, dir, embedded.Options{})
		b, _ := newBatch(t, s)
		src.put(t, b, layer, image.RoleLayer)
		if repair {
			check(t, s, embedded.CheckOptions{Repair: true})
		} else if _, err := store.Collect(t.Context(), s); err != nil {
			t.Fatal("Collect:", err)
		}
		closeStore(t, b) // it gives up
		closeStore(t, s)

		s = openStore(t, dir, embedded.Options{})
		if _, err := store.Collect(t.Context(), s); err != nil {
			t.Error("Collect:", err)
		}
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("repair %v: a collection leaves the file: %v", repair, err)
		}
		wantSound(t, s)
		closeStore(t, s)
	}
}

// TestClosedBeforeItsBatch: the file of a batch that gives up only after the store was closed goes
// with the next collection.
func TestClosedBeforeItsBatch(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	src, layer, name := theLayer()
	file := filepath.Join(dir, name)
	s := openStore(t, dir, embedded.Options{})
	b, _ := newBatch(t, s)
	(&source{Store: src}).put(t, b, layer, image.RoleLayer)
	placed := func() bool { _, err := os.Stat(file); return err == nil }
	if _, err := b.Publish(lateContext{t.Context(), placed}); err == nil || !placed() {
		t.Fatal("Publish:", err)
	}
	closeStore(t, s)
	_ = b.Close() // too late

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
