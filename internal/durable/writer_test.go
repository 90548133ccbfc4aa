package durable

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/testtree"
)

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
	data := testtree.Random(4, 2*smallFile)
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

func TestNothingIsSeenBeforeItIsSynced(t *testing.T) {
	t.Parallel()
	w, dir := newWriter(t)
	synced := 0
	w.sync = func(f *os.File) error {
		synced++
		for _, name := range []string{"small", "big", "new"} {
			wantNone(t, filepath.Join(dir, name))
		}
		return SyncData(f)
	}
	for _, put := range []func() error{
		func() error { return w.Create(t.Context(), "new", []byte("new")) },
		func() error {
			data := testtree.Random(9, smallFile+1)
			return w.Put(t.Context(), fileOf("big", data), reads(data))
		},
		func() error {
			err := w.Put(t.Context(), fileOf("small", []byte("x")), reads([]byte("x")))
			return errors.Join(err, w.Flush(t.Context()))
		},
	} {
		if err := put(); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"small", "big", "new"} {
			if err := os.Remove(filepath.Join(dir, name)); err == nil {
				synced--
			}
		}
		if synced != 0 {
			t.Errorf("%d more syncs than files", synced)
		}
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
			data := testtree.Random(5, size)
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

// promptly is within how long a call has to return when its context has ended: 100 ms, and
// what a loaded machine adds. What is waited for does not end by itself.
const promptly = 100*time.Millisecond + 2*time.Second

func TestCancel(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	big := testtree.Random(6, smallFile+1)
	for name, tc := range map[string]struct {
		sync func(*os.File) error
		open func(context.Context) (io.ReadCloser, error)
	}{
		"while reading": {SyncData, func(ctx context.Context) (io.ReadCloser, error) { return io.NopCloser(blocking{ctx}), nil }},
		"while syncing": {func(*os.File) error { <-release; return nil }, reads(big)},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w := NewWriter(testtree.OpenRoot(t, dir), Options{})
			w.sync, w.wait = tc.sync, 100*time.Millisecond
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
			defer cancel()
			start := time.Now()
			err := w.Put(ctx, fileOf("file", big), tc.open)
			if late := time.Since(start) - 30*time.Millisecond; late > promptly {
				t.Errorf("Put returned %v after the end of its context", late)
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Put: %v", err)
			}
			start = time.Now()
			if err := w.Close(); err != nil || time.Since(start) > 3*w.wait {
				t.Errorf("Close: %v after %v", err, time.Since(start))
			}
		})
	}
}

func TestWorkOutlivesCloseAndCleansUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root := testtree.OpenRoot(t, dir)
	w := NewWriter(root, Options{})
	w.wait = time.Millisecond
	release := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	w.sync = func(*os.File) error { cancel(); <-release; return nil }
	data := testtree.Random(7, smallFile+1)
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

// Close returns when what a cancelled Put left behind has ended and been removed.
func TestCloseWaitsForCancelledWork(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"big": smallFile + 1, "group": 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			w := NewWriter(testtree.OpenRoot(t, dir), Options{})
			ctx, cancel := context.WithCancel(t.Context())
			var syncs atomic.Int32
			w.sync = func(*os.File) error {
				syncs.Add(1)
				cancel()
				time.Sleep(300 * time.Millisecond)
				return nil
			}
			var err error
			for i := 0; i < groupSize && err == nil; i++ {
				data := append(testtree.Random(8, size), byte(i))
				err = w.Put(ctx, fileOf(fmt.Sprint(i), data), reads(data))
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("Put: %v", err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) > 0 {
				t.Errorf("left behind: %v (%v)", entries, err)
			}
			if n := syncs.Load(); n > syncers {
				t.Errorf("%d files were synced, want no more than had begun", n)
			}
		})
	}
}

// What was read in vain, for nobody waits for it, is not synced.
func TestCancelledPutIsNotSynced(t *testing.T) {
	t.Parallel()
	w, _ := newWriter(t)
	w.sync = func(*os.File) error { t.Error("synced"); return nil }
	ctx, cancel := context.WithCancel(t.Context())
	data := testtree.Random(9, smallFile+1)
	err := w.Put(ctx, fileOf("file", data), func(context.Context) (io.ReadCloser, error) {
		return &lastRead{bytes.NewReader(data), cancel}, nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v", err)
	}
}

// lastRead calls back when it is closed, after its last byte was read.
type lastRead struct {
	io.Reader
	done func()
}

func (r *lastRead) Close() error { r.done(); return nil }

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
