package service_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// localExample is the service on a new store that has an image for two platforms,
// busybox:1.37.
type localExample struct {
	*service.Service
	root, amd ocispec.Descriptor
	end       func() // removes the store
}

func newLocalExample(ctx context.Context) localExample {
	dir, err := os.MkdirTemp("", "dhow-example-")
	if err != nil {
		log.Fatal(err)
	}
	local, err := embedded.Open(ctx, filepath.Join(dir, "store"), embedded.Options{})
	if err != nil {
		log.Fatal(err)
	}
	src := &testimage.Store{}
	amd := src.Plain(ocispec.Platform{OS: "linux", Architecture: "amd64"}, "busybox")
	arm := src.Plain(ocispec.Platform{OS: "linux", Architecture: "arm64"}, "busybox")
	root := src.Index(amd, arm)
	graph, err := image.Walker{Fetch: src.Fetch}.Walk(ctx, root)
	if err != nil {
		log.Fatal(err)
	}
	name := store.Move{Name: "docker.io/library/busybox:1.37", To: targetOf(root)}
	if err := ingest(ctx, local, src, []store.Move{name}, graph.Nodes()...); err != nil {
		log.Fatal(err)
	}
	return localExample{service.New(local, service.Options{}), root, amd, func() {
		if err := local.Close(); err != nil {
			log.Fatal(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			log.Fatal(err)
		}
	}}
}

// check ends an example that has failed.
func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func ExampleService_Resolve() {
	ctx := context.Background()
	s := newLocalExample(ctx)
	defer s.end()
	for _, reference := range []string{"busybox:1.37", s.root.Digest.Encoded()[:12], "alpine", "busybox@sha256:" + strings.Repeat("0", 64)} {
		r, err := s.Resolve(ctx, reference)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(service.Familiar(r.Record), "by its", r.Matched)
	}
	// Output:
	// busybox:1.37 by its name
	// busybox:1.37 by its target
	// No such image: alpine:latest: not found
	// No such image: busybox@sha256:0000000000000000000000000000000000000000000000000000000000000000: not found
}

func ExampleService_ResolveAll() {
	ctx := context.Background()
	s := newLocalExample(ctx)
	defer s.end()
	_, err := s.Tag(ctx, "busybox:1.37", "example.com/mirror/busybox:stable")
	check(err)
	all, err := s.ResolveAll(ctx, s.root.Digest.String())
	check(err)
	for _, record := range all.Records {
		fmt.Println(service.Familiar(record))
	}
	// Output:
	// busybox:1.37
	// example.com/mirror/busybox:stable
}

func ExampleService_Repository() {
	ctx := context.Background()
	s := newLocalExample(ctx)
	defer s.end()
	records, err := s.Repository(ctx, "busybox")
	check(err)
	for _, record := range records {
		fmt.Println(record.Name)
	}
	// Output: docker.io/library/busybox:1.37
}

func ExampleService_Dangling() {
	ctx := context.Background()
	s := newLocalExample(ctx)
	defer s.end()
	// The name moves to a part of what it pointed at.
	_, err := s.Tag(ctx, s.amd.Digest.String(), "busybox:1.37")
	check(err)
	records, err := s.Dangling(ctx)
	check(err)
	fmt.Println(len(records), records[0].Target.Digest == s.root.Digest)
	// Output: 1 true
}

func ExampleService_Label() {
	ctx := context.Background()
	s := newLocalExample(ctx)
	defer s.end()
	value, err := s.Label(ctx, s.root.Digest, "org.example.origin")
	check(err)
	fmt.Printf("%q\n", value)
	// Output: ""
}

func ExampleService_Tag() {
	ctx := context.Background()
	s := newLocalExample(ctx)
	defer s.end()
	tagged, err := s.Tag(ctx, "busybox:1.37", "localhost:5000/busybox")
	check(err)
	fmt.Println(tagged.Name)
	// Output: localhost:5000/busybox:latest
}

func ExampleService_TagAll() {
	ctx := context.Background()
	s := newLocalExample(ctx)
	defer s.end()
	all, err := s.TagAll(ctx, "busybox:1.37", "busybox:stable", "busybox")
	check(err)
	for _, tagged := range all {
		fmt.Println(tagged.Name)
	}
	// Output:
	// docker.io/library/busybox:stable
	// docker.io/library/busybox:latest
}

func ExampleService_Remove() {
	ctx := context.Background()
	s := newLocalExample(ctx)
	defer s.end()
	removed, err := s.Remove(ctx, "busybox:1.37", service.RemoveOptions{})
	check(err)
	for _, r := range removed.Removals {
		if r.Untagged != "" {
			fmt.Println("Untagged:", r.Untagged)
		} else {
			fmt.Println("Deleted an image, of", removed.Reclaimed > 0, "size")
		}
	}
	// Output:
	// Untagged: busybox:1.37
	// Deleted an image, of true size
}

func ExampleService_Remove_platform() {
	ctx := context.Background()
	s := newLocalExample(ctx)
	defer s.end()
	arm := []ocispec.Platform{{OS: "linux", Architecture: "arm64"}}
	_, err := s.Remove(ctx, "busybox:1.37", service.RemoveOptions{Platforms: arm})
	fmt.Println(err)
	removed, err := s.Remove(ctx, "busybox:1.37", service.RemoveOptions{Platforms: arm, Force: true})
	check(err)
	fmt.Println(len(removed.Removals), "manifest")
	// Output:
	// Content will be removed from all images referencing this variant. Use --force to force delete: invalid argument
	// 1 manifest
}

func ExampleService_Prune() {
	ctx := context.Background()
	s := newLocalExample(ctx)
	defer s.end()
	pruned, err := s.Prune(ctx, service.PruneOptions{All: true})
	check(err)
	fmt.Println(pruned.Removals[0].Untagged, "and", len(pruned.Removals)-1, "blobs")
	// Output: busybox:1.37 and 6 blobs
}

func ExampleService_Events() {
	ctx := context.Background()
	s := newLocalExample(ctx)
	defer s.end()
	events, err := s.Events(ctx, service.EventOptions{})
	check(err)
	_, err = s.Tag(ctx, "busybox:1.37", "busybox:stable")
	check(err)
	for e := range events {
		fmt.Println(e.Action, e.Name)
		break
	}
	// Output: tag busybox:stable
}
