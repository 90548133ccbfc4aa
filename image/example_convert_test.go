package image_test

import (
	"fmt"
	"log"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/platform"
)

// An index is made of two instances, one is removed, and the other comes to point at
// its zstd form.
func ExampleList() {
	list, err := image.NewList(ocispec.MediaTypeImageIndex)
	if err != nil {
		log.Fatal(err)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		list, err = list.Add(ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(arch), Size: 1041,
			Platform: &ocispec.Platform{OS: "linux", Architecture: arch},
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	list, err = list.Keep(func(entry ocispec.Descriptor) bool { return entry.Platform.Architecture == "arm64" })
	if err != nil {
		log.Fatal(err)
	}
	list, err = list.Update(digest.FromString("arm64"), ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("arm64, zstd"), Size: 1043,
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, entry := range list.Instances() {
		fmt.Println(platform.Format(*entry.Platform), entry.Digest)
	}
	fmt.Println(list.Descriptor().Digest)
	// Output:
	// linux/arm64 sha256:cd255400c7d3b80d4596383fe47dd352637605e38ffdad8aa8aed7b9a17736aa
	// sha256:42f49a9cbe303c75f4e8e9450af5ec4a8b1256de10dd6cbfc0bf18583278a089
}

// A conversion to schema 2 keeps config and layers, and tells what it cannot keep.
func ExampleManifest_Convert() {
	config := []byte(`{"architecture":"arm64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`)
	doc, err := image.Decode(fmt.Appendf(nil, `{
		"schemaVersion": 2,
		"config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": %q, "size": %d},
		"layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": %q, "size": 32}],
		"annotations": {"org.opencontainers.image.version": "1.0"}
	}`, digest.FromBytes(config), len(config), digest.FromString("layer")), image.Declared{}, image.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	manifest, ok := doc.(*image.Manifest)
	if !ok {
		log.Fatalf("not a manifest, but a %s", doc.MediaType())
	}
	converted, err := manifest.Convert(image.MediaTypeDockerManifest, config)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("config:", converted.Manifest.Config().Digest == manifest.Config().Digest)
	for _, layer := range converted.Manifest.Layers() {
		fmt.Println("layer:", layer.MediaType)
	}
	for _, lost := range converted.Lost {
		fmt.Println("note:", lost)
	}
	// Output:
	// config: true
	// layer: application/vnd.docker.image.rootfs.diff.tar.gzip
	// note: the manifest lost its annotations ("org.opencontainers.image.version")
}
