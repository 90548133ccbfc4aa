package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
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

func TestCreatePlain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root := openRoot(t, dir)
	if err := createPlain(root, "file", []byte("mine")); err != nil {
		t.Fatal(err)
	}
	if err := createPlain(root, "file", []byte("yours")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second time: %v", err)
	}
	wantFile(t, filepath.Join(dir, "file"), []byte("mine"))
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
