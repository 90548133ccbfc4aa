package durable

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/testtree"
)

func TestReplace(t *testing.T) {
	t.Parallel()
	w, dir := newWriter(t)
	for _, data := range []string{"first", "second", ""} {
		if err := w.Replace(t.Context(), "d/file", []byte(data)); err != nil {
			t.Fatal(err)
		}
		wantFile(t, filepath.Join(dir, "d/file"), []byte(data))
	}
	broken := errors.New("input/output error")
	w.sync = func(*os.File) error { return broken }
	if err := w.Replace(t.Context(), "d/file", []byte("third")); !errors.Is(err, broken) {
		t.Errorf("Replace: %v", err)
	}
	wantFile(t, filepath.Join(dir, "d/file"), nil)
	if left := leftovers(t, dir); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestCreateKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	w, dir := newWriter(t)
	if err := w.Create(t.Context(), "file", []byte("mine")); err != nil {
		t.Fatal(err)
	}
	if err := w.Create(t.Context(), "file", []byte("yours")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second Create: %v", err)
	}
	wantFile(t, filepath.Join(dir, "file"), []byte("mine"))
	if left := leftovers(t, dir); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// linkless makes a Writer find itself on a file system without hard links.
func linkless(w *Writer) *Writer {
	w.link = func(_ *os.Root, from, to string) error {
		return &os.LinkError{Op: "linkat", Old: from, New: to, Err: errors.ErrUnsupported}
	}
	return w
}

func TestCreateWithoutLinks(t *testing.T) {
	t.Parallel()
	w, dir := newWriter(t)
	linkless(w)
	if err := w.Create(t.Context(), "file", []byte("mine")); err != nil {
		t.Fatal(err)
	}
	if err := w.Create(t.Context(), "file", []byte("yours")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second Create: %v", err)
	}
	wantFile(t, filepath.Join(dir, "file"), []byte("mine"))
	if left := leftovers(t, dir); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestCreateWithoutLinksHasOneWinner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 20 {
		name := fmt.Sprint(i)
		var wg sync.WaitGroup
		var won atomic.Int32
		for n := range 4 {
			wg.Go(func() {
				w := linkless(NewWriter(testtree.OpenRoot(t, dir), Options{}))
				err := w.Create(t.Context(), name, fmt.Append(nil, n))
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, fs.ErrExist) {
					t.Error(err)
				}
				if err := w.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := won.Load(); n != 1 {
			t.Errorf("%d have made the file %s", n, name)
		}
	}
	wantNone(t, filepath.Join(dir, ingestParent))
}

// A killed process leaves the lock file, and a living one keeps the lock.
func TestCreateWithoutLinksWaitsForTheLock(t *testing.T) {
	t.Parallel()
	w, dir := newWriter(t)
	linkless(w)
	if err := w.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	unlock, err := w.ingest.lockNames(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := w.Create(ctx, "file", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Create: %v; want it cancelled", err)
	}
	unlock()
	if err := os.WriteFile(filepath.Join(dir, ingestParent, lockName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.Create(t.Context(), "file", []byte("x")); err != nil {
		t.Error(err)
	}
	wantFile(t, filepath.Join(dir, "file"), []byte("x"))
}

// What is not for want of links is told, and nothing else tried.
func TestCreateThatCannotLink(t *testing.T) {
	t.Parallel()
	w, dir := newWriter(t)
	broken := errors.New("input/output error")
	w.link = func(*os.Root, string, string) error { return broken }
	if err := w.Create(t.Context(), "file", []byte("mine")); !errors.Is(err, broken) {
		t.Errorf("Create: %v", err)
	}
	wantNone(t, filepath.Join(dir, "file"))
	if left := leftovers(t, dir); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestNoLinkAsDirectory(t *testing.T) {
	t.Parallel()
	w, dir := newWriter(t)
	if err := os.Mkdir(filepath.Join(dir, "real"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", filepath.Join(dir, "link")); err != nil {
		t.Skip("no symbolic links:", err)
	}
	if err := w.Put(t.Context(), fileOf("link/file", nil), reads(nil)); !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("Put through a link: %v", err)
	}
	if err := w.MakeDir(t.Context(), "link/d"); !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("MakeDir through a link: %v", err)
	}
}

func TestMkdirAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a", "b", "c")
	for range 2 {
		if err := MkdirAll(path); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		t.Errorf("%v, %v", info, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := MkdirAll(filepath.Join(file, "d")); err == nil {
		t.Error("made a directory below a file")
	}
}
