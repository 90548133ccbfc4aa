package copy_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport/oci"
)

// exampleLayout writes a layout with an image for two platforms, named latest, and
// returns a directory with it.
func exampleLayout() string {
	dir, err := os.MkdirTemp("", "dhow-example-")
	if err != nil {
		log.Fatal(err)
	}
	var s testimage.Store
	index := s.Index(
		s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}}),
		s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "arm64"}}),
	)
	if err := s.WriteLayout(filepath.Join(dir, "source"), testimage.Named{Name: "latest", Desc: index}); err != nil {
		log.Fatal(err)
	}
	return dir
}

// places opens the layout of an example and one to copy to.
func places(ctx context.Context, dir string) (*oci.Source, *oci.Destination) {
	from, err := oci.Parse(filepath.Join(dir, "source") + ":latest")
	if err != nil {
		log.Fatal(err)
	}
	to, err := oci.Parse(filepath.Join(dir, "copy") + ":latest")
	if err != nil {
		log.Fatal(err)
	}
	src, err := oci.OpenSource(ctx, from, oci.Options{})
	if err != nil {
		log.Fatal(err)
	}
	dst, err := oci.OpenDestination(ctx, to, oci.Options{})
	if err != nil {
		log.Fatal(err)
	}
	return src, dst
}

// Image copies all platforms of an image, and reuses what is there the second
// time.
func ExampleImage() {
	dir := exampleLayout()
	defer os.RemoveAll(dir)
	ctx := context.Background()
	for range 2 {
		src, dst := places(ctx, dir)
		receipt, err := copy.Image(ctx, dst, src, copy.Options{})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(receipt.Totals.Descriptors)
		_, _ = src.Close(), dst.Close()
	}
	// Output:
	// map[copied:7]
	// map[reused:7]
}

// A plan says what a copy would do, here one that keeps an index whole but takes
// only one of its platforms along.
func ExamplePrepare() {
	dir := exampleLayout()
	defer os.RemoveAll(dir)
	ctx := context.Background()
	src, dst := places(ctx, dir)
	defer src.Close()
	defer dst.Close()
	plan, err := copy.Prepare(ctx, dst, src, copy.Options{Selection: copy.Selection{
		Mode:      copy.Some,
		Platforms: []ocispec.Platform{{OS: "linux", Architecture: "arm64"}},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, op := range plan.Ops {
		fmt.Println(op.Action, op.Platform, op.Node.Role)
	}
	for _, e := range plan.Left {
		fmt.Println(e.Action, e.Role, e.Platform, "-", e.Reason)
	}
	// Output:
	// copied linux/arm64 config
	// copied linux/arm64 layer
	// copied linux/arm64 manifest
	// copied  index
	// skipped manifest linux/amd64 - not chosen; kept in the list
}
