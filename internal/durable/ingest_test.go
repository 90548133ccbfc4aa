package durable

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dhowhq/dhow/internal/testtree"
)

func TestSweepRemovesOnlyTheDead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dead := filepath.Join(dir, ingestParent, "dead")
	if err := os.MkdirAll(dead, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{lockName, "temp"} {
		if err := os.WriteFile(filepath.Join(dead, name), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	unborn := filepath.Join(dir, ingestParent, "killed before it had a lock")
	foreign := filepath.Join(dir, ingestParent, "a file")
	if err := errors.Join(os.Mkdir(unborn, 0o755), os.WriteFile(foreign, nil, 0o644)); err != nil {
		t.Fatal(err)
	}

	first := NewWriter(testtree.OpenRoot(t, dir), Options{})
	if err := first.Put(t.Context(), fileOf("first", []byte("1")), reads([]byte("1"))); err != nil {
		t.Fatal(err)
	}
	wantNone(t, dead)
	wantNone(t, unborn)
	wantFile(t, foreign, nil)

	second := NewWriter(testtree.OpenRoot(t, dir), Options{})
	if err := second.Put(t.Context(), fileOf("second", []byte("2")), reads([]byte("2"))); err != nil {
		t.Fatal(err)
	}
	if left := leftovers(t, dir); len(left) != 2 {
		t.Errorf("held files: %q, want one of each Writer", left)
	}
	if err := errors.Join(first.Flush(t.Context()), first.Close(), second.Flush(t.Context()), second.Close(), os.Remove(foreign)); err != nil {
		t.Fatal(err)
	}
	wantFile(t, filepath.Join(dir, "first"), []byte("1"))
	wantFile(t, filepath.Join(dir, "second"), []byte("2"))
}

// A killed process may have done all but to remove its directory.
func TestFlushSweepsWithoutAWrite(t *testing.T) {
	t.Parallel()
	w, dir := newWriter(t)
	dead := filepath.Join(dir, ingestParent, "dead")
	if err := errors.Join(os.MkdirAll(dead, 0o755), os.WriteFile(filepath.Join(dead, lockName), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantNone(t, filepath.Join(dir, ingestParent))
}

func TestSweepWhileOthersStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const writers, rounds = 6, 10
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for j := range rounds {
				w := NewWriter(testtree.OpenRoot(t, dir), Options{})
				data := fmt.Append(nil, i, j)
				name := fmt.Sprintf("%d-%d", i, j)
				err := w.Put(t.Context(), fileOf(name, data), reads(data))
				if err == nil {
					err = w.Flush(t.Context())
				}
				if err := errors.Join(err, w.Close()); err != nil {
					t.Errorf("writer %d, round %d: %v", i, j, err)
				}
				wantFile(t, filepath.Join(dir, name), data)
			}
		})
	}
	wg.Wait()
	wantNone(t, filepath.Join(dir, ingestParent))
}

// A root where no directory can be made is told as it is.
func TestPrepareFails(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w := NewWriter(testtree.OpenRoot(t, dir), Options{})
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	err := w.Prepare(t.Context())
	if want := "making a directory for new files in " + dir + ": no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("Prepare: %v, want %s", err, want)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

func TestPrepareLeavesNothing(t *testing.T) {
	t.Parallel()
	w, dir := newWriter(t) // looks at the end
	if err := w.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, ingestParent)); err != nil {
		t.Error(err)
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root := testtree.OpenRoot(t, dir)
	path := filepath.Join(dir, "file")
	if _, err := Lock(t.Context(), root, "file"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("lock of a missing file: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	unlock, err := Lock(t.Context(), root, "file")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := Lock(ctx, root, "file"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 150*time.Millisecond {
		t.Errorf("second lock: %v after %v", err, time.Since(start))
	}
	// A file that takes the place of the locked one has a lock of its own.
	if err := errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	again, err := Lock(t.Context(), root, "file")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unlock(), again()); err != nil {
		t.Fatal(err)
	}
}

func TestLockExcludes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root := testtree.OpenRoot(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var inside atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				unlock, err := Lock(t.Context(), root, "file")
				if err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d hold the lock", n)
				}
				time.Sleep(time.Millisecond)
				inside.Add(-1)
				if err := unlock(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
