package durable

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
)

func openRoot(t testing.TB, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

// newWriter returns a Writer of an empty directory; at the end of the test it is
// closed and must have left nothing.
func newWriter(t testing.TB) (*Writer, string) {
	t.Helper()
	dir := t.TempDir()
	w := NewWriter(openRoot(t, dir), Options{})
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(filepath.Join(dir, ingestParent)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the ingest directory is still there: %v", err)
		}
	})
	return w, dir
}

func reads(data []byte) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
}

// fileSource is a source whose bytes the kernel can copy.
type fileSource struct{ *os.File }

func (f fileSource) CopyTo(dst *os.File, n int64) (int64, error) {
	return dst.ReadFrom(io.LimitReader(f.File, n))
}

// readsFile returns the opener of a file that has the data.
func readsFile(t testing.TB, data []byte) func(context.Context) (io.ReadCloser, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "source")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return func(context.Context) (io.ReadCloser, error) {
		f, err := os.Open(path)
		return fileSource{f}, err
	}
}

func randomBytes(seed byte, n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(data)
	return data
}

func fileOf(name string, data []byte) File {
	return File{Name: name, Digest: digest.FromBytes(data), Size: int64(len(data))}
}

func wantFile(t testing.TB, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	} else if !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes that differ from the %d wanted", path, len(got), len(want))
	}
}

func wantNone(t testing.TB, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is there (%v)", path, err)
	}
}

// leftovers returns the new files that were neither renamed nor removed.
func leftovers(t testing.TB, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, ingestParent, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(found, func(s string) bool { return filepath.Base(s) == lockName })
}
