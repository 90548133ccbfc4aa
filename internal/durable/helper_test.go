package durable

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/internal/testtree"
)

// newWriter returns a Writer of an empty directory; at the end of the test it is
// closed and must have left nothing.
func newWriter(t testing.TB) (*Writer, string) {
	t.Helper()
	dir := t.TempDir()
	w := NewWriter(testtree.OpenRoot(t, dir), Options{})
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

// readsFile returns the opener of a file that has the data.
func readsFile(t testing.TB, data []byte) func(context.Context) (io.ReadCloser, error) {
	t.Helper()
	open := testtree.OpensFile(t, data)
	return func(ctx context.Context) (io.ReadCloser, error) { return open(ctx, 0) }
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
