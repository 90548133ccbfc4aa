package service_test

import (
	"context"
	"fmt"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/platform"
	"github.com/dhowhq/dhow/service"
)

func ExampleService_Get() {
	ctx := context.Background()
	s := newLocalExample(ctx)
	defer s.end()
	img, err := s.Get(ctx, "busybox:1.37", service.GetOptions{Platform: &ocispec.Platform{OS: "linux", Architecture: "arm64"}, Details: true})
	check(err)
	fmt.Println(img.ID == s.root.Digest, platform.Format(*img.Instance.Platform), len(img.Config), "bytes")
	for _, name := range img.Details.References {
		fmt.Println(name.Familiar())
	}
	_, err = s.Get(ctx, "busybox:1.37", service.GetOptions{Platform: &ocispec.Platform{OS: "linux", Architecture: "s390x"}})
	fmt.Println(err)
	// Output:
	// true linux/arm64 209 bytes
	// busybox:1.37
	// busybox@sha256:0beecdf155ec487d72d123b570c9b33ce6a1e44394f48737822a8bf6481f9526
	// image with reference busybox:1.37 was found but does not provide the specified platform (linux/s390x): no such platform (complete: linux/amd64, linux/arm64): not found
}

func ExampleService_Manifest() {
	ctx := context.Background()
	s := newLocalExample(ctx)
	defer s.end()
	desc, err := s.Manifest(ctx, "busybox:1.37", &ocispec.Platform{OS: "linux", Architecture: "amd64"})
	check(err)
	fmt.Println(desc.Digest == s.amd.Digest, desc.MediaType)
	// Output:
	// true application/vnd.oci.image.manifest.v1+json
}

func ExampleService_Document() {
	ctx := context.Background()
	s := newLocalExample(ctx)
	defer s.end()
	list, err := s.Document(ctx, "busybox:1.37")
	check(err)
	manifest, err := s.Document(ctx, "busybox@"+s.amd.Digest.String())
	check(err)
	fmt.Println(list.Digest == s.root.Digest, list.MediaType)
	fmt.Println(manifest.Digest == s.amd.Digest, platform.Format(*manifest.Platform))
	// Output:
	// true application/vnd.oci.image.index.v1+json
	// true linux/amd64
}

func ExampleService_Size() {
	ctx := context.Background()
	s := newLocalExample(ctx)
	defer s.end()
	size, err := s.Size(ctx, "busybox:1.37", &ocispec.Platform{OS: "linux", Architecture: "amd64"})
	check(err)
	fmt.Println(size)
	// Output:
	// 3145
}

func ExampleService_List() {
	ctx := context.Background()
	s := newLocalExample(ctx)
	defer s.end()
	filter, err := service.ParseFilter([]string{"reference=busy*"}, time.Now())
	check(err)
	images, err := s.List(ctx, service.ListOptions{Filter: filter})
	check(err)
	for _, im := range images {
		fmt.Println(im.Names, im.Size)
		for _, inst := range im.Instances {
			fmt.Println(" ", platform.Format(*inst.Platform), inst.Presence, inst.Content)
		}
	}
	// Output:
	// [docker.io/library/busybox:1.37] 3751
	//   linux/amd64 complete 2654
	//   linux/arm64 complete 2654
}

func ExampleService_Count() {
	ctx := context.Background()
	s := newLocalExample(ctx)
	defer s.end()
	n, err := s.Count(ctx)
	check(err)
	fmt.Println(n)
	// Output:
	// 1
}

func ExampleService_History() {
	ctx := context.Background()
	s := newLocalExample(ctx)
	defer s.end()
	h, err := s.History(ctx, "busybox:1.37", &ocispec.Platform{OS: "linux", Architecture: "amd64"})
	check(err)
	for _, line := range h.Lines {
		fmt.Println(line.CreatedBy+line.Comment, line.Size, "bytes")
	}
	// Output:
	//  2048 bytes
}

func ExampleService_DiskUsage() {
	ctx := context.Background()
	s := newLocalExample(ctx)
	defer s.end()
	u, err := s.DiskUsage(ctx)
	check(err)
	fmt.Println(u.Count, "image of", u.Images.Count, "blobs;", u.Unused.Count, "blobs unused")
	// Output:
	// 1 image of 6 blobs; 0 blobs unused
}
