package catalog_test

import (
	"fmt"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

// sharing makes a database of names that point each at a manifest of its own, all of which share
// a layer, and returns their targets.
func sharing(t testing.TB, db *catalog.DB, g *graph, names int, layer digest.Digest) []digest.Digest {
	t.Helper()
	var targets []digest.Digest
	var changes []catalog.Change
	for i := range names {
		m := &store.Facts{MediaType: ocispec.MediaTypeImageManifest, Edges: []image.Edge{
			edge(image.RoleLayer, ocispec.MediaTypeImageLayerGzip, layer),
			edge(image.RoleLayer, ocispec.MediaTypeImageLayerGzip, digest.FromString(fmt.Sprint(i))),
		}}
		d := g.add(fmt.Sprint("manifest of ", layer, i), m)
		targets = append(targets, d)
		changes = append(changes, g.put(d), catalog.PutName{Record: store.Record{Name: fmt.Sprintf("%s:%d", layer.Encoded()[:8], i), Target: ocispec.Descriptor{Digest: d}}})
	}
	do(t, db, changes...)
	return targets
}

// TestTouchedBelowMany: a blob below very many roots comes and goes without a write for each of
// them. Until all are drawn again, step by step, none is believed to say what is below it.
func TestTouchedBelowMany(t *testing.T) {
	t.Parallel()
	db := newPlace(t).create(t, "db")
	g := &graph{blobs: map[digest.Digest]*store.Facts{}}
	layer, other := g.add("layer", nil), g.add("other", nil)
	many, few := sharing(t, db, g, 1200, layer), sharing(t, db, g, 3, other)
	change := func(c catalog.Change) {
		t.Helper()
		update(t, db, func(tx *catalog.Tx) error {
			err := tx.Do(c)
			if n := tx.Writes(); n > 50 {
				t.Errorf("%T: %d writes", c, n)
			}
			return err
		})
	}
	believed := func(targets []digest.Digest, want bool) {
		t.Helper()
		view(t, db, func(tx *catalog.Tx) error {
			for _, d := range targets {
				if _, err := tx.Outline(d); want && err != nil || !want && !errdefs.IsNotFound(err) {
					t.Fatalf("outline of %s: %v", d, err)
				}
				if want {
					wantOutline(t, tx, d)
				}
			}
			return nil
		})
	}
	step := func() (more bool) {
		update(t, db, func(tx *catalog.Tx) (err error) {
			var n int
			if n, more, err = tx.Redraw(1000); n > 1010 {
				t.Errorf("a step has looked up %d", n)
			}
			return err
		})
		return more
	}
	believed(many, true)
	change(g.put(layer))
	believed(many, false)
	believed(few, true)
	change(g.put(other)) // marked one by one
	believed(few, true)
	if step(); !step() {
		t.Fatal("all is drawn in two steps")
	}
	change(catalog.DropBlob{Digest: layer}) // from the beginning
	change(catalog.DropName{Key: layer.Encoded()[:8] + ":7"})
	many = append(many[:7], many[8:]...)
	steps := 1
	for ; step(); steps++ {
		believed(many, false)
	}
	if want := len(many) * 4 / 1000; steps < want {
		t.Errorf("%d steps; want %d", steps, want)
	}
	believed(many, true)
	believed(few, true)
}

// TestTouchedBelowNone: a step has an end among documents above which there are no roots any more.
func TestTouchedBelowNone(t *testing.T) {
	t.Parallel()
	db := newPlace(t).create(t, "db")
	g := &graph{blobs: map[digest.Digest]*store.Facts{}}
	layer := g.add("layer", nil)
	const documents = 1200
	sharing(t, db, g, documents, layer)
	do(t, db, g.put(layer))
	var forget []catalog.Change
	for i := range documents {
		forget = append(forget, catalog.DropName{Key: fmt.Sprintf("%s:%d", layer.Encoded()[:8], i)})
	}
	do(t, db, forget...)
	const limit = 100
	steps := 1
	for more := true; more; steps++ {
		update(t, db, func(tx *catalog.Tx) (err error) {
			var n int
			if n, more, err = tx.Redraw(limit); n > limit+1 {
				t.Errorf("a step has looked up %d", n)
			}
			return err
		})
	}
	if steps < documents/limit {
		t.Errorf("%d documents are looked at in %d steps", documents, steps)
	}
	view(t, db, func(tx *catalog.Tx) error {
		if n := tx.Touched(); n > 0 {
			t.Errorf("%d blobs are touched", n)
		}
		return nil
	})
}
