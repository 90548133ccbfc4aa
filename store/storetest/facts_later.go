package storetest

import (
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
)

// factsInAnyOrder checks that a manifest knows its platform also where its config is
// put after it.
func (f Factory) factsInAnyOrder(t *testing.T) {
	w := f.world(t)
	root := w.src.Image(testimage.Image{Platform: arm64()})
	b := w.begin(t, w.lease(t))
	nodes := w.src.nodes(t, root)
	slices.Reverse(nodes)
	for _, n := range nodes {
		b.put(t, n.Desc, n.Role)
	}
	b.publish(t)
	platform, edges := arm64(), w.edges(t, root)
	w.wantFacts(t, root.Digest, store.Facts{MediaType: root.MediaType, Platform: &platform, Config: edges[0].Desc.Digest, Edges: edges})
}

// factsLater checks that a manifest gets to know its platform when its config comes, and
// that its name is found by that then.
func (f Factory) factsLater(t *testing.T) {
	w := f.world(t)
	root := w.src.Image(testimage.Image{Platform: arm64()})
	edges := w.edges(t, root)
	b := w.begin(t, w.lease(t))
	b.put(t, root, image.RoleManifest)
	b.publish(t, store.Move{Name: busybox, To: target(root)})
	want := store.Facts{MediaType: root.MediaType, Config: edges[0].Desc.Digest, Edges: edges}
	w.wantFacts(t, root.Digest, want)
	w.wantContaining(t, edges[0].Desc.Digest)
	b.put(t, edges[0].Desc, image.RoleConfig)
	b.publish(t)
	platform := arm64()
	want.Platform = &platform
	w.wantFacts(t, root.Digest, want)
	b.close(t)
	for range 2 {
		w.wantContaining(t, edges[0].Desc.Digest, busybox)
		w.wantPrefixes(t, []digest.Digest{root.Digest, edges[0].Desc.Digest}, edges[0].Desc.Digest)
		w.reopen(t)
		w.wantFacts(t, root.Digest, want)
	}
}

// factsAfterLayer checks that what came as a layer, of which nothing is known, is
// known when it comes as a document, though its bytes are there already.
func (f Factory) factsAfterLayer(t *testing.T) {
	w := f.world(t)
	root := w.src.Image(testimage.Image{Platform: amd64()})
	b := w.begin(t, w.lease(t))
	for _, n := range w.src.nodes(t, root) {
		b.put(t, n.Desc, image.RoleLayer)
	}
	b.publish(t)
	_, err := w.Facts(t.Context(), root.Digest)
	wantKind(t, "Facts of a layer", err, errdefs.ErrNotFound)
	b.image(t, root)
	b.publish(t, store.Move{Name: busybox, To: target(root)})
	platform, edges := amd64(), w.edges(t, root)
	w.wantFacts(t, root.Digest, store.Facts{MediaType: root.MediaType, Platform: &platform, Config: edges[0].Desc.Digest, Edges: edges})
	b.close(t)
	for _, l := range w.leases(t) {
		w.release(t, l.ID)
	}
	w.collect(t)
	w.wantImage(t, root)
}

// factsAfterOther checks that what another batch writes as a layer is known as a document
// by the batch that wants it as one, and keeps what is below it.
func (f Factory) factsAfterOther(t *testing.T) {
	steps := map[string]func(t *testing.T, one, two *batch, root ocispec.Descriptor){
		"neither published": func(t *testing.T, one, two *batch, root ocispec.Descriptor) {
			t.Helper()
			one.put(t, root, image.RoleLayer)
			two.put(t, root, image.RoleManifest)
		},
		"published last": func(t *testing.T, one, two *batch, root ocispec.Descriptor) {
			t.Helper()
			one.put(t, root, image.RoleLayer)
			two.put(t, root, image.RoleManifest)
			one.publish(t)
		},
		"published between": func(t *testing.T, one, two *batch, root ocispec.Descriptor) {
			t.Helper()
			one.put(t, root, image.RoleLayer)
			two.put(t, root, image.RoleLayer)
			one.publish(t)
			two.put(t, root, image.RoleManifest)
		},
		"published before": func(t *testing.T, one, two *batch, root ocispec.Descriptor) {
			t.Helper()
			one.put(t, root, image.RoleLayer)
			one.publish(t)
			for _, role := range []image.Role{image.RoleLayer, image.RoleManifest} {
				if put := two.put(t, root, role); put != store.Reused {
					t.Errorf("Put of %s that is visible: %s", role, put)
				}
			}
		},
	}
	for name, do := range steps {
		for what, size := range map[string]int{"small": small, "large": large} {
			t.Run(name+", "+what, func(t *testing.T) { f.factsAfterSteps(t, size, do) })
		}
	}
}

// factsAfterSteps does some steps with an image's manifest of that size, of which the
// second batch has put all else and is then published.
func (f Factory) factsAfterSteps(t *testing.T, size int, do func(t *testing.T, one, two *batch, root ocispec.Descriptor)) {
	t.Helper()
	w := f.world(t)
	root := w.annotated(t, size)
	one, two := w.begin(t, w.lease(t)), w.begin(t, w.lease(t))
	for _, n := range w.src.nodes(t, root) {
		if n.Desc.Digest != root.Digest {
			two.put(t, n.Desc, n.Role)
		}
	}
	do(t, one, two, root)
	two.publish(t, store.Move{Name: busybox, To: target(root)})
	edges := w.edges(t, root)
	facts, err := w.Facts(t.Context(), root.Digest)
	if err != nil || facts.Config != edges[0].Desc.Digest {
		t.Errorf("Facts: %+v, %v", facts, err)
	}
	one.close(t)
	two.close(t)
	for _, l := range w.leases(t) {
		w.release(t, l.ID)
	}
	w.collect(t)
	w.wantImage(t, root)
}

// annotated makes an image whose manifest has so many bytes at least.
func (w *world) annotated(t *testing.T, size int) ocispec.Descriptor {
	t.Helper()
	edges := w.edges(t, w.src.Image(testimage.Image{Platform: amd64()}))
	return w.src.JSON(ocispec.MediaTypeImageManifest, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest,
		"config": edges[0].Desc, "layers": []ocispec.Descriptor{edges[1].Desc},
		"annotations": map[string]string{"org.example.padding": strings.Repeat("x", size)},
	})
}
