package testtree

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// OpenRoot opens a directory until the end of the test.
func OpenRoot(tb testing.TB, dir string) *os.Root {
	tb.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = root.Close() })
	return root
}

// Random returns n bytes, always the same ones for a seed, which cannot be compressed.
func Random(seed byte, n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(data) // never fails
	return data
}

// OpensFile returns what opens a file that has the data, from an offset on. As the sources of
// transports may do, what it opens has a method CopyTo, so that the kernel can copy its bytes.
func OpensFile(tb testing.TB, data []byte) func(ctx context.Context, from int64) (io.ReadCloser, error) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "source")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		tb.Fatal(err)
	}
	return func(_ context.Context, from int64) (io.ReadCloser, error) {
		f, err := os.Open(path)
		if err == nil {
			_, err = f.Seek(from, io.SeekStart)
		}
		return copied{f}, err
	}
}

type copied struct{ *os.File }

// CopyTo writes the next n bytes to dst, and returns how many it has written.
func (f copied) CopyTo(dst *os.File, n int64) (int64, error) {
	return dst.ReadFrom(io.LimitReader(f.File, n))
}
