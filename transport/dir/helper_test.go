package dir

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/transporttest"
)

func reference(t testing.TB, path string) Reference {
	t.Helper()
	ref, err := Parse(path)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func openSource(t testing.TB, path string) *Source {
	t.Helper()
	s, err := OpenSource(t.Context(), reference(t, path), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { transporttest.Close(t, s) })
	return s
}

func openDestination(t testing.TB, path string) *Destination {
	t.Helper()
	d, err := OpenDestination(t.Context(), reference(t, path), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { transporttest.Close(t, d) })
	return d
}

// put puts a graph, children first, and returns what was done for each digest.
// An index entry that is not in the store is left out.
func put(t testing.TB, d *Destination, s *testimage.Store, root ocispec.Descriptor) map[digest.Digest]transport.Action {
	t.Helper()
	done := map[digest.Digest]transport.Action{}
	role := image.RoleManifest
	if image.IsList(root.MediaType) {
		role = image.RoleIndex
	}
	putNode(t, d, s, transport.Node{Desc: root, Role: role}, done)
	return done
}

func putNode(t testing.TB, d *Destination, s *testimage.Store, node transport.Node, done map[digest.Digest]transport.Action) {
	t.Helper()
	data := s.Get(node.Desc.Digest)
	if data == nil {
		return
	}
	if isDocument(node) {
		doc, err := image.Decode(data, image.Declared{Descriptor: node.Desc.MediaType}, image.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range doc.Edges() {
			putNode(t, d, s, transport.Node{Desc: e.Desc, Role: e.Role, Parent: node.Desc.Digest, Index: e.Index}, done)
		}
	}
	out, err := d.Put(t.Context(), node, s.Opener(node.Desc))
	if err != nil {
		t.Fatal(err)
	}
	done[node.Desc.Digest] = out.Action
}

// writeImage writes an image and its signatures into the directory.
func writeImage(t testing.TB, path string, s *testimage.Store, root ocispec.Descriptor, sigs map[digest.Digest][]transport.Signature) {
	t.Helper()
	d := openDestination(t, path)
	put(t, d, s, root)
	for m, of := range sigs {
		if err := d.PutSignatures(t.Context(), m, of); err != nil {
			t.Fatal(err)
		}
	}
	transporttest.Commit(t, d, transport.Naming{Desc: root})
	transporttest.Close(t, d)
}

// checkGraph reads all that the descriptor leads to and verifies it. What the
// store does not have may be missing.
func checkGraph(t testing.TB, src *Source, s *testimage.Store, desc ocispec.Descriptor) {
	t.Helper()
	want := s.Get(desc.Digest)
	if want == nil {
		return
	}
	if got := read(t, src, desc); !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes that differ from the %d wanted", desc.Digest, len(got), len(want))
	}
	if image.IsDocument(desc.MediaType) {
		doc, err := image.Decode(want, image.Declared{Descriptor: desc.MediaType}, image.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range doc.Edges() {
			checkGraph(t, src, s, e.Desc)
		}
	}
}

func read(t testing.TB, src *Source, desc ocispec.Descriptor) []byte {
	t.Helper()
	r, err := src.Open(t.Context(), desc, 0)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer transporttest.Close(t, r)
	data, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	return data
}

// file is what a test sees of a file: its content, and when it changed.
type file struct {
	content  string
	modified time.Time
}

var compareFiles = cmp.AllowUnexported(file{})

// snapshot returns all files of a directory; names of subdirectories end in /.
func snapshot(t testing.TB, path string) map[string]file {
	t.Helper()
	files := map[string]file{}
	err := filepath.WalkDir(path, func(name string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(path, name)
		if err != nil {
			return err
		}
		f := file{modified: info.ModTime()}
		if e.Type().IsRegular() {
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			f.content = string(data)
		} else if e.IsDir() {
			rel += "/"
		}
		files[rel] = f
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// contents returns the files of a directory, without those that only Dhow uses.
func contents(t testing.TB, path string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for name, f := range snapshot(t, path) {
		if name != "./" && name != lockName {
			files[name] = f.content
		}
	}
	return files
}

func wantSame[T any](t testing.TB, what string, got, want T, opts ...cmp.Option) {
	t.Helper()
	if diff := cmp.Diff(want, got, opts...); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// wantError checks an error's kind, and that its message has the given words.
func wantError(t testing.TB, err, kind error, words ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("error is %v, want one that is %v", err, kind)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func platform(system, arch string) ocispec.Platform {
	return ocispec.Platform{OS: system, Architecture: arch}
}

// twoPlatforms makes an image for two platforms.
func twoPlatforms(s *testimage.Store, family testimage.Family) (list, amd64, arm64 ocispec.Descriptor) {
	amd64 = s.Image(testimage.Image{Family: family, Platform: platform("linux", "amd64"), Layers: 2})
	arm64 = s.Image(testimage.Image{Family: family, Platform: platform("linux", "arm64")})
	if family == testimage.Docker {
		return s.List(amd64, arm64), amd64, arm64
	}
	return s.Index(amd64, arm64), amd64, arm64
}
