package blobfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/internal/durable"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	d, _ := newDir(t)
	for _, size := range []int{0, 1, Small, Small + 1, 3*hashChunk + 1} {
		data := randomBytes(1, size)
		publish(t, d, data)
		blob := digest.FromBytes(data)
		got, modified, err := d.Stat(blob)
		if got != int64(size) || modified.IsZero() || err != nil {
			t.Errorf("Stat: %d, %v, %v; want %d", got, modified, err, size)
		}
		for _, from := range []int{0, 1, size / 2, size - 1, size} {
			if from < 0 || from > size {
				continue
			}
			r, err := d.Open(t.Context(), blob, int64(size), int64(from))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data[from:]) {
				t.Errorf("%d from %d: %d bytes, %v", size, from, len(got), err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
		for _, from := range []int{-1, size + 1} {
			_, err := d.Open(t.Context(), blob, int64(size), int64(from))
			wantKind(t, fmt.Sprintf("%d from %d", size, from), err, errdefs.ErrInvalidArgument)
		}
		_, err = d.Open(t.Context(), blob, int64(size)+1, 0)
		wantKind(t, "other size", err, errdefs.ErrDataLoss)
	}
}

// asks are all ways to ask for a blob.
func asks(ctx context.Context, d *Dir) map[string]func(blob digest.Digest, size int64) error {
	read := func(from func(size int64) int64) func(digest.Digest, int64) error {
		return func(blob digest.Digest, size int64) error {
			r, err := d.Open(ctx, blob, size, from(size))
			if err != nil {
				return err
			}
			defer r.Close()
			n, err := io.Copy(io.Discard, r)
			if err != nil && n == size-from(size) && n > 0 {
				return fmt.Errorf("all %d bytes were read before: %w", n, errdefs.ErrUnknown)
			}
			return err
		}
	}
	return map[string]func(blob digest.Digest, size int64) error{
		"Open":               read(func(int64) int64 { return 0 }),
		"Open in the middle": read(func(size int64) int64 { return size / 2 }),
		"Open at the end":    read(func(size int64) int64 { return size }),
		"OpenAt": func(blob digest.Digest, size int64) error {
			r, err := d.OpenAt(ctx, blob, size)
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = io.Copy(io.Discard, io.NewSectionReader(r, 0, size))
			return err
		},
		"Verify": func(blob digest.Digest, size int64) error { return d.Verify(ctx, blob, size) },
	}
}

func TestDamagedBytesAreDataLoss(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for name, damage := range map[string]func([]byte) []byte{
		"flipped bit": func(b []byte) []byte {
			b[random.IntN(len(b))] ^= 1 << random.IntN(8)
			return b
		},
		"flipped first": func(b []byte) []byte { b[0] ^= 1; return b },
		"flipped last":  func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"truncated":     func(b []byte) []byte { return b[:random.IntN(len(b))] },
		"one short":     func(b []byte) []byte { return b[:len(b)-1] },
		"extended":      func(b []byte) []byte { return append(b, 0) },
		"empty":         func([]byte) []byte { return nil },
		"zeros":         func(b []byte) []byte { clear(b); return b },
	} {
		for _, size := range []int{1, Small, 3 * Small} {
			data := randomBytes(2, size)
			damaged := damage(bytes.Clone(data))
			t.Run(fmt.Sprintf("%s of %d, seed %d", name, size, seed), func(t *testing.T) {
				t.Parallel()
				d, dir := newDir(t)
				publish(t, d, data)
				blob := digest.FromBytes(data)
				if err := os.WriteFile(blobPath(dir, blob), damaged, 0o600); err != nil {
					t.Fatal(err)
				}
				for ask, f := range asks(t.Context(), d) {
					wantKind(t, ask, f(blob, int64(size)), errdefs.ErrDataLoss)
				}
				if err := d.SetAside(blob); err != nil {
					t.Fatal(err)
				}
				if got, err := os.ReadFile(filepath.Join(dir, badName, blob.Encoded()+".1")); err != nil || !bytes.Equal(got, damaged) {
					t.Errorf("set aside: %d bytes of %d, %v", len(got), len(damaged), err)
				}
				for ask, f := range asks(t.Context(), d) {
					wantKind(t, ask+" after SetAside", f(blob, int64(size)), errdefs.ErrNotFound)
				}
				publish(t, d, data)
				for ask, f := range asks(t.Context(), d) {
					wantKind(t, ask+" after it was healed", f(blob, int64(size)), nil)
				}
			})
		}
	}
}

func TestDamageWhileReading(t *testing.T) {
	t.Parallel()
	data := randomBytes(3, 3*Small)
	blob := digest.FromBytes(data)
	for name, damage := range map[string]func(path string) error{
		"flipped":   func(path string) error { return errors.Join(patch(path, 2*Small, data[2*Small]^1)) },
		"truncated": func(path string) error { return os.Truncate(path, 2*Small) },
		"empty":     func(path string) error { return os.Truncate(path, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, dir := newDir(t)
			publish(t, d, data)
			r, err := d.Open(t.Context(), blob, int64(len(data)), 0)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if _, err := io.CopyN(io.Discard, r, Small); err != nil {
				t.Fatal(err)
			}
			if err := damage(blobPath(dir, blob)); err != nil {
				t.Fatal(err)
			}
			for range 2 { // it stays so
				_, err = io.Copy(io.Discard, r)
				wantKind(t, "reading on", err, errdefs.ErrDataLoss)
			}
		})
	}
}

func patch(path string, at int64, b byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte{b}, at)
	return errors.Join(err, f.Close())
}

