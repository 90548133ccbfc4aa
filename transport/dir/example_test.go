package dir_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/dir"
)

func Example() {
	if err := writeAndRead(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output: application/vnd.oci.image.manifest.v1+json true
}

func writeAndRead(ctx context.Context) error {
	tmp, err := os.MkdirTemp("", "")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	ref, err := dir.Parse(filepath.Join(tmp, "hello"))
	if err != nil {
		return err
	}
	manifest, err := write(ctx, ref)
	if err != nil {
		return err
	}

	src, err := dir.OpenSource(ctx, ref, dir.Options{})
	if err != nil {
		return err
	}
	defer src.Close()
	root, err := src.Root(ctx)
	if err != nil {
		return err
	}
	fmt.Println(root.MediaType, root.Digest == manifest.Digest)
	return nil
}

// write writes a small image, children first, and makes it the directory's.
func write(ctx context.Context, ref dir.Reference) (ocispec.Descriptor, error) {
	var images testimage.Store
	manifest := images.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	doc, err := image.Decode(images.Get(manifest.Digest), image.Declared{}, image.Limits{})
	if err != nil {
		return manifest, err
	}
	dst, err := dir.OpenDestination(ctx, ref, dir.Options{})
	if err != nil {
		return manifest, err
	}
	defer dst.Close()
	for _, edge := range append(doc.Edges(), image.Edge{Desc: manifest, Role: image.RoleManifest}) {
		node := transport.Node{Desc: edge.Desc, Role: edge.Role, Index: edge.Index}
		_, err := dst.Put(ctx, node, func(ctx context.Context, from int64) (io.ReadCloser, error) {
			return images.Open(ctx, edge.Desc, from)
		})
		if err != nil {
			return manifest, err
		}
	}
	_, err = dst.Commit(ctx, []transport.Naming{{Desc: manifest}})
	return manifest, err
}
