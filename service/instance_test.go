package service_test

import (
	"fmt"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/service"
)

// manyLayers makes a manifest of n different layers, with all of them a second time.
func (f *fixture) manyLayers(n int) (manifest ocispec.Descriptor, layers []ocispec.Descriptor) {
	for i := range n {
		layers = append(layers, f.src.Put(ocispec.MediaTypeImageLayerGzip, fmt.Appendf(nil, "layer %d of %d", i, n)))
	}
	return f.manifest(fmt.Sprint("layers ", n), append(layers, layers...)...), layers
}

// TestRepeatedLayers counts a layer that a manifest has twice once, be they few or many.
func TestRepeatedLayers(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 3, 100} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, amd64)
			manifest, layers := f.manyLayers(n)
			want := manifest.Size + f.children(t, manifest)[0].Size
			for _, layer := range layers {
				want += layer.Size
			}
			gone := layers[len(layers)-1]
			f.putPart(t, manifest, func(n *image.Node) bool { return n.Desc.Digest == gone.Digest }, "layers:1")
			img := get(t, f, "layers:1", service.GetOptions{Bare: true, Details: true})
			inst := img.Details.Instances[0]
			if inst.Total != want || inst.Content != want-gone.Size || len(inst.Missing) != 1 || inst.Missing[0].Digest != gone.Digest {
				t.Errorf("%d of %d bytes, %v missing; want %d of %d, and %s", inst.Content, inst.Total, inst.Missing, want-gone.Size, want, gone.Digest)
			}
		})
	}
}

// BenchmarkManyLayers gets an image of 9,900 layers.
func BenchmarkManyLayers(b *testing.B) {
	f := newFixture(b, amd64)
	manifest, _ := f.manyLayers(4950)
	f.put(b, manifest, "layers:1")
	for b.Loop() {
		if _, err := f.Get(b.Context(), "layers:1", service.GetOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
