package image_test

import (
	"strings"
	"testing"

	"github.com/dhowhq/dhow/image"
)

func BenchmarkDecode(b *testing.B) {
	entry := `{"mediaType":"$M","digest":"$a","size":5,"platform":{"architecture":"arm64","os":"linux","variant":"v8"}},`
	for _, doc := range []struct{ name, data string }{
		{"manifest", ociManifest},
		{"index of 11", `{"schemaVersion":2,"mediaType":"$I","manifests":[` + strings.Repeat(entry, 10) + strings.TrimSuffix(entry, ",") + `]}`},
		{"index of 10000", `{"schemaVersion":2,"mediaType":"$I","manifests":[` + strings.Repeat(entry, 9999) + strings.TrimSuffix(entry, ",") + `]}`},
	} {
		data := []byte(expand(doc.data))
		b.Run(doc.name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := image.Decode(data, image.Declared{}, image.Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
