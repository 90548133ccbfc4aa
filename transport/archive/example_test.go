package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/archive"
)

func ExampleParseDocker() {
	for _, details := range []string{"images.tar", "images.tar:busybox", "images.tar:@2"} {
		ref, err := archive.ParseDocker(details)
		if err != nil {
			fmt.Println(err)
			return
		}
		n, ok := ref.Position()
		fmt.Printf("%s: path %q, name %q, position %v %d\n", ref, ref.Path, ref.Name, ok, n)
	}
	// Output:
	// docker-archive:images.tar: path "images.tar", name "", position false -1
	// docker-archive:images.tar:docker.io/library/busybox:latest: path "images.tar", name "docker.io/library/busybox:latest", position false -1
	// docker-archive:images.tar:@2: path "images.tar", name "", position true 2
}

// copyImage puts an image: what a node points at comes before it.
func copyImage(ctx context.Context, dst transport.Destination, store *testimage.Store, root ocispec.Descriptor) error {
	graph, err := image.Walker{Fetch: store.Fetch}.Walk(ctx, root)
	if err != nil {
		return err
	}
	for _, n := range slices.Backward(graph.Nodes()) {
		if _, err := dst.Put(ctx, transport.Node{Desc: n.Desc, Role: n.Role}, store.Opener(n.Desc)); err != nil {
			return err
		}
	}
	_, err = dst.Commit(ctx, []transport.Naming{{Desc: root}})
	return err
}

// Several images are written into one stream, and read from it.
func ExampleWriter() {
	ctx := context.Background()
	store := &testimage.Store{}
	amd64 := store.Plain(ocispec.Platform{OS: "linux", Architecture: "amd64"}, "layer")
	arm64 := store.Plain(ocispec.Platform{OS: "linux", Architecture: "arm64"}, "layer")

	var stream bytes.Buffer
	w, err := archive.NewWriter(&stream, archive.Docker, archive.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer w.Close()
	for _, im := range []struct {
		root  ocispec.Descriptor
		names []string
	}{{store.Index(amd64, arm64), []string{"app:v1", "app"}}, {arm64, nil}} {
		dst, err := w.Image(im.names...)
		if err == nil {
			err = copyImage(ctx, dst, store, im.root)
		}
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	if err := w.Finish(ctx); err != nil {
		fmt.Println(err)
		return
	}

	r, err := archive.NewReader(ctx, &stream, archive.Docker, archive.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	images, err := r.Images(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, im := range images {
		fmt.Println(im.Names, im.Root.MediaType)
	}
	// Output:
	// [docker.io/library/app:v1 docker.io/library/app:latest] application/vnd.oci.image.index.v1+json
	// [] application/vnd.oci.image.manifest.v1+json
}

// A file appears when it is whole.
func ExampleOpenDestination() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ref := archive.Reference{Kind: archive.OCI, Path: filepath.Join(dir, "image.tar"), Name: "v1"}
	dst, err := archive.OpenDestination(ctx, ref, archive.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	store := &testimage.Store{}
	err = copyImage(ctx, dst, store, store.Plain(ocispec.Platform{OS: "linux", Architecture: "riscv64"}, "layer"))
	if err = errors.Join(err, dst.Close()); err != nil {
		fmt.Println(err)
		return
	}
	src, err := archive.OpenSource(ctx, ref, archive.Options{})
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
