package catalog_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

// model is what a database should have, in plain maps.
type model struct {
	g       *graph
	visible map[digest.Digest]bool
	names   map[string]store.Record
	leases  map[string]uint64
	holds   map[uint64]map[digest.Digest]bool
	last    uint64
	parts   uint64 // the last of a hold
}

func newModel(g *graph) *model {
	return &model{
		g: g, visible: map[digest.Digest]bool{}, names: map[string]store.Record{},
		leases: map[string]uint64{}, holds: map[uint64]map[digest.Digest]bool{},
	}
}

// random returns a random change, and makes it in the model.
func (m *model) random(r *rand.Rand) catalog.Change {
	d := m.g.order[r.IntN(len(m.g.order))]
	name := fmt.Sprintf("docker.io/library/%c:%d", 'a'+r.IntN(3), r.IntN(3))
	if r.IntN(4) == 0 {
		name = "@" + string(d)
	}
	switch r.IntN(10) {
	case 0, 1, 2, 3:
		m.visible[d] = true
		return m.g.put(d)
	case 4:
		delete(m.visible, d)
		return catalog.DropBlob{Digest: d}
	case 5, 6:
		record := store.Record{Target: ocispec.Descriptor{MediaType: "a/b", Digest: d, Size: 1}, Created: epoch(), Updated: epoch().Add(time.Hour)}
		if name[0] != '@' {
			record.Name, record.Labels = name, map[string]string{"who": fmt.Sprint(r.IntN(5))}
		}
		if old, there := m.names[name]; there && r.IntN(2) == 0 {
			record.Target = old.Target // and only the labels change
		}
		m.names[name] = record
		return catalog.PutName{Record: record}
	case 7:
		delete(m.names, name)
		return catalog.DropName{Key: name}
	case 8:
		id := fmt.Sprint("lease", r.IntN(3))
		if n, there := m.leases[id]; there {
			delete(m.leases, id)
			delete(m.holds, n)
			return catalog.DropLease{ID: id}
		}
		m.last++
		m.leases[id] = m.last
		return catalog.PutLease{Lease: catalog.Lease{Lease: store.Lease{ID: id, Created: epoch()}, Number: m.last}}
	}
	for _, n := range m.leases {
		if m.holds[n] == nil {
			m.holds[n] = map[digest.Digest]bool{}
		}
		m.holds[n][d] = true
		m.parts++
		return catalog.Hold{Number: n, Part: m.parts, Digests: []digest.Digest{d}}
	}
	m.visible[d] = true
	return m.g.put(d)
}

// rooted returns the visible blobs that are below names and leases, or whose subject
// is.
func (m *model) rooted() map[digest.Digest]bool {
	found := map[digest.Digest]bool{}
	var todo []digest.Digest
	reach := func(d digest.Digest) {
		if m.visible[d] && !found[d] {
			found[d] = true
			todo = append(todo, d)
		}
	}
	for _, r := range m.names {
		reach(r.Target.Digest)
	}
	for _, held := range m.holds {
		for d := range held {
			reach(d)
		}
	}
	for len(todo) > 0 {
		d := todo[0]
		todo = todo[1:]
		if f := m.g.blobs[d]; f != nil {
			for _, e := range f.Edges {
				reach(e.Desc.Digest)
			}
		}
		for referrer, f := range m.g.blobs {
			if f != nil && f.Subject == d {
				reach(referrer)
			}
		}
	}
	return found
}

func sorted[M ~map[digest.Digest]bool](m M) []digest.Digest { return slices.Sorted(maps.Keys(m)) }

// check compares all lookups with the model.
func (m *model) check(t *testing.T, tx *catalog.Tx) {
	t.Helper()
	same := func(what string, want, got any, err error) {
		t.Helper()
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("%s: %v, - wanted + got:\n%s", what, err, diff)
		}
	}
	below := map[digest.Digest]map[digest.Digest]bool{}
	for _, r := range m.names {
		below[r.Target.Digest] = m.g.below(r.Target.Digest, m.visible)
	}
	contained := map[digest.Digest]bool{}
	for _, d := range m.g.order {
		var targets, containing []store.Record
		for _, r := range m.names {
			if r.Target.Digest == d {
				targets = append(targets, r)
			}
			if below[r.Target.Digest][d] {
				containing = append(containing, r)
				contained[d] = true
			}
		}
		all, err := tx.Target(d)
		same("Target", ordered(targets), all, err)
		all, err = tx.Containing(d)
		same("Containing", ordered(containing), ordered(all), err)
		var children []digest.Digest
		for child, f := range m.g.blobs {
			if f != nil && f.Parent == d && m.visible[child] {
				children = append(children, child)
			}
		}
		slices.Sort(children)
		got, err := tx.Children(d)
		same("Children", children, got, err)
	}
	for _, hex := range []string{"0", "1a", "f", "7", "ab", "c0"} {
		var want []digest.Digest
		for _, d := range sorted(contained) {
			if strings.HasPrefix(d.Encoded(), hex) {
				want = append(want, d)
			}
		}
		got, err := tx.Prefix(hex, 0)
		same("Prefix "+hex, want, got, err)
	}
	for target := range below {
		if _, err := tx.Outline(target); errdefs.IsNotFound(err) && tx.Touched() > 0 {
			continue
		}
		wantOutline(t, tx, target)
	}
	all, err := tx.List("", 0)
	same("List", ordered(slices.Collect(maps.Values(m.names))), all, err)
	visible, _, err := tx.Walk("", 1000)
	same("Walk", sorted(m.visible), visible, err)
}