func TestReaderAt(t *testing.T) {
	t.Parallel()
	d, dir := newDir(t)
	data := randomBytes(4, 3*Small)
	publish(t, d, data)
	blob, size := digest.FromBytes(data), int64(len(data))
	r, err := d.OpenAt(t.Context(), blob, size)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Size() != size {
		t.Errorf("Size is %d, want %d", r.Size(), size)
	}
	for _, row := range []struct {
		name    string
		at, n   int64
		want    int64
		wantErr error
	}{
		{"begin", 0, 10, 10, nil},
		{"middle", 1000, Small, Small, nil},
		{"to the end", size - 10, 10, 10, nil},
		{"over the end", size - 10, 11, 10, io.EOF},
		{"at the end", size, 1, 0, io.EOF},
		{"behind the end", size + 5, 1, 0, io.EOF},
		{"nothing", 5, 0, 0, nil},
		{"negative", -1, 1, 0, errdefs.ErrInvalidArgument},
	} {
		p := make([]byte, row.n)
		n, err := r.ReadAt(p, row.at)
		wantKind(t, row.name, err, row.wantErr)
		if int64(n) != row.want || n > 0 && !bytes.Equal(p[:n], data[row.at:row.at+int64(n)]) {
			t.Errorf("%s: %d bytes, want %d", row.name, n, row.want)
		}
	}
	if err := os.Truncate(blobPath(dir, blob), 100); err != nil {
		t.Fatal(err)
	}
	_, err = r.ReadAt(make([]byte, 10), 95)
	wantKind(t, "ReadAt of a file that was truncated", err, errdefs.ErrDataLoss)
}

