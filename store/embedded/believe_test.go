package embedded_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// oneLayer makes a store with a blob that has a file, and closes it.
func oneLayer(t *testing.T) (dir string, src *source, layer ocispec.Descriptor) {
	t.Helper()
	dir, src = filepath.Join(t.TempDir(), "store"), &source{Store: &testimage.Store{}}
	layer = src.Put(ocispec.MediaTypeImageLayer, bytes.Repeat([]byte("layer"), 30_000))
	s := openStore(t, dir, embedded.Options{})
	wantPut(t, s, src, layer, store.Written)
	closeStore(t, s)
	return dir, src, layer
}

// wantPut writes a layer, in a batch of its own, and checks what came of it.
func wantPut(t *testing.T, s *embedded.Store, src *source, layer ocispec.Descriptor, want store.Put) {
	t.Helper()
	b, _ := newBatch(t, s)
	defer closeStore(t, b)
	if put := src.put(t, b, layer, image.RoleLayer); put != want {
		t.Errorf("Put: %s; want %s", put, want)
	}
	if _, err := b.Publish(t.Context()); err != nil {
		t.Fatal("Publish:", err)
	}
}

// rot changes a bit of a blob's file.
func rot(t *testing.T, dir string, d digest.Digest) {
	t.Helper()
	name := filepath.Join(dir, "blobs", d.Algorithm().String(), d.Encoded()[:2], d.Encoded())
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.Chmod(name, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFoundDamagedIsWritten: what fsck has found damaged is not believed by who writes it, in
// the same process or in a later one.
func TestFoundDamagedIsWritten(t *testing.T) {
	t.Parallel()
	for _, later := range []bool{false, true} {
		dir, src, layer := oneLayer(t)
		rot(t, dir, layer.Digest)
		s := openStore(t, dir, embedded.Options{})
		wantFinding(t, embedded.BadBlob, check(t, s, embedded.CheckOptions{}))
		if later {
			closeStore(t, s)
			s = openStore(t, dir, embedded.Options{})
		}
		wantPut(t, s, src, layer, store.Written)
		wantSound(t, s)
		closeStore(t, s)
	}
}

// TestEpochAfterARepair: a store of which the format was lost, and nothing else, believes no
// file afterwards that was found damaged.
func TestEpochAfterARepair(t *testing.T) {
	t.Parallel()
	for _, opts := range []embedded.CheckOptions{{Repair: true}, {Repair: true, Quick: true}} {
		dir, src, layer := oneLayer(t)
		if err := os.Remove(filepath.Join(dir, "format")); err != nil {
			t.Fatal(err)
		}
		s := openStore(t, dir, embedded.Options{})
		wantDegraded(t, s)
		check(t, s, opts)
		closeStore(t, s)
		rot(t, dir, layer.Digest)

		s = openStore(t, dir, embedded.Options{})
		if kind := read(t, s, src, layer.Digest); kind == kindName(nil) {
			t.Error("damaged bytes are read")
		}
		closeStore(t, s)
		s = openStore(t, dir, embedded.Options{})
		wantPut(t, s, src, layer, store.Written)
		wantSound(t, s)
		closeStore(t, s)
	}
}
