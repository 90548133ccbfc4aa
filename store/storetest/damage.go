package storetest

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// ways are how the bytes of a blob may be damaged.
func ways() map[string]func([]byte) []byte {
	return map[string]func([]byte) []byte{
		"the first bit":   func(b []byte) []byte { return flip(b, 0) },
		"a bit":           func(b []byte) []byte { return flip(b, len(b)/2) },
		"the last bit":    func(b []byte) []byte { return flip(b, len(b)-1) },
		"a byte is gone":  func(b []byte) []byte { return b[:len(b)-1] },
		"one byte more":   func(b []byte) []byte { return append(slices.Clone(b), 0) },
		"all is zero":     func(b []byte) []byte { return make([]byte, len(b)) },
		"empty":           func([]byte) []byte { return []byte{} },
		"nothing is left": func([]byte) []byte { return nil },
	}
}

func flip(data []byte, i int) []byte {
	data = slices.Clone(data)
	data[i] ^= 1
	return data
}

func (f Factory) damage() map[string]func(*testing.T) {
	tests := map[string]func(*testing.T){}
	for name, change := range ways() {
		tests[name+", small"] = func(t *testing.T) { f.damaged(t, small, change) }
		tests[name+", large"] = func(t *testing.T) { f.damaged(t, large, change) }
		tests[name+", before a Put"] = func(t *testing.T) { f.damagedBeforePut(t, change) }
	}
	return tests
}

// damageBlob damages a blob, or skips the test where that cannot be done.
func (w *world) damageBlob(t *testing.T, desc ocispec.Descriptor, change func([]byte) []byte) {
	t.Helper()
	skipIf(t, w.f.Cannot.Damage)
	if err := w.place.Damage(desc.Digest, change); errors.Is(err, errdefs.ErrNotImplemented) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal("Damage:", err)
	}
}

// damaged checks that damaged bytes are never taken for the right ones, from whichever
// offset they are read, and that the next Put of the right ones heals the blob.
func (f Factory) damaged(t *testing.T, size int, change func([]byte) []byte) {
	skipIf(t, f.Cannot.Verified)
	w := f.world(t)
	b := w.begin(t, w.lease(t))
	desc := b.blob(t, bytes.Repeat([]byte(t.Name()), size/10))
	b.publish(t)
	b.close(t)
	w.close(t)
	w.damageBlob(t, desc, change)
	w.open(t)
	bad := func(err error) bool {
		return errors.Is(err, errdefs.ErrDataLoss) || errors.Is(err, errdefs.ErrNotFound)
	}
	for _, from := range []int64{desc.Size, desc.Size - 1, desc.Size / 2, 1, 0} {
		got, err := readAll(t.Context(), w, desc.Digest, from)
		if err == nil && bytes.Equal(got, w.src.Get(desc.Digest)[from:]) && len(change([]byte{0, 0})) > 2 {
			return // what is more than the blob is not read
		}
		if !bad(err) {
			t.Errorf("Open from %d: %d bytes, %v; want %v", from, len(got), err, errdefs.ErrDataLoss)
		}
	}
	if r, err := w.OpenAt(t.Context(), desc.Digest); !bad(err) {
		t.Errorf("OpenAt: %v; want %v", err, errdefs.ErrDataLoss)
		if err == nil {
			_ = r.Close()
		}
	}
	w.heal(t, desc)
}

// heal puts the right bytes, which must not be taken for what is there already.
func (w *world) heal(t *testing.T, desc ocispec.Descriptor) {
	t.Helper()
	b := w.begin(t, w.lease(t))
	if put := b.put(t, desc, image.RoleLayer); put != store.Written {
		t.Errorf("Put after the damage: %s, want %s", put, store.Written)
	}
	b.publish(t)
	w.wantBlob(t, desc.Digest)
	w.reopen(t)
	w.wantBlob(t, desc.Digest)
	w.wantBlobs(t, desc.Digest)
}

// damagedBeforePut checks that after a crash, which may have done the damage, a Put
// believes nothing.
func (f Factory) damagedBeforePut(t *testing.T, change func([]byte) []byte) {
	skipIf(t, f.Cannot.Unclean)
	w := f.world(t)
	b := w.begin(t, w.lease(t))
	desc := b.blob(t, bytes.Repeat([]byte(t.Name()), large/10))
	b.publish(t)
	b.close(t)
	w.crash(t)
	w.damageBlob(t, desc, change)
	w.heal(t, desc)
}
