package service_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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

// TestAbsentList shows a list in an image that is not there in the place of what it has.
func TestAbsentList(t *testing.T) {
	t.Parallel()
	f := newFixture(t, amd64)
	p := f.parts(t, "n/arm=linux/arm64 amd=linux/amd64")
	nested := f.children(t, p.root)[0]
	p.names[nested.Digest] = "n"
	f.putPart(t, p.root, func(n *image.Node) bool { return n.Desc.Digest == nested.Digest }, "example.com/image:1")
	want := []string{"image complete amd", "list absent n"}
	described := func(instances []service.Instance) (got []string) {
		for i := range instances {
			got = append(got, fmt.Sprintf("%s %s %s", instances[i].Kind, instances[i].Presence, p.names[instances[i].Descriptor.Digest]))
		}
		return got
	}
	img := get(t, f, "example.com/image:1", service.GetOptions{Details: true})
	if diff := cmp.Diff(want, described(img.Details.Instances)); diff != "" {
		t.Error("instances of Get (-want +got):\n", diff)
	}
	if missing := img.Details.Instances[1].Missing; len(missing) != 1 || missing[0].Digest != nested.Digest {
		t.Errorf("the list lacks %v; want itself", missing)
	}
	all, err := f.List(t.Context(), service.ListOptions{})
	if err != nil || len(all) != 1 || all[0].Preferred != 0 {
		t.Fatalf("List: %+v, %v", all, err)
	}
	if diff := cmp.Diff(want, described(all[0].Instances)); diff != "" {
		t.Error("instances of List (-want +got):\n", diff)
	}
	const there = "(complete: linux/amd64; absent lists: 1)"
	if _, err := f.Get(t.Context(), "example.com/image:1", service.GetOptions{Platform: asked("linux/arm64")}); !errors.Is(err, service.ErrNoPlatform) || !strings.Contains(err.Error(), there) {
		t.Errorf("Get: %v; want %s", err, there)
	}
	if _, err := f.Get(t.Context(), nested.Digest.String(), service.GetOptions{}); !errors.Is(err, service.ErrNoPlatform) || !strings.Contains(err.Error(), "(absent lists: 1)") {
		t.Errorf("Get of the list: %v; want that it is absent", err)
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
