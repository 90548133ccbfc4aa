package durable

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/testtree"
	"github.com/dhowhq/dhow/internal/verify"
)

// begin begins a draft outside of a job, which a test may since nothing else runs.
func begin(t *testing.T, w *Writer, name string) *Draft {
	t.Helper()
	d, err := w.Draft(name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func checkOf(t *testing.T, f File) *verify.Verifier {
	t.Helper()
	check, err := verify.New(f.Digest, f.Size)
	if err != nil {
		t.Fatal(err)
	}
	return check
}

func TestDraftIsWrittenPieceByPiece(t *testing.T) {
	t.Parallel()
	w, dir := newWriter(t)
	path := filepath.Join(dir, "a", "file")
	large, wrong := testtree.Random(1, 3*chunkSize+5), testtree.Random(2, writeBackWindow+9)
	d := begin(t, w, "a/file")
	if _, err := d.Write([]byte("begin")); err != nil {
		t.Fatal(err)
	}
	if err := d.Append(t.Context(), checkOf(t, fileOf("", large)), reads(large)); err != nil {
		t.Fatal(err)
	}
	before := d.Size()
	for _, open := range []func([]byte) error{
		func(data []byte) error { return d.Append(t.Context(), checkOf(t, fileOf("", large)), reads(data)) },
		func(data []byte) error {
			return d.Append(t.Context(), checkOf(t, fileOf("", large)), readsFile(t, data))
		},
	} {
		if err := open(wrong); !errdefs.IsDataLoss(err) {
			t.Errorf("Append of other bytes: %v", err)
		}
		if err := d.Cut(before); err != nil || d.Size() != before {
			t.Errorf("Cut: %v, %d bytes; want %d", err, d.Size(), before)
		}
	}
	if err := d.Append(t.Context(), checkOf(t, fileOf("", wrong)), readsFile(t, wrong)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write([]byte("end")); err != nil {
		t.Fatal(err)
	}
	wantNone(t, path)
	if err := d.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, slices.Concat([]byte("begin"), large, wrong, []byte("end")))
}

func TestDraftReplaces(t *testing.T) {
	t.Parallel()
	w, dir := newWriter(t)
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	failing := errors.New("the disk is gone")
	for name, tc := range map[string]struct {
		ctx  context.Context
		sync func(*os.File) error
		want error
	}{
		"the context has ended": {ended, SyncData, context.Canceled},
		"the sync fails":        {t.Context(), func(*os.File) error { return failing }, failing},
	} {
		w.sync = tc.sync
		d := begin(t, w, "file")
		if _, err := d.Write([]byte("new")); err != nil {
			t.Fatal(err)
		}
		if err := d.Publish(tc.ctx); !errors.Is(err, tc.want) {
			t.Errorf("%s: Publish: %v", name, err)
		}
		wantFile(t, path, []byte("old"))
	}
	w.sync = SyncData
	d := begin(t, w, "file")
	if err := d.Discard(); err != nil {
		t.Error("Discard:", err)
	}
	if found := leftovers(t, dir); len(found) > 0 {
		t.Errorf("left behind: %q", found)
	}
	d = begin(t, w, "file")
	if _, err := d.Write([]byte("new")); err != nil {
		t.Fatal(err)
	}
	if err := d.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, []byte("new"))
}

func TestCloseRemovesDrafts(t *testing.T) {
	t.Parallel()
	w, dir := newWriter(t)
	d := begin(t, w, "file")
	if _, err := d.Write(bytes.Repeat([]byte("x"), 1000)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if _, err := d.Write([]byte("x")); err == nil {
		t.Error("Write after Close: no error")
	}
}
