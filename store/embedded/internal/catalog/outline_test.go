package catalog_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	bolt "go.etcd.io/bbolt"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
	"github.com/dhowhq/dhow/store/embedded/internal/codec"
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
	if records, err := tx.Target(target); err != nil || o.Alone != (len(records) == 1) {
		t.Errorf("outline of %s: of one record: %v; there are %d, %v", target, o.Alone, len(records), err)
	}
	below, documents := []digest.Digest{target}, []digest.Digest{target}
	document, described := map[digest.Digest]bool{target: true}, map[digest.Digest]bool{}
	for i := 0; i < len(documents); i++ { // it grows
		facts, err := tx.Facts(documents[i])
		if err != nil && !errdefs.IsNotFound(err) {
			t.Fatal(err)
		}
		for _, e := range facts.Edges {
			below = append(below, e.Desc.Digest)
			switch e.Role {
			case image.RoleLayer, image.RoleOpaque:
			case image.RoleConfig:
				described[e.Desc.Digest] = true
			default:
				if !document[e.Desc.Digest] {
					document[e.Desc.Digest] = true
					documents = append(documents, e.Desc.Digest)
				}
			}
		}
	}
	ask := func(d digest.Digest) {
		want, err := tx.Blob(d)
		got, gotErr := o.Blob(d)
		if got.Size != want.Size || got.Number != want.Number || errdefs.IsNotFound(err) != errdefs.IsNotFound(gotErr) || (err == nil) != (gotErr == nil) {
			t.Errorf("outline of %s: %s is %+v, %v; want %+v, %v", target, d, got, gotErr, want, err)
		}
		if !document[d] && !described[d] {
			return
		}
		facts, err := tx.Facts(d)
		gotFacts, gotErr := o.Facts(d)
		if !document[d] && image.IsDocument(facts.MediaType) { // its own config may not be below the target
			facts.Platform, facts.Created = gotFacts.Platform, gotFacts.Created
		}
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

// TestDamageBelowATarget: a record that is damaged is found by who reads it, and keeps nobody
// from writing something else.
func TestDamageBelowATarget(t *testing.T) {
	t.Parallel()
	g := newGraph(rand.New(rand.NewPCG(3, 4)), 3)
	p := newPlace(t)
	db := p.create(t, "db")
	name := func(of digest.Digest, tag string) catalog.PutName {
		return catalog.PutName{Record: store.Record{Name: "docker.io/library/x:" + tag, Target: ocispec.Descriptor{Digest: of}}}
	}
	var manifest, config digest.Digest
	for _, d := range g.order {
		do(t, db, g.put(d))
		if f := g.blobs[d]; manifest == "" && f != nil && f.Config != "" {
			manifest, config = d, f.Config
		}
	}
	do(t, db, name(manifest, "1"))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, filepath.Join(p.path, "db"), "blobs", config)
	db, err := catalog.Open(p.Root, "db", catalog.ReadWrite)
	if err != nil {
		t.Fatal("Open:", err)
	}
	do(t, db, name(manifest, "2"))
	view(t, db, func(tx *catalog.Tx) error {
		if _, err := tx.Outline(manifest); !errdefs.IsNotFound(err) {
			t.Errorf("outline of what is damaged: %v", err)
		}
		if _, err := tx.Blob(config); !catalog.IsDamaged(err) {
			t.Errorf("what is damaged: %v", err)
		}
		return nil
	})
	tx, err := db.Update()
	if err != nil {
		t.Fatal("Update:", err)
	}
	if err := errors.Join(tx.Do(g.put(config)), tx.Commit()); !catalog.IsDamaged(err) {
		t.Errorf("writing what is damaged: %v", err)
	}
	do(t, db, name(manifest, "3")) // what has failed has ended
	if err := db.Close(); err != nil {
		t.Error("Close:", err)
	}
}

// damage changes a record of a database that is closed.
func damage(t *testing.T, path, bucket string, d digest.Digest) {
	t.Helper()
	file, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	key, _ := codec.EncodeDigest(nil, d)
	err = file.Update(func(tx *bolt.Tx) error {
		value := slices.Clone(tx.Bucket([]byte(bucket)).Get(key))
		value[0] ^= 1
		return tx.Bucket([]byte(bucket)).Put(key, value)
	})
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestNoOutlineOfWhatIsLarge: to find that what is below a target is too large for an outline
// takes no more than that needs, however much it is.
func TestNoOutlineOfWhatIsLarge(t *testing.T) { // alone: it counts allocations
	db := newPlace(t).create(t, "db")
	g := &graph{blobs: map[digest.Digest]*store.Facts{}}
	list := &store.Facts{MediaType: ocispec.MediaTypeImageIndex}
	for i := range 5 {
		m := &store.Facts{MediaType: ocispec.MediaTypeImageManifest}
		for n := range 2000 {
			m.Edges = append(m.Edges, edge(image.RoleLayer, ocispec.MediaTypeImageLayerGzip, digest.FromString(fmt.Sprint(i, n))))
		}
		list.Edges = append(list.Edges, edge(image.RoleManifest, ocispec.MediaTypeImageManifest, g.add(fmt.Sprint("manifest", i), m)))
	}
	target := g.add("list", list)
	for _, d := range g.order {
		do(t, db, g.put(d))
	}
	tags := 0
	tag := func() {
		tags++
		do(t, db, catalog.PutName{Record: store.Record{Name: fmt.Sprint("docker.io/library/x:", tags), Target: ocispec.Descriptor{Digest: target}}})
	}
	tag()
	const most = 1000
	if n := testing.AllocsPerRun(2, tag); n > most {
		t.Errorf("a tag more of a list of %d manifests of 2000 layers each takes %v allocations; want %d at most", len(list.Edges), n, most)
	}
	view(t, db, func(tx *catalog.Tx) error {
		if _, err := tx.Outline(target); !errdefs.IsNotFound(err) {
			t.Errorf("outline of what is large: %v", err)
		}
		return nil
	})
}
