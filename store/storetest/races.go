package storetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// The size of the races.
const (
	raceWorkers    = 8
	raceImages     = 12
	raceOperations = 1000
)

func (f Factory) races() map[string]func(*testing.T) {
	return map[string]func(*testing.T){"workers": f.race}
}

// race has workers write, name, read, remove and collect images that share blobs. What
// a worker has a right to is there whenever it looks; what nobody needs in the end is
// gone.
func (f Factory) race(t *testing.T) {
	seed, operations := f.Seed, f.Operations
	if seed == 0 {
		seed = rand.Uint64() //nolint:gosec // it is to be repeated
	}
	if operations == 0 {
		operations = raceOperations
	}
	t.Logf("seed %d, %d operations", seed, operations)
	w := f.world(t)
	roots := w.relatives(t)
	below := map[digest.Digest][]*image.Node{}
	for _, root := range roots {
		for _, n := range w.src.nodes(t, root) {
			below[n.Desc.Digest] = w.src.nodes(t, n.Desc)
		}
	}
	var left atomic.Int64
	left.Store(int64(operations))
	var wg sync.WaitGroup
	for i := range raceWorkers {
		r := &racer{world: w, t: t, id: i, roots: roots, below: below, rng: rand.New(rand.NewPCG(seed, uint64(i)))} //nolint:gosec // likewise
		wg.Go(func() {
			for left.Add(-1) >= 0 && !t.Failed() {
				r.step(t.Context())
			}
			r.closeKept()
		})
	}
	wg.Wait()
	if !t.Failed() {
		w.settle(t)
	}
}

// relatives makes images of two platforms each, which share layers and configs.
func (w *world) relatives(t *testing.T) []ocispec.Descriptor {
	t.Helper()
	var layers []ocispec.Descriptor
	for i, size := range []int{1, small, 4096, large} {
		layers = append(layers, w.layer(bytes.Repeat([]byte{byte('a' + i)}, size)))
	}
	var roots []ocispec.Descriptor
	for i := range raceImages {
		var manifests []ocispec.Descriptor
		for j, platform := range []ocispec.Platform{amd64(), arm64()} {
			config := fmt.Sprintf(`{"os":%q,"architecture":%q,"author":"%d"}`, platform.OS, platform.Architecture, i/3)
			m := w.manifest(config, layers[i%4], layers[(i+j+1)%4], w.layer(fmt.Append(nil, "own ", i%6, j)))
			m.Platform = &platform
			manifests = append(manifests, m)
		}
		if i > 0 {
			manifests = append(manifests, w.edges(t, roots[i-1])[0].Desc)
		}
		roots = append(roots, w.src.Index(manifests...))
	}
	return roots
}

// settle releases everything and checks what is there, and what not.
func (w *world) settle(t *testing.T) {
	t.Helper()
	for _, l := range w.leases(t) {
		w.release(t, l.ID)
	}
	partial, err := w.Partial(t.Context())
	if err != nil {
		t.Error("Partial:", err)
	}
	for _, p := range partial {
		if err := w.Abort(t.Context(), p.Ref); err != nil {
			t.Errorf("Abort of %q: %v", p.Ref, err)
		}
	}
	w.wantPartial(t)
	w.collect(t)
	w.wantNeeded(t)
	w.reopen(t)
	w.wantNeeded(t)
	for _, rec := range w.records(t) {
		w.move(t, store.Move{Name: rec.Key(), Forget: true})
	}
	w.collect(t)
	w.wantBlobs(t)
}

// wantNeeded checks that there is nothing but what names need, and of manifests all that
// is below them.
func (w *world) wantNeeded(t *testing.T) {
	t.Helper()
	needed := map[digest.Digest]bool{}
	for _, rec := range w.records(t) {
		w.wantBlob(t, rec.Target.Digest)
		for _, n := range w.src.nodes(t, rec.Target) {
			needed[n.Desc.Digest] = true
		}
	}
	for _, d := range w.visible(t) {
		w.wantBlob(t, d)
		if !needed[d] {
			t.Errorf("%s is still there, though nobody needs it", d)
		}
		facts, err := w.Facts(t.Context(), d)
		if err != nil || image.IsList(facts.MediaType) {
			continue
		}
		for _, e := range facts.Edges {
			w.wantBlob(t, e.Desc.Digest)
		}
	}
}
