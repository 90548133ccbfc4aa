package containerd

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/store"
)

// TestIndex changes an index at random, and compares what it finds with what is found
// by looking at everything.
func TestIndex(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	digests := make([]digest.Digest, 20)
	for i := range digests {
		digests[i] = []digest.Algorithm{digest.SHA256, digest.SHA512}[i%2].FromString(fmt.Sprint(i))
	}
	some := func() digest.Digest { return digests[rng.IntN(len(digests))] }
	s := &Store{index: newIndex()}
	all := map[string]*entry{}
	for range 3000 {
		changes := map[string]*entry{}
		for range rng.IntN(4) {
			e := &entry{Record: store.Record{Target: ocispec.Descriptor{Digest: some()}}}
			if rng.IntN(4) > 0 {
				e.Name = fmt.Sprintf("%d.example/a%d:%d", rng.IntN(3), rng.IntN(3), rng.IntN(3))
			}
			e.ids = []digest.Digest{e.Target.Digest}
			for range rng.IntN(4) {
				if d := some(); !slices.Contains(e.ids, d) {
					e.ids = append(e.ids, d)
				}
			}
			changes[e.Key()] = e
			if rng.IntN(3) == 0 {
				changes[e.Key()] = nil
			}
		}
		for key, e := range changes {
			if all[key] = e; e == nil {
				delete(all, key)
			}
		}
		if s.index.change(changes); rng.IntN(50) == 0 {
			s.index.replace(slices.Collect(maps.Values(all)))
		}
		compare(t, names{s: s}, all, some(), rng.IntN(5))
	}
}

// compare looks up what the index has about a digest, and a page of it.
func compare(t *testing.T, n names, all map[string]*entry, d digest.Digest, limit int) {
	t.Helper()
	order := slices.SortedFunc(maps.Keys(all), byOrder)
	where := func(wanted func(e *entry) bool) []string {
		found := []string{}
		for _, key := range order {
			if wanted(all[key]) {
				found = append(found, key)
			}
		}
		return found
	}
	keysOf := func(records []store.Record, err error) []string {
		found := []string{}
		for _, r := range records {
			found = append(found, r.Key())
		}
		if err != nil {
			t.Error(err)
		}
		return found
	}
	after, begin := "0.example/a1:1", d.Encoded()[:1+limit]
	page := where(func(e *entry) bool { return orderOf(e.Key()) > after })
	if limit > 0 {
		page = page[:min(limit, len(page))]
	}
	var prefixed []digest.Digest
	for _, e := range all {
		for _, id := range e.ids {
			if strings.HasPrefix(id.Encoded(), begin) {
				prefixed = append(prefixed, id)
			}
		}
	}
	slices.Sort(prefixed)
	prefixed = slices.Compact(prefixed)
	found, err := n.Prefix(begin, 0)
	if err != nil {
		t.Error(err)
	}
	for what, diff := range map[string]string{
		"Target":     cmp.Diff(where(func(e *entry) bool { return e.Target.Digest == d }), keysOf(n.Target(d))),
		"Containing": cmp.Diff(where(func(e *entry) bool { return slices.Contains(e.ids, d) }), keysOf(n.Containing(d))),
		"Repository": cmp.Diff(where(func(e *entry) bool { return strings.HasPrefix(e.Name, "1.example/a1:") }), keysOf(n.Repository("1.example/a1"))),
		"List":       cmp.Diff(page, keysOf(n.List(after, limit))),
		"Prefix":     cmp.Diff(append([]digest.Digest{}, prefixed...), found),
	} {
		if diff != "" {
			t.Fatalf("%s, - wanted + found:\n%s", what, diff)
		}
	}
}