// TestOpenAtVerifiesOnce tells whether OpenAt hashes by a context that has ended, which
// only that looks at.
func TestOpenAtVerifiesOnce(t *testing.T) {
	t.Parallel()
	d, dir := newDir(t)
	data := randomBytes(5, 2*Small)
	publish(t, d, data)
	blob, size := digest.FromBytes(data), int64(len(data))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	hashes := func(d *Dir) bool {
		err := openAt(ended, d, blob, size)
		return errors.Is(err, context.Canceled)
	}
	if hashes(d) {
		t.Error("what was published is hashed")
	}
	d = openDir(t, dir)
	if !hashes(d) {
		t.Error("what another Dir has published is not hashed")
	}
	wantKind(t, "OpenAt", openAt(t.Context(), d, blob, size), nil)
	if hashes(d) {
		t.Error("what was hashed is hashed again")
	}
	if err := patch(blobPath(dir, blob), 0, data[0]); err != nil {
		t.Fatal(err)
	}
	if !hashes(d) {
		t.Error("what has changed is not hashed")
	}
}

func openAt(ctx context.Context, d *Dir, blob digest.Digest, size int64) error {
	r, err := d.OpenAt(ctx, blob, size)
	if err != nil {
		return err
	}
	return r.Close()
}

func TestCopyTo(t *testing.T) {
	t.Parallel()
	d, dir := newDir(t)
	data := randomBytes(6, 3*Small)
	publish(t, d, data)
	blob, size := digest.FromBytes(data), int64(len(data))
	copyTo := func(from, n int64) (r io.ReadCloser, copied []byte) {
		t.Helper()
		r, err := d.Open(t.Context(), blob, size, from)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.Close() })
		dst, err := os.Create(filepath.Join(t.TempDir(), "dst"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.(durable.FileCopier).CopyTo(dst, n)
		if err != nil {
			t.Fatal(err)
		}
		copied, err = os.ReadFile(dst.Name())
		if err := errors.Join(err, dst.Close()); err != nil || int64(len(copied)) != got {
			t.Errorf("CopyTo has copied %d bytes and says %d (%v)", len(copied), got, err)
		}
		return r, copied
	}
	if _, got := copyTo(0, size+10); !bytes.Equal(got, data) {
		t.Errorf("%d bytes, want %d", len(got), size)
	}
	if _, got := copyTo(100, 50); !bytes.Equal(got, data[100:150]) {
		t.Errorf("%d bytes, want 50", len(got))
	}
	r, _ := copyTo(100, 50)
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data[150:]) {
		t.Errorf("reading on: %d bytes, %v", len(got), err)
	}
	if err := patch(blobPath(dir, blob), 0, data[0]^1); err != nil {
		t.Fatal(err)
	}
	r, _ = copyTo(0, 50)
	_, err := io.ReadAll(r)
	wantKind(t, "reading on when what was copied is damaged", err, errdefs.ErrDataLoss)
}

func TestHostileDigests(t *testing.T) {
	t.Parallel()
	d, dir := newDir(t)
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, blob := range []digest.Digest{
		"", "x", "sha256:", "sha256:../../secret", "sha256:%s%s%n", "../blobs:secret", "sha256:" + digest.Digest(make([]byte, 64)),
		digest.Digest("sha256:" + digest.FromString("x").Encoded()[:63] + "A"), digest.Digest(digest.FromString("x").Encoded()),
	} {
		for ask, f := range asks(t.Context(), d) {
			wantKind(t, fmt.Sprintf("%s of %q", ask, blob), f(blob, 1), errdefs.ErrInvalidArgument)
		}
		_, _, err := d.Stat(blob)
		wantKind(t, "Stat", err, errdefs.ErrInvalidArgument)
		wantKind(t, "SetAside", d.SetAside(blob), errdefs.ErrInvalidArgument)
		wantKind(t, "Trash", d.Trash([]digest.Digest{digest.FromString("x"), blob}), errdefs.ErrInvalidArgument)
		if blob != "" {
			wantKind(t, "Walk", d.Walk(t.Context(), blob, nil), errdefs.ErrInvalidArgument)
		}
	}
	wantTree(t, dir, "secret")
}

func TestFree(t *testing.T) {
	t.Parallel()
	d, _ := newDir(t)
	if n, err := d.Free(); err != nil || n == 0 {
		t.Errorf("Free: %d, %v", n, err)
	}
}
