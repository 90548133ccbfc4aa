package storetest

import (
	"slices"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

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
