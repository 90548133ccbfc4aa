package containerd

import (
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testimage"
)

// TestBottomUp shows that what a document contains is committed before it, in whichever
// order it was put.
func TestBottomUp(t *testing.T) {
	t.Parallel()
	var src testimage.Store
	first := src.Image(testimage.Image{Name: "first", Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	second := src.Image(testimage.Image{Name: "second", Platform: ocispec.Platform{OS: "linux", Architecture: "arm64"}})
	nested := src.Index(second)
	list := src.Index(first, nested)
	want := map[digest.Digest]int{first.Digest: 1, second.Digest: 1, nested.Digest: 2, list.Digest: 3}
	mediaTypes := map[digest.Digest]string{}
	for _, desc := range []ocispec.Descriptor{first, second, nested, list} {
		mediaTypes[desc.Digest] = desc.MediaType
	}
	var wants []*complete
	for _, d := range src.Digests() {
		c := newComplete(d, int64(len(src.Get(d))), "")
		if mediaType := mediaTypes[d]; mediaType != "" {
			facts, err := derive(src.Get(d), mediaType)
			if err != nil {
				t.Fatal(err)
			}
			c.facts = &facts
		}
		wants = append(wants, c)
	}
	for range 2 {
		found := 0
		for level, all := range bottomUp(wants) {
			for _, c := range all {
				if found++; level != want[c.desc.Digest] {
					t.Errorf("%s is at level %d, want %d", c.desc.Digest, level, want[c.desc.Digest])
				}
			}
		}
		if found != len(wants) {
			t.Errorf("%d of %d blobs", found, len(wants))
		}
		slices.Reverse(wants)
	}
	if levels := bottomUp(nil); len(levels) != 0 {
		t.Errorf("levels of nothing: %v", levels)
	}
}
