package blobfile

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/internal/testtree"
)

// What other packages' tests have too.
var (
	openRoot    = testtree.OpenRoot
	opensFile   = testtree.OpensFile
	randomBytes = testtree.Random
)

// fileSource is a source whose bytes the kernel can copy.
type fileSource struct{ *os.File }

func (f fileSource) CopyTo(dst *os.File, n int64) (int64, error) {
	return dst.ReadFrom(io.LimitReader(f.File, n))
}

// openDir opens what is in a directory; it is closed at the end of the test.
func openDir(t testing.TB, dir string) *Dir {
	t.Helper()
	d, err := Open(t.Context(), openRoot(t, dir), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// newDir opens an empty directory.
func newDir(t testing.TB) (*Dir, string) {
	t.Helper()
	dir := t.TempDir()
	return openDir(t, dir), dir
}

// opens returns an Opener of data.
func opens(data []byte) Opener {
	return func(_ context.Context, from int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data[from:])), nil
	}
}

func create(t testing.TB, d *Dir, ref string) *Ingest {
	t.Helper()
	in, err := d.Create(t.Context(), ref, "")
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// filled returns an Ingest of data that was verified.
func filled(t testing.TB, d *Dir, data []byte) *Ingest {
	t.Helper()
	blob := digest.FromBytes(data)
	in := create(t, d, string(blob))
	if err := in.Fill(t.Context(), blob, int64(len(data)), opens(data)); err != nil {
		t.Fatal(err)
	}
	return in
}

// publish makes blobs.
func publish(t testing.TB, d *Dir, contents ...[]byte) {
	t.Helper()
	var files []*Ingest
	for _, data := range contents {
		files = append(files, filled(t, d, data))
	}
	if err := d.Publish(t.Context(), files); err != nil {
		t.Fatal(err)
	}
}

// blobPath is where a blob is by the rules of the package comment.
func blobPath(dir string, blob digest.Digest) string {
	hex := blob.Encoded()
	return filepath.Join(dir, "blobs", string(blob.Algorithm()), hex[:2], hex)
}

func wantBlob(t testing.TB, d *Dir, data []byte) {
	t.Helper()
	blob := digest.FromBytes(data)
	r, err := d.Open(t.Context(), blob, int64(len(data)), 0)
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
		t.Errorf("blob %s: %d bytes, want %d (%v)", blob, len(got), len(data), err)
	}
}

func wantKind(t testing.TB, what string, err, want error) {
	t.Helper()
	if want == nil && err != nil || !errors.Is(err, want) {
		t.Errorf("%s: %v; want %v", what, err, want)
	}
}

// tree lists the files below a directory, without those of dirs that are only there for
// what is in them; those of some names are left out.
func tree(t testing.TB, dir string, without ...string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || e.IsDir() || slices.ContainsFunc(without, func(s string) bool { return strings.HasSuffix(name, s) }) {
			return err
		}
		all = append(all, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wantTree(t testing.TB, dir string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := tree(t, dir); !slices.Equal(got, want) {
		t.Errorf("in %s:\n%q\nwant\n%q", dir, got, want)
	}
}
