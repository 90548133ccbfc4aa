package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testarchive"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/transporttest"
)

// unpackAll returns the headers of an archive in order, and the contents of its files.
func unpackAll(tb testing.TB, data []byte) (headers []*tar.Header, contents map[string]string) {
	tb.Helper()
	members, headers := testarchive.Unpack(tb, data)
	contents = map[string]string{}
	for _, m := range members {
		contents[m.Name] = m.Data
	}
	return headers, contents
}

func linux(arch string) ocispec.Platform { return ocispec.Platform{OS: "linux", Architecture: arch} }

// reader reads an archive in memory, until the end of the test.
func reader(tb testing.TB, data []byte, kind Kind, opts Options) (*Reader, error) {
	tb.Helper()
	r, err := NewReaderAt(tb.Context(), bytes.NewReader(data), int64(len(data)), kind, opts)
	if err == nil {
		tb.Cleanup(func() { transporttest.Close(tb, r) })
	}
	return r, err
}

func mustRead(tb testing.TB, data []byte, kind Kind) *Reader {
	tb.Helper()
	r, err := reader(tb, data, kind, Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func imagesOf(tb testing.TB, r *Reader) []Image {
	tb.Helper()
	images, err := r.Images(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return images
}

// graph reads everything that belongs to an image, verified, and returns the nodes.
func graph(tb testing.TB, src transport.Source) []*image.Node {
	tb.Helper()
	root, err := src.Root(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	nodes, err := tryGraph(tb, src, root)
	if err != nil {
		tb.Fatal(err)
	}
	for _, n := range nodes {
		if _, err := transport.Fetch(tb.Context(), src, n.Desc, 1<<30); err != nil {
			tb.Errorf("%s %s: %v", n.Role, n.Desc.Digest, err)
		}
	}
	return nodes
}

// put puts a graph, children before parents, and what names are to be moved.
func put(tb testing.TB, d transport.Destination, s *testimage.Store, roots ...ocispec.Descriptor) {
	tb.Helper()
	for _, root := range roots {
		g, err := image.Walker{Fetch: s.Fetch}.Walk(tb.Context(), root)
		if err != nil {
			tb.Fatal(err)
		}
		for _, n := range slices.Backward(g.Nodes()) {
			if _, err := d.Put(tb.Context(), transport.Node{Desc: n.Desc, Role: n.Role}, s.Opener(n.Desc)); err != nil {
				tb.Fatal(err)
			}
		}
	}
}

// blobs returns the digests of the blobs of an archive, in order.
func blobsOf(headers []*tar.Header) (all []digest.Digest) {
	for _, hdr := range headers {
		dir, hex := filepath.Split(hdr.Name)
		if hex != "" && filepath.Base(filepath.Dir(filepath.Clean(dir))) == "blobs" {
			all = append(all, digest.NewDigestFromEncoded(digest.Algorithm(filepath.Base(dir)), hex))
		}
	}
	return all
}

func writeFile(tb testing.TB, path string, data []byte) {
	tb.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		tb.Fatal(err)
	}
}

func readFile(tb testing.TB, path string) []byte {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// isKind reports whether an error is of a kind, or for nil none.
func isKind(err, kind error) bool { return errors.Is(err, kind) && (err == nil) == (kind == nil) }

// tryGraph reads the documents of a graph as far as that is possible.
func tryGraph(tb testing.TB, src transport.Source, root ocispec.Descriptor) ([]*image.Node, error) {
	tb.Helper()
	g, err := image.Walker{Fetch: func(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
		return transport.Fetch(ctx, src, desc, 8<<20)
	}}.Walk(tb.Context(), root)
	if err != nil {
		return nil, err
	}
	return g.Nodes(), nil
}
