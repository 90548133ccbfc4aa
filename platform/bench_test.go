package platform

import (
	"fmt"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// crowds are lists at the limit of descriptors in one document: of one platform,
// of a few, and two made to be slow.
func crowds() map[string][]ocispec.Descriptor {
	const n = 10_000
	few := []string{"linux/amd64", "linux/arm64/v8", "linux/arm/v7", "linux/386", "linux/s390x", "windows(10.0.17763.1)/amd64", "unknown/unknown", "-"}
	list := func(platform func(i int) *ocispec.Platform) []ocispec.Descriptor {
		entries := make([]ocispec.Descriptor, n)
		for i := range entries {
			entries[i].Platform = platform(i)
		}
		return entries
	}
	return map[string][]ocispec.Descriptor{
		"same": list(func(int) *ocispec.Platform { return rawPlatform("linux/amd64") }),
		"few":  list(func(i int) *ocispec.Platform { return rawPlatform(few[i%len(few)]) }),
		"builds": list(func(i int) *ocispec.Platform {
			return rawPlatform(fmt.Sprintf("windows(10.0.20348.%d)/amd64", i*7919%n))
		}),
		"variants": list(func(i int) *ocispec.Platform { return rawPlatform(fmt.Sprintf("linux/amd64/v%d", i)) }),
	}
}

func BenchmarkSelect(b *testing.B) {
	asked := map[string]string{"same": "linux/amd64", "few": "linux/arm/v7", "builds": "windows(10.0.20348.77)/amd64", "variants": "linux/amd64/v9"}
	for name, entries := range crowds() {
		for _, op := range []Operation{CopyOne, CopySeveral, Manifest} {
			b.Run(name+"/"+op.String(), func(b *testing.B) {
				for b.Loop() {
					if _, err := Select(op, rawPlatform(asked[name]), entries, Options{}); err != nil && name != "variants" {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
