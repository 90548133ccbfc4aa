package durable

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/containerd/errdefs"
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

func TestPutSizes(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, smallFile, smallFile + 1, 3*writeBackWindow + 7} {
		for _, known := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d known=%v", size, known), func(t *testing.T) {
				t.Parallel()
				w, dir := newWriter(t)
				data := randomBytes(1, size)
				f := fileOf("a/b/file", data)
				if !known {
					f.Size = -1
				}
				if err := w.Put(t.Context(), f, reads(data)); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(dir, "a/b/file")
				if small := size <= smallFile; w.Pending(f.Name) != small {
					t.Errorf("Pending = %v, want %v", !small, small)
				} else if small {
					wantNone(t, path)
				} else {
					wantFile(t, path, data)
				}
				if !w.Has(f.Name, f.Digest) {
					t.Error("Has = false after Put")
				}
				if err := w.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				wantFile(t, path, data)
			})
		}
	}
}

func TestPutAlgorithms(t *testing.T) {
	t.Parallel()
	w, dir := newWriter(t)
	data := randomBytes(2, 1000)
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512} {
		f := File{Name: alg.String(), Digest: alg.FromBytes(data), Size: 1000}
		if err := w.Put(t.Context(), f, reads(data)); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		f.Digest = alg.FromString("other")
		if err := w.Put(t.Context(), f, reads(data)); !errors.Is(err, errdefs.ErrDataLoss) {
			t.Errorf("%s of other bytes: %v", alg, err)
		}
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantFile(t, filepath.Join(dir, "sha512"), data)
}

func TestPutRefusesBytesThatDoNotMatch(t *testing.T) {
	t.Parallel()
	broken := errors.New("the cable was cut")
	for _, size := range []int{100, 2 * smallFile} {
		data := randomBytes(3, size)
		other := slices.Clone(data)
		other[size/2] ^= 1
		for name, tc := range map[string]struct {
			src  io.Reader
			kind error
			text string
		}{
			"wrong bytes":  {bytes.NewReader(other), errdefs.ErrDataLoss, digest.FromBytes(other).String()},
			"short":        {bytes.NewReader(data[:size-1]), errdefs.ErrDataLoss, fmt.Sprintf("%d bytes, want %d", size-1, size)},
			"empty":        {bytes.NewReader(nil), errdefs.ErrDataLoss, fmt.Sprintf("0 bytes, want %d", size)},
			"long":         {bytes.NewReader(append(slices.Clone(data), 'x')), errdefs.ErrDataLoss, fmt.Sprintf("more than %d bytes", size)},
			"reader fails": {io.MultiReader(bytes.NewReader(data[:size/2]), iotest.ErrReader(broken)), broken, "the cable was cut"},
			"no progress":  {stuck{}, io.ErrNoProgress, ""},
		} {
			t.Run(fmt.Sprintf("%s of %d", name, size), func(t *testing.T) {
				t.Parallel()
				w, dir := newWriter(t)
				f := fileOf("file", data)
				err := w.Put(t.Context(), f, func(context.Context) (io.ReadCloser, error) { return io.NopCloser(tc.src), nil })
				if !errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.text) {
					t.Errorf("Put: %v; want %v with %q", err, tc.kind, tc.text)
				}
				if left := leftovers(t, dir); len(left) > 0 || w.Pending("file") || w.Has("file", f.Digest) {
					t.Errorf("left behind: %q, pending %v", left, w.Pending("file"))
				}
				if err := w.Flush(t.Context()); err != nil {
					t.Errorf("Flush after a refused Put: %v", err)
				}
				wantNone(t, filepath.Join(dir, "file"))
				if err := w.Put(t.Context(), f, reads(data)); err != nil {
					t.Errorf("Put of the right bytes: %v", err)
				}
			})
		}
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// counting counts what is read, and never ends.
type counting struct{ n int64 }

func (c *counting) Read(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

func TestPutReadsOneByteTooManyAtMost(t *testing.T) {
	t.Parallel()
	w, _ := newWriter(t)
	for _, size := range []int64{0, 1, chunkSize, smallFile + 3} {
		src := &counting{}
		f := File{Name: "file", Digest: digest.FromString("x"), Size: size}
		err := w.Put(t.Context(), f, func(context.Context) (io.ReadCloser, error) { return io.NopCloser(src), nil })
		if !errors.Is(err, errdefs.ErrDataLoss) || src.n > size+1 {
			t.Errorf("size %d: read %d bytes, error %v", size, src.n, err)
		}
	}
}

func TestPutReplacesAndHeals(t *testing.T) {
	t.Parallel()
	w, dir := newWriter(t)
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	data := []byte("whole")
	if err := w.Put(t.Context(), fileOf("file", data), reads(data)); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, []byte("damaged")) // until it is durable
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, data)
}

