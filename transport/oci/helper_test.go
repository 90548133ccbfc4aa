package oci

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/transporttest"
)

func mustParse(t testing.TB, details string) Reference {
	t.Helper()
	r, err := Parse(details)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func openSource(t testing.TB, details string, opts Options) *Source {
	t.Helper()
	s, err := OpenSource(t.Context(), mustParse(t, details), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { transporttest.Close(t, s) })
	return s
}

func openDestination(t testing.TB, details string) *Destination {
	t.Helper()
	d, err := OpenDestination(t.Context(), mustParse(t, details), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { transporttest.Close(t, d) })
	return d
}

// put puts a whole graph.
func put(t testing.TB, d *Destination, s *testimage.Store, root ocispec.Descriptor) {
	t.Helper()
	g, err := image.Walker{Fetch: s.Fetch}.Walk(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range slices.Backward(g.Nodes()) {
		if _, err := d.Put(t.Context(), transport.Node{Desc: n.Desc, Role: n.Role}, s.Opener(n.Desc)); err != nil {
			t.Fatal(err)
		}
	}
}

// writeLayout writes a layout with all blobs of the store and these entries.
func writeLayout(t testing.TB, s *testimage.Store, names ...testimage.Named) string {
	t.Helper()
	dir := t.TempDir()
	if err := s.WriteLayout(dir, names...); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeFile(t testing.TB, data []byte, path ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(path...), data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func readFile(t testing.TB, path ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func blobPath(dir string, d digest.Digest) string {
	return filepath.Join(dir, ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

// entries returns the entries of a layout's index.json.
func entries(t testing.TB, dir string) []ocispec.Descriptor {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	list, err := readIndex(root, image.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return list.Instances()
}

// tree returns the paths of everything below a directory.
func tree(t testing.TB, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if path != dir && err == nil {
			found = append(found, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return found
}

func linux(arch string) ocispec.Platform { return ocispec.Platform{OS: "linux", Architecture: arch} }
