package catalog_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

// place is a directory with a database.
type place struct {
	*os.Root
	path string
}

func newPlace(t testing.TB) place {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return place{root, dir}
}

func (p place) create(t testing.TB, name string) *catalog.DB {
	t.Helper()
	db, err := catalog.Create(p.Root, name, catalog.Scratch)
	if err != nil {
		t.Fatal("Create:", err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// update runs f in a transaction and returns its log.
func update(t testing.TB, db *catalog.DB, f func(*catalog.Tx) error) []byte {
	t.Helper()
	tx, err := db.Update()
	if err != nil {
		t.Fatal("Update:", err)
	}
	defer tx.Rollback()
	if err := f(tx); err != nil {
		t.Fatal(err)
	}
	log := tx.Log()
	if err := tx.Commit(); err != nil {
		t.Fatal("Commit:", err)
	}
	return log
}

func do(t testing.TB, db *catalog.DB, changes ...catalog.Change) []byte {
	t.Helper()
	return update(t, db, func(tx *catalog.Tx) error {
		for _, c := range changes {
			if err := tx.Do(c); err != nil {
				return err
			}
		}
		return nil
	})
}

func view(t testing.TB, db *catalog.DB, f func(*catalog.Tx) error) {
	t.Helper()
	if err := db.View(f); err != nil {
		t.Error("View:", err)
	}
}

func epoch() time.Time { return time.Date(2026, 11, 22, 1, 2, 3, 4, time.UTC) }

// graph is a made-up set of documents: lists of manifests with a config and layers,
// which share what is below them, and some of which refer to others.
type graph struct {
	blobs map[digest.Digest]*store.Facts // nil for a layer
	order []digest.Digest
	bytes uint64 // the last number of some
}

func (g *graph) add(name string, f *store.Facts) digest.Digest {
	alg := digest.SHA256
	if len(g.order)%7 == 0 {
		alg = digest.SHA512
	}
	d := alg.FromString(name)
	g.blobs[d] = f
	g.order = append(g.order, d)
	return d
}

// newGraph makes a graph of so many manifests.
func newGraph(r *rand.Rand, n int) *graph {
	g := &graph{blobs: map[digest.Digest]*store.Facts{}}
	pick := func(from []digest.Digest) digest.Digest { return from[r.IntN(len(from))] }
	var layers, configs, manifests []digest.Digest
	for i := range n {
		layers = append(layers, g.add(fmt.Sprint("layer", i), nil))
		config := &store.Facts{MediaType: ocispec.MediaTypeImageConfig, Platform: &ocispec.Platform{OS: "linux", Architecture: fmt.Sprint(i)}, Created: epoch()}
		if i > 0 {
			config.Parent = pick(configs)
		}
		configs = append(configs, g.add(fmt.Sprint("config", i), config))
	}
	for i := range n {
		m := &store.Facts{MediaType: ocispec.MediaTypeImageManifest, Config: pick(configs)}
		m.Edges = append(m.Edges, edge(image.RoleConfig, ocispec.MediaTypeImageConfig, m.Config))
		for range 1 + r.IntN(3) {
			m.Edges = append(m.Edges, edge(image.RoleLayer, ocispec.MediaTypeImageLayerGzip, pick(layers)))
		}
		if i > 0 && r.IntN(3) == 0 { // by others it is known for what it is
			m.Edges = append(m.Edges, edge(image.RoleLayer, ocispec.MediaTypeImageLayerGzip, pick(manifests)))
		}
		if i > 0 && r.IntN(3) == 0 {
			m.Subject = pick(manifests)
		}
		manifests = append(manifests, g.add(fmt.Sprint("manifest", i), m))
	}
	for i := range n / 2 {
		l := &store.Facts{MediaType: ocispec.MediaTypeImageIndex}
		for range 1 + r.IntN(3) {
			l.Edges = append(l.Edges, edge(image.RoleManifest, ocispec.MediaTypeImageManifest, pick(manifests)))
		}
		if r.IntN(2) == 0 { // where nobody looks into them
			role := []image.Role{image.RoleOpaque, image.RoleConfig}[r.IntN(2)]
			l.Edges = append(l.Edges, edge(role, "application/vnd.example.bundle", pick(manifests)))
		}
		if r.IntN(4) == 0 { // a circle
			l.Subject = l.Edges[0].Desc.Digest
		}
		manifests = append(manifests, g.add(fmt.Sprint("list", i), l))
	}
	return g
}

// newNest makes a graph of so many lists, which call those before them all that there is: a
// list may be below another one in several ways.
func newNest(r *rand.Rand, n int) *graph {
	g := &graph{blobs: map[digest.Digest]*store.Facts{}}
	for i := range n {
		l := &store.Facts{MediaType: ocispec.MediaTypeImageIndex}
		for range r.IntN(1 + 2*i) {
			child := g.order[r.IntN(i)]
			l.Edges = append(l.Edges, []image.Edge{
				edge(image.RoleIndex, ocispec.MediaTypeImageIndex, child),
				edge(image.RoleConfig, ocispec.MediaTypeImageConfig, child),
				edge(image.RoleLayer, ocispec.MediaTypeImageLayerGzip, child),
			}[r.IntN(3)])
		}
		g.add(fmt.Sprint("nest", i), l)
	}
	return g
}

func edge(role image.Role, mediaType string, d digest.Digest) image.Edge {
	return image.Edge{Role: role, Desc: ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: 10}}
}

// put returns the change that makes a blob of the graph visible.
func (g *graph) put(d digest.Digest) catalog.PutBlob {
	g.bytes++
	c := catalog.PutBlob{Digest: d, Created: epoch(), Bytes: []byte(d), Size: int64(len(d)), Number: g.bytes, Facts: g.blobs[d]}
	if c.Facts == nil {
		c.Number, c.Bytes, c.Size = 0, nil, 1<<20
	}
	return c
}

// below returns the digests of the graph below a root that are found by
// store.NameReader.Containing, of documents that are visible.
func (g *graph) below(root digest.Digest, visible map[digest.Digest]bool) map[digest.Digest]bool {
	found, document := map[digest.Digest]bool{root: true}, map[digest.Digest]bool{root: true}
	for todo := []digest.Digest{root}; len(todo) > 0; {
		d := todo[0]
		todo = todo[1:]
		f := g.blobs[d]
		if f == nil || !visible[d] {
			continue
		}
		for _, e := range f.Edges {
			switch child := e.Desc.Digest; {
			case e.Role == image.RoleLayer, e.Role == image.RoleOpaque:
			case e.Role == image.RoleConfig:
				found[child] = found[child] || catalog.IsImageConfig(e.Desc.MediaType) && visible[child]
			case !document[child]:
				found[child], document[child] = true, true
				todo = append(todo, child)
			}
		}
	}
	return found
}
