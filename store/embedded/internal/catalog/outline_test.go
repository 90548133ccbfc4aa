package catalog_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

// wantOutline checks that the outline of a target says of everything below it what is said of
// it elsewhere, in the order of the documents and in the opposite one.
func wantOutline(t *testing.T, tx *catalog.Tx, target digest.Digest) {
	t.Helper()
	o, err := tx.Outline(target)
	if err != nil {
		t.Errorf("outline of %s: %v", target, err)
		return
	}
	if records, err := tx.Target(target); err != nil || o.Records != uint64(len(records)) {
		t.Errorf("outline of %s: %d records, want %d, %v", target, o.Records, len(records), err)
	}
	below, documents := []digest.Digest{target}, []digest.Digest{target}
	document := map[digest.Digest]bool{target: true}
	for i := 0; i < len(documents); i++ { // it grows
		facts, err := tx.Facts(documents[i])
		if err != nil && !errdefs.IsNotFound(err) {
			t.Fatal(err)
		}
		for _, e := range facts.Edges {
			below = append(below, e.Desc.Digest)
			if e.Role != image.RoleLayer && !document[e.Desc.Digest] {
				document[e.Desc.Digest] = true
				documents = append(documents, e.Desc.Digest)
			}
		}
	}
	ask := func(d digest.Digest) {
		want, err := tx.Blob(d)
		got, gotErr := o.Blob(d)
		if got.Size != want.Size || got.Number != want.Number || errdefs.IsNotFound(err) != errdefs.IsNotFound(gotErr) || (err == nil) != (gotErr == nil) {
			t.Errorf("outline of %s: %s is %+v, %v; want %+v, %v", target, d, got, gotErr, want, err)
		}
		if !document[d] {
			return
		}
		facts, err := tx.Facts(d)
		gotFacts, gotErr := o.Facts(d)
		if diff := cmp.Diff(facts, gotFacts); diff != "" || errdefs.IsNotFound(err) != errdefs.IsNotFound(gotErr) || (err == nil) != (gotErr == nil) {
			t.Errorf("outline of %s: facts of %s: %v, %v, - wanted + got:\n%s", target, d, err, gotErr, diff)
		}
	}
	for i := range below {
		ask(below[i])
	}
	for i := range below {
		ask(below[len(below)-1-i])
	}
	if _, err := o.Blob(digest.FromString("not below it")); !errdefs.IsNotFound(err) {
		t.Errorf("what is not below: %v", err)
	}
}

// TestOutlineOfLaterFacts: what is known of a blob may come after it.
func TestOutlineOfLaterFacts(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	g := newGraph(r, 4)
	db := newPlace(t).create(t, "db")
	for _, d := range g.order {
		put := g.put(d)
		put.Facts = nil
		do(t, db, put)
	}
	var targets []digest.Digest
	for i, d := range g.order {
		if g.blobs[d] != nil {
			targets = append(targets, d)
			do(t, db, catalog.PutName{Record: store.Record{Name: fmt.Sprint("docker.io/library/x:", i), Target: ocispec.Descriptor{Digest: d}}})
		}
	}
	slices.Reverse(targets) // of configs after those of manifests
	for _, d := range targets {
		do(t, db, catalog.PutFacts{Digest: d, Facts: *g.blobs[d]})
		view(t, db, func(tx *catalog.Tx) error {
			for _, target := range targets {
				wantOutline(t, tx, target)
			}
			return nil
		})
	}
}
