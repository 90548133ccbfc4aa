package transporttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
)

// openDestination opens the place for writing until the end of the test.
func openDestination(t *testing.T, p Place) transport.Destination {
	t.Helper()
	d, err := p.Destination(t.Context())
	if err != nil {
		t.Fatal("opening the destination:", err)
	}
	t.Cleanup(func() { Close(t, d) })
	return d
}

// openSource opens the place for reading until the end of the test.
func openSource(t *testing.T, p Place) transport.Source {
	t.Helper()
	s, err := p.Source(t.Context())
	if err != nil {
		t.Fatal("opening the source:", err)
	}
	t.Cleanup(func() { Close(t, s) })
	return s
}

// tryRoot opens a source and returns its root.
func tryRoot(ctx context.Context, open func(context.Context) (transport.Source, error)) (ocispec.Descriptor, error) {
	s, err := open(ctx)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	desc, err := s.Root(ctx)
	return desc, errors.Join(err, s.Close())
}

// wantRoot checks that the place's name points at a document, or with an empty
// digest at nothing.
func wantRoot(t *testing.T, p Place, want digest.Digest) {
	t.Helper()
	got, err := tryRoot(t.Context(), p.Source)
	switch {
	case want == "" && !errdefs.IsNotFound(err):
		t.Errorf("Root: %v, %v; want not found", got.Digest, err)
	case want != "" && err != nil:
		t.Errorf("Root: %v; want %s", err, want)
	case want != "" && got.Digest != want:
		t.Errorf("Root: %s, want %s", got.Digest, want)
	}
}

// source is a store that counts its readers.
type source struct {
	*testimage.Store
	opened, open atomic.Int64
}

// opener returns the opener of a descriptor.
func (s *source) opener(desc ocispec.Descriptor) transport.Opener {
	return func(ctx context.Context, from int64) (io.ReadCloser, error) {
		r, err := s.Open(ctx, desc, from)
		if err != nil {
			return nil, err
		}
		return s.count(r), nil
	}
}

func (s *source) count(r io.Reader) io.ReadCloser {
	s.opened.Add(1)
	s.open.Add(1)
	return &countedReader{Reader: r, of: s}
}

// wantClosed checks that every reader was closed.
func (s *source) wantClosed(t *testing.T) {
	t.Helper()
	if n := s.open.Load(); n != 0 {
		t.Errorf("%d of %d readers were not closed, or twice", n, s.opened.Load())
	}
}

type countedReader struct {
	io.Reader
	of *source
}

func (r *countedReader) Close() error {
	r.of.open.Add(-1)
	return nil
}

// nodes returns the nodes of a graph, each once and children before parents.
func (s *source) nodes(t testing.TB, root ocispec.Descriptor) []transport.Node {
	t.Helper()
	var all []transport.Node
	seen := map[digest.Digest]bool{}
	var visit func(n transport.Node)
	visit = func(n transport.Node) {
		if seen[n.Desc.Digest] {
			return
		}
		seen[n.Desc.Digest] = true
		if image.IsDocument(n.Desc.MediaType) {
			doc, err := image.Decode(s.Get(n.Desc.Digest), image.Declared{Descriptor: n.Desc.MediaType}, image.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range doc.Edges() {
				visit(transport.Node{Desc: e.Desc, Role: e.Role, Parent: n.Desc.Digest, Index: e.Index})
			}
		}
		all = append(all, n)
	}
	visit(rootNode(root))
	return all
}

func rootNode(desc ocispec.Descriptor) transport.Node {
	if image.IsList(desc.MediaType) {
		return transport.Node{Desc: desc, Role: image.RoleIndex}
	}
	return transport.Node{Desc: desc, Role: image.RoleManifest}
}

// put puts a graph, children before parents.
func (s *source) put(t *testing.T, d transport.Destination, root ocispec.Descriptor) {
	t.Helper()
	for _, n := range s.nodes(t, root) {
		if _, err := d.Put(t.Context(), n, s.opener(n.Desc)); err != nil {
			t.Fatalf("Put of %s %s: %v", n.Role, n.Desc.Digest, err)
		}
	}
	s.wantClosed(t)
}

// Commit commits, and returns the notes. It ends the test if that fails.
func Commit(tb testing.TB, d transport.Destination, names ...transport.Naming) []string {
	tb.Helper()
	notes, err := d.Commit(tb.Context(), names)
	if err != nil {
		tb.Fatal("Commit:", err)
	}
	return notes
}

// Close closes a source, a destination or a reader, which must not fail.
func Close(tb testing.TB, c io.Closer) {
	tb.Helper()
	if err := c.Close(); err != nil {
		tb.Error("Close:", err)
	}
}

// write writes an image into the place under its name.
func (s *source) write(t *testing.T, p Place, root ocispec.Descriptor) {
	t.Helper()
	d, err := p.Destination(t.Context())
	if err != nil {
		t.Fatal("opening the destination:", err)
	}
	s.put(t, d, root)
	Commit(t, d, transport.Naming{Desc: root})
	Close(t, d)
}

// readAll reads a node of a source from an offset on.
func readAll(ctx context.Context, s transport.Source, desc ocispec.Descriptor, from int64) ([]byte, error) {
	r, err := s.Open(ctx, desc, from)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

// wantGraph checks that a source has every node of a graph, byte for byte.
func (s *source) wantGraph(t *testing.T, from transport.Source, root ocispec.Descriptor) {
	t.Helper()
	for _, n := range s.nodes(t, root) {
		data, err := readAll(t.Context(), from, n.Desc, 0)
		if err != nil {
			t.Errorf("Open of %s %s: %v", n.Role, n.Desc.Digest, err)
		} else if !bytes.Equal(data, s.Get(n.Desc.Digest)) {
			t.Errorf("%s %s: other bytes came back", n.Role, n.Desc.Digest)
		}
	}
}

// amd64 and arm64 are platforms for test images.
func amd64() ocispec.Platform { return ocispec.Platform{OS: "linux", Architecture: "amd64"} }
func arm64() ocispec.Platform {
	return ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
}

// files returns the paths of all files below a directory, with their sizes.
func files(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		found[path] = info.Size()
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return found
}
