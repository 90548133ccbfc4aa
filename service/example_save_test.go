package service_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/service"
)

// What is here of an image is saved, and loaded again.
func ExampleService_Save() {
	inExample(func(ctx context.Context, s *service.Service, images string) error {
		for _, arch := range []string{"amd64", "arm64"} {
			if _, err := pull(ctx, s, images, arch); err != nil {
				return err
			}
		}
		for _, opts := range []service.SaveOptions{
			{}, {Index: service.SaveWhole}, {Platforms: []ocispec.Platform{{OS: "linux", Architecture: "arm64"}}},
		} {
			var archive bytes.Buffer
			saved, err := s.Save(ctx, &archive, []string{"app:v1"}, opts)
			if err != nil {
				return err
			}
			im := saved.Images[0]
			fmt.Printf("%s, %d left out, the same digest: %v\n", im.Part, len(im.Left), im.Root.Digest == im.Image.Digest)
		}
		return nil
	})
	// Output:
	// pruned list, 1 left out, the same digest: false
	// sparse list, 1 left out, the same digest: true
	// one manifest, 2 left out, the same digest: false
}

// A name that another image has stays with it.
func ExampleService_Load() {
	inExample(func(ctx context.Context, s *service.Service, images string) error {
		if _, err := pull(ctx, s, images, "amd64"); err != nil {
			return err
		}
		var archive bytes.Buffer
		if _, err := s.Save(ctx, &archive, []string{"app:v1"}, service.SaveOptions{}); err != nil {
			return err
		}
		data := archive.Bytes()
		for _, replace := range []bool{false, true} {
			loaded, err := s.Load(ctx, bytes.NewReader(data), service.LoadOptions{Replace: replace})
			if err != nil {
				return err
			}
			im := loaded.Images[0]
			fmt.Printf("%d names moved, %d kept\n", len(im.Names), len(im.Kept))
		}
		return nil
	})
	// Output:
	// 0 names moved, 1 kept
	// 1 names moved, 0 kept
}

// A root file system becomes an image.
func ExampleService_Import() {
	inExample(func(ctx context.Context, s *service.Service, _ string) error {
		var files bytes.Buffer
		w := tar.NewWriter(&files)
		if err := w.WriteHeader(&tar.Header{Name: "etc/motd", Mode: 0o644, ModTime: time.Unix(0, 0)}); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		done, err := s.Import(ctx, &files, service.ImportOptions{
			Name: "base", Platform: &ocispec.Platform{OS: "linux", Architecture: "arm64"}, Changes: []string{"ENV HOME=/root", `CMD ["/bin/sh"]`},
		})
		if err != nil {
			return err
		}
		img, err := s.Get(ctx, "base", service.GetOptions{})
		if err != nil {
			return err
		}
		fmt.Println(done.Name, img.Instance.Platform.Architecture, img.Instance.Presence)
		return nil
	})
	// Output:
	// docker.io/library/base:latest arm64 complete
}
