package formattest

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
)

// outlined is what an outline says of a digest.
type outlined struct {
	digest  string
	visible bool
	size    uint64
	number  uint64 // of its bytes
	facts   string // as bytes
}

// outline is one by the section "Outlines" of the page.
type outline struct {
	alone bool
	of    []outlined
}

func (d *decoder) outline() outline {
	all := outline{alone: d.flag()}
	for len(d.rest) > 0 && d.err == nil {
		o := outlined{digest: d.present(), visible: d.flag()}
		if o.visible {
			o.size, o.number, o.facts = d.number(), d.number(), d.text()
		}
		all.of = append(all.of, o)
	}
	return all
}

// drawOutline makes that of a root, and returns how many bytes count for its limit.
func (db *database) drawOutline(root string, raw map[string]string) (all []outlined, size int) {
	at, as := map[string]int{}, map[string]int{}
	var documents []string
	meet := func(d, role string) {
		i, there := at[d]
		if !there {
			i = len(all)
			at[d] = i
			b, visible := db.blobs[d]
			all = append(all, outlined{digest: d, visible: visible, size: b.size, number: b.number})
			size += len(keyOf(d))
		}
		now := map[string]int{"index": 2, "manifest": 2, "attestation": 2, "config": 1}[role]
		if !all[i].visible || now <= as[d] {
			return
		}
		as[d] = now
		if all[i].facts == "" {
			all[i].facts = raw[d]
			size += len(raw[d])
		}
		if now == 2 {
			documents = append(documents, d)
		}
	}
	meet(root, "index")
	for i := 0; i < len(documents); i++ { // it grows
		for _, e := range db.facts[documents[i]].edges {
			meet(e.target.digest, e.role)
		}
	}
	return all, size
}

// wantOutlines checks that the outlines are what the page says of them.
func wantOutlines(tb testing.TB, db *database) {
	tb.Helper()
	raw := map[string]string{}
	for _, kv := range db.raw["facts"] {
		value, err := unseal(kv[0], kv[1])
		if err != nil {
			tb.Error(err)
		}
		raw[(&decoder{rest: kv[0]}).present()] = string(value)
	}
	want := map[string]outline{}
	roots := map[string]uint64{}
	for _, r := range db.names {
		roots[r.target.digest]++
	}
	for root, records := range roots {
		if all, size := db.drawOutline(root, raw); !db.stale[root] && size <= 65536 {
			want[root] = outline{records == 1, all}
		}
	}
	believed := maps.Clone(db.outlines)
	for _, all := range []map[string]outline{want, believed} {
		maps.DeleteFunc(all, func(_ string, o outline) bool {
			return slices.ContainsFunc(o.of, func(o outlined) bool { return db.touched[o.digest] })
		})
	}
	wantEqual(tb, "outlines", want, believed)
	for root := range db.stale {
		if roots[root] == 0 {
			tb.Errorf("%s is stale, and no root", root)
		}
	}
}

// TestPageOutlines reads the outlines of a list below which a manifest is met as a layer
// first, of one that is too large, and of so many at once that some of them become stale,
// which a collection draws.
func TestPageOutlines(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.lease(t, store.Lease{ID: "one"})
	inner := w.src.Image(testimage.Image{Name: "inner"})
	config := w.src.Put(ocispec.MediaTypeImageConfig, []byte("{}"))
	outer := w.src.JSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: []ocispec.Descriptor{inner},
	})
	twice := w.src.Index(outer, w.src.Index(inner))
	w.graph(t, "one", twice, store.Move{Name: "quay.io/x/twice:1", To: pointing(twice)})
	large := w.absent(800, "large")
	w.graph(t, "one", large, store.Move{Name: "quay.io/x/large:1", To: pointing(large)})
	const lists = 30
	var moves []store.Move
	for i := range lists {
		list := w.absent(400, fmt.Sprint("list", i, " "))
		w.blob(t, "one", list, image.RoleIndex)
		moves = append(moves, store.Move{Name: fmt.Sprint("quay.io/x/many:", i), To: pointing(list)})
	}
	w.move(t, moves...)
	outlines := func(stale int) {
		w.close(t)
		db := readStore(t, w.dir).db
		if len(db.stale) != stale || len(db.outlines) != lists+1-stale || db.outlines[string(large.Digest)].of != nil {
			t.Errorf("%d roots are stale, %d have outlines", len(db.stale), len(db.outlines))
		}
		w.open(t)
	}
	outlines(lists - 10_000/401 - 1)
	w.collect(t)
	outlines(0)
}

// TestPageTouched reads the outlines of very many roots above a blob that has come, before and
// after a collection.
func TestPageTouched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.lease(t, store.Lease{ID: "one"})
	layer := (&testimage.Store{}).Put(ocispec.MediaTypeImageLayer, []byte("layer"))
	const roots = 1000
	var all []ocispec.Descriptor
	var moves []store.Move
	for i := range roots {
		own := w.src.JSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: ocispec.DescriptorEmptyJSON,
			Layers: []ocispec.Descriptor{layer}, Annotations: map[string]string{"number": fmt.Sprint(i)},
		})
		all = append(all, own)
		moves = append(moves, store.Move{Name: fmt.Sprint("quay.io/x/many:", i), To: pointing(own)})
	}
	w.graph(t, "one", w.src.Index(all...), moves...)
	w.src.Put(ocispec.MediaTypeImageLayer, []byte("layer"))
	w.blob(t, "one", layer, image.RoleLayer)
	for _, touched := range []int{1, 0} {
		w.close(t)
		db := readStore(t, w.dir).db
		if len(db.touched) != touched || len(db.outlines) != roots || len(db.stale) != 0 {
			t.Errorf("%d blobs are touched, %d roots stale, %d have outlines", len(db.touched), len(db.stale), len(db.outlines))
		}
		w.open(t)
		w.collect(t)
	}
}

// absent returns a list of manifests that are not there.
func (w *world) absent(n int, of string) ocispec.Descriptor {
	var all []ocispec.Descriptor
	for i := range n {
		all = append(all, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(fmt.Sprint(of, i)), Size: 7})
	}
	return w.src.Index(all...)
}
