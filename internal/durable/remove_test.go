package durable

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/dhowhq/dhow/internal/testtree"
)

func TestRemove(t *testing.T) {
	t.Parallel()
	w, dir := newWriter(t)
	data := testtree.Random(1, 100)
	f := fileOf("file", data)
	if err := w.Put(t.Context(), f, reads(data)); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second one finds nothing
		if err := w.Remove(t.Context(), f.Name); err != nil {
			t.Fatal(err)
		}
		wantNone(t, filepath.Join(dir, f.Name))
	}
	if w.Has(f.Name, f.Digest) {
		t.Error("the Writer says that it has what it removed")
	}
	if !w.dirty["."] {
		t.Error("Flush would not make the removal durable")
	}
	if err := w.Put(t.Context(), f, reads(data)); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantFile(t, filepath.Join(dir, f.Name), data)

	if err := os.MkdirAll(filepath.Join(dir, "full", "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := w.Remove(t.Context(), "full"); err == nil {
		t.Error("a directory that is not empty was removed")
	}
}
