package blobfile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

func TestReadOnly(t *testing.T) {
	t.Parallel()
	data := randomBytes(1, 2*Small)
	blob, size := digest.FromBytes(data), int64(len(data))
	for name, row := range map[string]struct {
		damage  func(dir string) error
		partial int
		want    error // of reading
	}{
		"whole":       {func(string) error { return nil }, 1, nil},
		"no ingest":   {func(dir string) error { return os.RemoveAll(filepath.Join(dir, ingestName)) }, 0, nil},
		"no trash":    {func(dir string) error { return os.RemoveAll(filepath.Join(dir, trashName)) }, 1, nil},
		"blobs only":  {func(dir string) error { return remove(dir, ingestName, trashName, badName) }, 0, nil},
		"nothing":     {func(dir string) error { return remove(dir, blobsName, ingestName, trashName, badName) }, 0, errdefs.ErrNotFound},
		"no blobs":    {func(dir string) error { return remove(dir, blobsName) }, 1, errdefs.ErrNotFound},
		"others' use": {func(dir string) error { return os.Chmod(filepath.Join(dir, blobsName), 0o755) }, 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			d := openDir(t, dir)
			publish(t, d, data)
			in := create(t, d, "ref")
			if _, err := in.Write(data); err != nil {
				t.Fatal(err)
			}
			if err := in.Close(); err != nil {
				t.Fatal(err)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"trash/x", "ingest/r-lost.ref"} { // what is swept else
				if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := row.damage(dir); err != nil {
				t.Fatal(err)
			}
			before := modes(t, dir)
			d, err := Open(t.Context(), openRoot(t, dir), Options{ReadOnly: true})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			for ask, f := range asks(t.Context(), d) {
				wantKind(t, ask, f(blob, size), row.want)
			}
			partial, err := d.Partial(t.Context())
			if len(partial) != row.partial || err != nil {
				t.Errorf("Partial: %+v, %v", partial, err)
			}
			wantKind(t, "Walk", d.Walk(t.Context(), "", func(digest.Digest, int64) error { return nil }), nil)
			for name, f := range changes(t.Context(), d, blob) {
				wantKind(t, name, f(), errdefs.ErrFailedPrecondition)
			}
			if after := modes(t, dir); after != before {
				t.Errorf("changed from\n%s\nto\n%s", before, after)
			}
		})
	}
}

// changes are all ways to begin to change something.
func changes(ctx context.Context, d *Dir, blob digest.Digest) map[string]func() error {
	return map[string]func() error{
		"Create":   func() error { _, err := d.Create(ctx, "ref", ""); return err },
		"Abort":    func() error { return d.Abort(ctx, "ref") },
		"Expire":   func() error { _, _, err := d.Expire(ctx, time.Now(), 0); return err },
		"SetAside": func() error { return d.SetAside(blob) },
		"Trash":    func() error { return d.Trash([]digest.Digest{blob}) },
		"Empty":    func() error { _, _, err := d.Empty(ctx); return err },
	}
}

func remove(dir string, names ...string) error {
	var errs []error
	for _, name := range names {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, name)))
	}
	return errors.Join(errs...)
}

// modes lists all below a directory, with modes and times.
func modes(t *testing.T, dir string) (all string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		all += path + " " + info.Mode().String() + " " + info.ModTime().String() + "\n"
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
