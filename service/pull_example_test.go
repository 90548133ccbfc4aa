package service_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store/embedded"
	"github.com/dhowhq/dhow/transport/oci"
)

// Two of three platforms are pulled, one after the other.
func ExampleService_Pull() {
	inExample(func(ctx context.Context, s *service.Service, images string) error {
		for _, arch := range []string{"amd64", "arm64", "arm64"} {
			p, err := pull(ctx, s, images, arch)
			if err != nil {
				return err
			}
			fmt.Printf("%s: %s, %d copied, %d reused\n", arch, p.Status, p.Copied, p.Reused)
		}
		return nil
	})
	// Output:
	// amd64: newer, 4 copied, 0 reused
	// arm64: completed, 3 copied, 1 reused
	// arm64: up to date, 0 copied, 4 reused
}

// pull brings the instance for an architecture.
func pull(ctx context.Context, s *service.Service, images, arch string) (service.Pulled, error) {
	src, err := oci.OpenSource(ctx, oci.Reference{Path: images, Name: "app"}, oci.Options{})
	if err != nil {
		return service.Pulled{}, err
	}
	defer src.Close()
	return s.Pull(ctx, src, "app:v1", service.PullOptions{Platforms: []ocispec.Platform{{OS: "linux", Architecture: arch}}})
}

// What is pushed of an image of which a part is here is said.
func ExampleService_Push() {
	inExample(func(ctx context.Context, s *service.Service, images string) error {
		for _, arch := range []string{"amd64", "arm64", "s390x"} {
			if _, err := pull(ctx, s, images, arch); err != nil {
				return err
			}
			p, err := push(ctx, s, images+"-pushed")
			if err != nil {
				return err
			}
			fmt.Printf("%s, %d left out\n", p.Part, len(p.Left))
		}
		return nil
	})
	// Output:
	// one manifest, 2 left out
	// reduced list, 1 left out
	// whole, 0 left out
}

// push sends what there is to a layout.
func push(ctx context.Context, s *service.Service, layout string) (service.Pushed, error) {
	dst, err := oci.OpenDestination(ctx, oci.Reference{Path: layout, Name: "app"}, oci.Options{})
	if err != nil {
		return service.Pushed{}, err
	}
	defer dst.Close()
	return s.Push(ctx, dst, "app:v1", service.PushOptions{})
}

// inExample calls f with a service on an empty store, and a layout with an image for three
// platforms.
func inExample(f func(ctx context.Context, s *service.Service, images string) error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	var made testimage.Store
	var entries []ocispec.Descriptor
	for _, arch := range []string{"amd64", "arm64", "s390x"} {
		entries = append(entries, made.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: arch}}))
	}
	images := filepath.Join(dir, "images")
	if err := made.WriteLayout(images, testimage.Named{Name: "app", Desc: made.Index(entries...)}); err != nil {
		fmt.Println(err)
		return
	}
	s, err := embedded.Open(ctx, filepath.Join(dir, "store"), embedded.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	if err := f(ctx, service.New(s, service.Options{}), images); err != nil {
		fmt.Println(err)
	}
}
