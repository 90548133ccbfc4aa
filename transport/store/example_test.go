package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/internal/testimage"
	local "github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
	"github.com/dhowhq/dhow/transport/oci"
	"github.com/dhowhq/dhow/transport/store"
)

func ExampleParse() {
	for _, details := range []string{"busybox", "example.org/app:v1", "cafe"} {
		ref, err := store.Parse(details)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s: ID %q\n", ref, ref.ID)
	}
	// Output:
	// docker.io/library/busybox:latest: ID ""
	// example.org/app:v1: ID ""
	// docker.io/library/cafe:latest: ID "cafe"
}

// One platform of an image goes from a layout into a store, and another one later.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	var images testimage.Store
	amd := images.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	arm := images.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "arm64"}})
	layout := filepath.Join(dir, "layout")
	if err := images.WriteLayout(layout, testimage.Named{Name: "v1", Desc: images.Index(amd, arm)}); err != nil {
		fmt.Println(err)
		return
	}
	s, err := embedded.Open(ctx, filepath.Join(dir, "store"), embedded.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	for _, arch := range []string{"amd64", "arm64"} {
		if err := bring(ctx, s, layout, ocispec.Platform{OS: "linux", Architecture: arch}); err != nil {
			fmt.Println(err)
			return
		}
	}
	// Output:
	// amd64: copied 4, reused 0
	// arm64: copied 3, reused 1
}

// bring copies the instance for a platform from a layout into a store.
func bring(ctx context.Context, s local.Store, layout string, platform ocispec.Platform) error {
	src, err := oci.OpenSource(ctx, oci.Reference{Path: layout, Name: "v1"}, oci.Options{})
	if err != nil {
		return err
	}
	defer src.Close()
	ref, err := store.Parse("app:v1")
	if err != nil {
		return err
	}
	dst, err := store.OpenDestination(ctx, ref, store.Options{Store: s})
	if err != nil {
		return err
	}
	defer dst.Close()
	r, err := copy.Image(ctx, dst, src, copy.Options{Selection: copy.Selection{Mode: copy.Some, Platforms: []ocispec.Platform{platform}}})
	if err != nil {
		return err
	}
	fmt.Printf("%s: copied %d, reused %d\n", platform.Architecture, r.Totals.Descriptors[copy.Copied], r.Totals.Descriptors[copy.Reused])
	return nil
}