func TestGroupIsSyncedWhenFull(t *testing.T) {
	t.Parallel()
	w, dir := newWriter(t)
	const n = 2*groupSize + 3
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			data := fmt.Append(nil, "small file ", i)
			if err := w.Put(t.Context(), fileOf(fmt.Sprintf("d/%d", i), data), reads(data)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	visible, err := os.ReadDir(filepath.Join(dir, "d"))
	if err != nil || len(visible) != 2*groupSize {
		t.Errorf("%d files are visible (%v), want %d", len(visible), err, 2*groupSize)
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		wantFile(t, filepath.Join(dir, "d", fmt.Sprint(i)), fmt.Append(nil, "small file ", i))
	}
}

func TestConcurrentPutsOfOneName(t *testing.T) {
	t.Parallel()
	w, dir := newWriter(t)
	data := randomBytes(4, 2*smallFile)
	var opened sync.Map
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			err := w.Put(t.Context(), fileOf("file", data), func(ctx context.Context) (io.ReadCloser, error) {
				opened.Store(i, true)
				return reads(data)(ctx)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wantFile(t, filepath.Join(dir, "file"), data)
	n := 0
	opened.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("the bytes were written %d times, want once", n)
	}
}

func TestFailedSyncIsFinal(t *testing.T) {
	t.Parallel()
	broken := errors.New("input/output error")
	for name, size := range map[string]int{"small": 10, "big": smallFile + 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, dir := newWriter(t)
			calls := 0
			w.sync = func(*os.File) error { calls++; return broken }
			data := randomBytes(5, size)
			err := w.Put(t.Context(), fileOf("file", data), reads(data))
			if name == "small" {
				if err != nil {
					t.Errorf("Put of a held file: %v", err)
				}
				for range 2 {
					if err := w.Flush(t.Context()); !errors.Is(err, broken) {
						t.Errorf("Flush: %v, want %v each time", err, broken)
					}
				}
			} else if !errors.Is(err, broken) {
				t.Errorf("Put: %v", err)
			}
			if calls != 1 {
				t.Errorf("synced %d times, want once", calls)
			}
			wantNone(t, filepath.Join(dir, "file"))
			if left := leftovers(t, dir); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// blocking is a reader that waits until its context ends.
type blocking struct{ ctx context.Context }

func (b blocking) Read([]byte) (int, error) { <-b.ctx.Done(); return 0, b.ctx.Err() }

func TestCancel(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	big := randomBytes(6, smallFile+1)
	for name, tc := range map[string]struct {
		sync func(*os.File) error
		open func(context.Context) (io.ReadCloser, error)
	}{
		"while reading": {syncData, func(ctx context.Context) (io.ReadCloser, error) { return io.NopCloser(blocking{ctx}), nil }},
		"while syncing": {func(*os.File) error { <-release; return nil }, reads(big)},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w := NewWriter(openRoot(t, dir), Options{})
			w.sync = tc.sync
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
			defer cancel()
			start := time.Now()
			err := w.Put(ctx, fileOf("file", big), tc.open)
			if late := time.Since(start) - 30*time.Millisecond; late > 100*time.Millisecond {
				t.Errorf("Put returned %v after the end of its context", late)
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Put: %v", err)
			}
			start = time.Now()
			if err := w.Close(); err != nil || time.Since(start) > 3*closeWait {
				t.Errorf("Close: %v after %v", err, time.Since(start))
			}
		})
	}
}

func TestWorkOutlivesCloseAndCleansUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root := openRoot(t, dir)
	w := NewWriter(root, Options{})
	release := make(chan struct{})
	w.sync = func(*os.File) error { <-release; return nil }
	data := randomBytes(7, smallFile+1)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if err := w.Put(ctx, fileOf("file", data), reads(data)); !errors.Is(err, context.Canceled) {
		t.Fatalf("Put: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := root.Close(); err != nil {
		t.Fatal(err)
	}
	close(release)
	<-w.idle
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v (%v)", entries, err)
	}
	if err := w.Put(t.Context(), fileOf("file", data), reads(data)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Put after Close: %v", err)
	}
}

func TestAdopt(t *testing.T) {
	t.Parallel()
	w, dir := newWriter(t)
	if err := os.WriteFile(filepath.Join(dir, "there"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.Adopt("there")
	if err := w.Flush(t.Context()); err != nil {
		t.Errorf("Flush: %v", err)
	}
	w.Adopt("gone")
	for range 2 {
		if err := w.Flush(t.Context()); !errors.Is(err, errdefs.ErrNotFound) {
			t.Errorf("Flush of an adopted file that is gone: %v", err)
		}
	}
}
