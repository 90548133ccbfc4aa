package oci_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/oci"
)

func ExampleParse() {
	for _, details := range []string{"images", "images:app:v1", "images:@2"} {
		ref, err := oci.Parse(details)
		if err != nil {
			fmt.Println(err)
			return
		}
		n, ok := ref.Position()
		fmt.Printf("%s: path %q, name %q, position %v %d\n", ref, ref.Path, ref.Name, ok, n)
	}
	// Output:
	// images: path "images", name "", position false -1
	// images:app:v1: path "images", name "app:v1", position false -1
	// images:@2: path "images", name "", position true 2
}

// An image is put node by node, and gets its name at the end.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ref := oci.Reference{Path: filepath.Join(dir, "layout"), Name: "v1"}

	if err := write(ctx, ref); err != nil {
		fmt.Println(err)
		return
	}
	src, err := oci.OpenSource(ctx, ref, oci.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer src.Close()
	root, err := src.Root(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(root.MediaType, root.Platform.Architecture)
	// Output:
	// application/vnd.oci.image.manifest.v1+json riscv64
}

// write writes a small image: what a node points at comes before it.
func write(ctx context.Context, ref oci.Reference) error {
	store := &testimage.Store{}
	root := store.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "riscv64"}})
	graph, err := image.Walker{Fetch: store.Fetch}.Walk(ctx, root)
	if err != nil {
		return err
	}
	dst, err := oci.OpenDestination(ctx, ref, oci.Options{})
	if err != nil {
		return err
	}
	for _, n := range slices.Backward(graph.Nodes()) {
		open := func(ctx context.Context, from int64) (io.ReadCloser, error) { return store.Open(ctx, n.Desc, from) }
		if _, err := dst.Put(ctx, transport.Node{Desc: n.Desc, Role: n.Role}, open); err != nil {
			return errors.Join(err, dst.Close())
		}
	}
	_, err = dst.Commit(ctx, []transport.Naming{{Desc: root}})
	return errors.Join(err, dst.Close())
}
