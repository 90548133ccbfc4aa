package image_test

import (
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
)

func ExampleDecode() {
	index := []byte(`{
		"schemaVersion": 2,
		"mediaType": "application/vnd.oci.image.index.v1+json",
		"manifests": [
			{
				"mediaType": "application/vnd.oci.image.manifest.v1+json",
				"digest": "sha256:c87a649d510c63e1c5790b4a1f800a6b56f42702e18b45aaa5ef037ad58a73c1",
				"size": 405,
				"platform": {"architecture": "amd64", "os": "linux"}
			}
		]
	}`)
	doc, err := image.Decode(index, image.Declared{Served: ocispec.MediaTypeImageIndex}, image.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, edge := range doc.Edges() {
		fmt.Println(edge.Role, edge.Desc.Platform.Architecture, edge.Desc.Digest.Encoded()[:12])
	}

	_, err = image.Decode([]byte(`{"schemaVersion": 2, "manifests": [{"size": -1}]}`), image.Declared{}, image.Limits{})
	fmt.Println(err)
	// Output:
	// manifest amd64 c87a649d510c
	// decode application/vnd.oci.image.index.v1+json: manifests[0].size: is "-1", which is not a whole number of 0 or more: invalid argument
}

func ExampleDecodeConfig() {
	config, err := image.DecodeConfig([]byte(`{
		"architecture": "arm64", "os": "linux", "created": "yesterday",
		"rootfs": {"type": "layers", "diff_ids": []}
	}`), image.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(config.Platform.OS, config.Platform.Architecture)
	for _, warning := range config.Warnings(1) {
		fmt.Println(warning)
	}
	// Output:
	// linux arm64
	// the config has 0 diff IDs for 1 layers
	// the config's creation time "yesterday" is no time by RFC 3339
}

func ExampleGuess() {
	fmt.Println(image.Guess([]byte(`{"schemaVersion": 2, "manifests": []}`)))
	fmt.Printf("%q\n", image.Guess([]byte(`<html>`)))
	// Output:
	// application/vnd.oci.image.index.v1+json
	// ""
}

func ExampleNormalizeContentType() {
	fmt.Println(image.NormalizeContentType("application/vnd.oci.image.index.v1+json; charset=utf-8"))
	fmt.Printf("%q\n", image.NormalizeContentType("application/json"))
	// Output:
	// application/vnd.oci.image.index.v1+json
	// ""
}

func ExampleDigestOf() {
	manifest := []byte(`{}`)
	d, err := image.DigestOf(manifest, image.Guess(manifest), "")
	fmt.Println(d, err)
	// Output:
	// sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a <nil>
}

func ExampleParseDigest() {
	_, err := image.ParseDigest("sha256:../../etc/passwd")
	fmt.Println(err)
	// Output:
	// digest "sha256:../../etc/passwd" is not sha256 and 64 lower-case hex characters: invalid argument
}

func ExampleVerifyBytes() {
	desc := ocispec.Descriptor{Digest: "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", Size: 2}
	fmt.Println(image.VerifyBytes([]byte(`{}`), desc))
	fmt.Println(image.VerifyBytes([]byte(`[]`), desc))
	// Output:
	// <nil>
	// content of sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a: it has digest sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945: data loss
}
