package catalog_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

// TestDropLooksNear: what it takes to drop documents below a target is as many times more as
// there are of them, and not that squared.
func TestDropLooksNear(t *testing.T) { // alone: it counts allocations
	tests := []struct {
		name string
		// parts returns what is to be dropped of a list.
		parts func(*graph, *store.Facts) []digest.Digest
	}{
		{"all manifests of a list", manifestsOf},
		{"a list of manifests that another list has", nestedList},
	}
	const few, more, most = 50, 400, 16 // 8 times as many
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			took := map[int]float64{}
			for _, n := range []int{few, more} {
				g, list := listOf(n)
				parts := test.parts(g, list)
				took[n] = dropAllocs(t, g, g.add("list", list), parts)
			}
			if took[more] > most*took[few] {
				t.Errorf("with %d manifests it takes %v allocations, with %d %v; want %d times as many at most", few, took[few], more, took[more], most)
			}
		})
	}
}

// listOf makes the facts of a list of so many manifests.
func listOf(n int) (*graph, *store.Facts) {
	g := &graph{blobs: map[digest.Digest]*store.Facts{}}
	list := &store.Facts{MediaType: ocispec.MediaTypeImageIndex}
	for i := range n {
		m := &store.Facts{MediaType: ocispec.MediaTypeImageManifest}
		m.Config = g.add(fmt.Sprint("config", i), &store.Facts{MediaType: ocispec.MediaTypeImageConfig})
		m.Edges = append(m.Edges, edge(image.RoleConfig, ocispec.MediaTypeImageConfig, m.Config))
		list.Edges = append(list.Edges, edge(image.RoleManifest, ocispec.MediaTypeImageManifest, g.add(fmt.Sprint("manifest", i), m)))
	}
	return g, list
}

func manifestsOf(_ *graph, list *store.Facts) (all []digest.Digest) {
	for _, e := range list.Edges {
		all = append(all, e.Desc.Digest)
	}
	return all
}

// nestedList adds to a list one that has all its manifests too.
func nestedList(g *graph, list *store.Facts) []digest.Digest {
	nested := g.add("nested", &store.Facts{MediaType: list.MediaType, Edges: slices.Clone(list.Edges)})
	list.Edges = append(list.Edges, edge(image.RoleIndex, list.MediaType, nested))
	return []digest.Digest{nested}
}

// dropAllocs returns how many allocations it takes to drop blobs of a graph with a name.
func dropAllocs(t *testing.T, g *graph, target digest.Digest, parts []digest.Digest) float64 {
	t.Helper()
	db := newPlace(t).create(t, "db")
	update(t, db, func(tx *catalog.Tx) error {
		for _, d := range g.order {
			if err := tx.Do(g.put(d)); err != nil {
				return err
			}
		}
		return tx.Do(catalog.PutName{Record: store.Record{Name: "docker.io/library/x:1", Target: ocispec.Descriptor{Digest: target}}})
	})
	return testing.AllocsPerRun(1, func() {
		tx, err := db.Update()
		if err != nil {
			t.Fatal("Update:", err)
		}
		defer tx.Rollback() // and they are there again
		for _, d := range parts {
			if err := tx.Do(catalog.DropBlob{Digest: d}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