// ordered puts records in the order of their keys, dangling ones first.
func ordered(all []store.Record) []store.Record {
	slices.SortFunc(all, func(a, b store.Record) int {
		if (a.Name == "") != (b.Name == "") {
			return strings.Compare(a.Name, b.Name)
		}
		return strings.Compare(a.Key(), b.Key())
	})
	return all
}

// collect removes what nobody needs, in the way of the store.
func collect(t *testing.T, tx *catalog.Tx) {
	t.Helper()
	for more := true; more; {
		var err error
		if _, more, err = tx.Drain(3); err != nil {
			t.Fatal("Drain:", err)
		}
	}
	nobody := func(digest.Digest) bool { return false }
	for {
		suspects, err := tx.Suspects("", 5)
		if err == nil && len(suspects) == 0 {
			suspects, err = fresh(tx)
		}
		if err != nil {
			t.Fatal("Suspects:", err)
		}
		if len(suspects) == 0 {
			return
		}
		for _, d := range suspects {
			needed, err := tx.Needed(d, nobody)
			if err == nil && needed {
				err = tx.Clear(d)
			} else if err == nil {
				err = tx.Do(catalog.DropBlob{Digest: d})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// redraw draws some of what is stale, and demands that nothing is when it says so.
func redraw(t *testing.T, tx *catalog.Tx, limit int) error {
	t.Helper()
	_, more, err := tx.Redraw(limit)
	if n := tx.Touched(); n > 0 && !more {
		t.Errorf("%d blobs are still touched", n)
	}
	return err
}

// fresh returns a blob that has come to be a suspect in a transaction, if there is one.
func fresh(tx *catalog.Tx) ([]digest.Digest, error) {
	d, err := tx.Orphan()
	if err == nil && d == "" {
		d = tx.Doubtful()
	}
	if d == "" {
		return nil, err
	}
	return []digest.Digest{d}, err
}

// TestIndexFollowsTheChanges makes random changes and compares all lookups with a model,
// what is collected with what the model does not reach, and the database with one that
// is made from the log.
func TestIndexFollowsTheChanges(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	p := newPlace(t)
	for round := range 6 {
		db, again := p.create(t, fmt.Sprint("db", round)), p.create(t, fmt.Sprint("again", round))
		if round > 1 {
			db.SetManyRoots(1 + r.IntN(4))
		}
		m := newModel(newNest(r, 8))
		if round%2 == 0 {
			m = newModel(newGraph(r, 8))
		}
		for range 40 {
			var changes []catalog.Change
			for range 1 + r.IntN(6) {
				changes = append(changes, m.random(r))
			}
			log := do(t, db, changes...)
			update(t, again, func(tx *catalog.Tx) error { return tx.Replay(log) })
			view(t, db, func(tx *catalog.Tx) error { m.check(t, tx); return nil })
			if r.IntN(8) == 0 {
				m.visible = m.rooted()
				log := update(t, db, func(tx *catalog.Tx) error { collect(t, tx); return nil })
				update(t, again, func(tx *catalog.Tx) error { return tx.Replay(log) })
				view(t, db, func(tx *catalog.Tx) error { m.check(t, tx); return nil })
			}
			if r.IntN(3) == 0 {
				update(t, db, func(tx *catalog.Tx) error { return redraw(t, tx, 1+r.IntN(10)) })
			}
			wantSame(t, db, again)
			if t.Failed() {
				return
			}
		}
	}
}

// wantSame checks that two databases have the same.
func wantSame(t *testing.T, db, want *catalog.DB) {
	t.Helper()
	view(t, db, func(tx *catalog.Tx) error {
		return want.View(func(w *catalog.Tx) error {
			return tx.Compare(t.Context(), w, func(d catalog.Difference) error { t.Error(d); return nil })
		})
	})
}
