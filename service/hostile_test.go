package service_test

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/transport/oci"
)

// manifest makes the manifest of an image for linux/amd64, which differs from those of
// other names, with these layers.
func (f *fixture) manifest(name string, layers ...ocispec.Descriptor) ocispec.Descriptor {
	config := fmt.Sprintf(`{"os":"linux","architecture":"amd64","author":%q}`, name)
	return f.src.JSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: f.src.Put(ocispec.MediaTypeImageConfig, []byte(config)), Layers: layers,
	})
}

// TestManifestsAsLayers shows that an image is looked at in a time that follows its size
// where each of its manifests has two others as layers, and so more and more ways lead down.
func TestManifestsAsLayers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{})
	layer, _ := f.src.Layer("last", 10)
	below := []ocispec.Descriptor{layer}
	var all []ocispec.Descriptor
	for level := range 40 {
		below = []ocispec.Descriptor{f.manifest(fmt.Sprint(level, "a"), below...), f.manifest(fmt.Sprint(level, "b"), below...)}
		all = append(all, below...)
	}
	f.put(t, f.src.Index(all...), "deep:1")
	dst, err := oci.OpenDestination(t.Context(), oci.Reference{Path: filepath.Join(t.TempDir(), "layout")}, oci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	if p, err := f.Push(t.Context(), dst, "deep:1", service.PushOptions{}); err != nil || p.Part != service.PushedWhole {
		t.Errorf("Push: %q, %v; want all of it", p.Part, err)
	}
	if _, err := f.Get(t.Context(), "deep:1", service.GetOptions{Details: true}); err != nil {
		t.Error("Get:", err)
	}
	if _, err := f.DiskUsage(t.Context()); err != nil {
		t.Error("DiskUsage:", err)
	}
	if _, err := f.Prune(t.Context(), service.PruneOptions{All: true}); err != nil {
		t.Error("Prune:", err)
	}
}

// TestManifestOfTwoPlatforms shows that a manifest which its list has for two platforms is
// found by each of them.
func TestManifestOfTwoPlatforms(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{})
	var entries []ocispec.Descriptor
	for _, of := range []string{"linux/amd64", "linux/riscv64"} {
		p := parsePlatform(t, of)
		entry := f.manifest("both")
		entry.Platform = &p
		entries = append(entries, entry)
	}
	root := f.src.Index(append(entries, f.image(t, "linux/arm64", "other"))...)
	f.put(t, root, "both:1")
	second := entries[1].Platform
	if desc, err := f.Manifest(t.Context(), "both:1", second); err != nil || desc.Platform.Architecture != second.Architecture {
		t.Errorf("Manifest: %+v, %v; want the entry for riscv64", desc, err)
	}
	opts := service.RemoveOptions{Force: true, Platforms: []ocispec.Platform{*second}}
	if _, err := f.Remove(t.Context(), "both:1", opts); err != nil || f.has(t, entries[1].Digest) {
		t.Errorf("Remove: %v; want that the manifest is gone", err)
	}
}

// TestSizesThatOverflow shows that sizes which a manifest says of layers that are not there
// do not add up to a small one.
func TestSizesThatOverflow(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{})
	var layers []ocispec.Descriptor
	for _, hex := range []string{"a", "b"} {
		layers = append(layers, ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageLayer, Digest: digest.Digest("sha256:" + strings.Repeat(hex, 64)), Size: math.MaxInt64,
		})
	}
	f.put(t, f.src.Index(f.manifest("large", layers...)), "large:1")
	if size, err := f.Size(t.Context(), "large:1", nil); err != nil || size != math.MaxInt64 {
		t.Errorf("Size: %d, %v; want the largest", size, err)
	}
	if all, err := f.List(t.Context(), service.ListOptions{}); err != nil || len(all) != 1 || all[0].Instances[0].Total != math.MaxInt64 {
		t.Errorf("List: %+v, %v; want a total of the largest size", all, err)
	}
}

// TestTooManyPrefixes shows that lists which name more digests than are looked at, all of
// which begin as a name or an ID does, take neither away.
func TestTooManyPrefixes(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{Limits: image.Limits{GraphNodes: 40}})
	named, one := f.image(t, "linux/amd64", "named"), f.image(t, "linux/amd64", "one")
	f.put(t, named, "cafe:1", "cafe:latest")
	f.put(t, one, "one:1", "one:2")
	id := one.Digest.Encoded()[:12]
	for list := range 2 {
		for _, begin := range []string{"cafe", id, "abcdef"} {
			var entries []ocispec.Descriptor
			for i := range 30 {
				entries = append(entries, entryFor(begin+fmt.Sprintf("%0*d", 64-len(begin), 100*list+i)))
			}
			f.put(t, f.src.Index(entries...), fmt.Sprintf("hostile-%s:%d", begin, list))
		}
	}
	for ref, want := range map[string]digest.Digest{"cafe": named.Digest, id: one.Digest, "sha256:" + id: one.Digest} {
		r, err := f.Resolve(t.Context(), ref)
		if err != nil || r.Digest != want || !strings.Contains(strings.Join(r.Warnings, ""), "is also the beginning of 40 digests or more") {
			t.Errorf("%s: %s, %q, %v; want %s, and a warning", ref, r.Digest, r.Warnings, err, want)
		}
	}
	if _, err := f.Resolve(t.Context(), "abcdef"); !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), `ambiguous reference: "abcdef" is the beginning of 40 digests or more: `) {
		t.Errorf("what only they have: error %v; want that it is ambiguous", err)
	}
}
