package storetest

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/store"
)

func (m *memory) Move(ctx context.Context, moves ...store.Move) ([]store.Moved, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return m.move(moves)
}

// move moves names in a copy, which takes the place of the names when all has gone
// well.
func (m *memory) move(moves []store.Move) ([]store.Moved, error) {
	names := maps.Clone(m.names)
	var moved []store.Moved
	for i, mv := range moves {
		if slices.ContainsFunc(moves[:i], func(other store.Move) bool { return other.Name == mv.Name }) {
			return nil, fmt.Errorf("%s is moved twice: %w", mv.Name, errdefs.ErrInvalidArgument)
		}
		if err := m.checkMove(mv); err != nil {
			return nil, err
		}
		before, was := names[mv.Name]
		if c := mv.If; (c.Absent && was || c.Digest != "" && c.Digest != before.Target.Digest) && !m.is("conditions are not looked at") {
			return nil, fmt.Errorf("%s: %w", mv.Name, errdefs.ErrFailedPrecondition)
		}
		next := store.Record{Name: mv.Name, Target: target(mv.To), Labels: maps.Clone(mv.Labels), Created: time.Now(), Updated: time.Now()}
		if strings.HasPrefix(mv.Name, "@") {
			next.Name = ""
		}
		if was {
			next.Created = before.Created
			if mv.Labels == nil {
				next.Labels = before.Labels
			}
		}
		if names[mv.Name] = next; mv.To.Digest == "" {
			delete(names, mv.Name)
		}
		if m.is("names move one by one") {
			m.names = maps.Clone(names)
		}
		moved = append(moved, store.Moved{Before: before})
	}
	m.dangle(names, moves, moved)
	m.names, m.lost = names, true
	return moved, nil
}

// checkMove checks what a move says by itself.
func (m *memory) checkMove(mv store.Move) error {
	d, dangling := strings.CutPrefix(mv.Name, "@")
	if dangling {
		if _, err := image.ParseDigest(d); err != nil {
			return err
		}
	} else if r, err := ref.Parse(mv.Name); !m.is("any name is one") && (err != nil || r.IsNameOnly() || r.String() != mv.Name) {
		return fmt.Errorf("name %.256q: %w", mv.Name, errdefs.ErrInvalidArgument)
	}
	if mv.To.Digest == "" && mv.To.MediaType == "" && mv.To.Size == 0 {
		return nil
	}
	if dangling && mv.To.Digest != digest.Digest(d) {
		return fmt.Errorf("%s of %s: %w", mv.Name, mv.To.Digest, errdefs.ErrInvalidArgument)
	}
	blob, err := m.visible(mv.To.Digest)
	if err != nil {
		return err
	}
	if blob.facts == nil || !image.IsDocument(blob.facts.MediaType) || blob.facts.MediaType != mv.To.MediaType || blob.size != mv.To.Size {
		return fmt.Errorf("%s is no such document: %w", mv.To.Digest, errdefs.ErrInvalidArgument)
	}
	return nil
}

// dangle makes dangling records of what names pointed at, and removes those of what
// names point at now.
func (m *memory) dangle(names map[string]store.Record, moves []store.Move, moved []store.Moved) {
	named := map[digest.Digest]bool{}
	for _, rec := range names {
		if rec.Name != "" {
			named[rec.Target.Digest] = true
		}
	}
	for i, mv := range moves {
		before := moved[i].Before
		if before.Name == "" || mv.Forget || named[before.Target.Digest] || m.is("nothing dangles") {
			continue
		}
		rec := store.Record{Target: before.Target, Labels: before.Labels, Created: time.Now(), Updated: time.Now()}
		if _, there := names[rec.Key()]; !there {
			names[rec.Key()] = rec
		}
	}
	maps.DeleteFunc(names, func(_ string, rec store.Record) bool {
		return rec.Name == "" && named[rec.Target.Digest] && !m.is("what dangles stays")
	})
	for i := range moved {
		before := moved[i].Before
		_, moved[i].Dangling = names["@"+before.Target.Digest.String()]
		moved[i].Dangling = moved[i].Dangling && before.Name != ""
	}
}

func (m *memory) View(ctx context.Context, f func(store.NameReader) error) error {
	leave, err := m.enter(ctx)
	if err != nil {
		return err
	}
	if m.is("a view is of many moments") {
		leave()
		return f(manyMoments{m})
	}
	defer leave()
	return f(memNames{m})
}

// memNames looks names up by looking at all of them.
type memNames struct{ m *memory }

// sorted returns the records that are wanted, in the order of List.
func (n memNames) sorted(wanted func(store.Record) bool) ([]store.Record, error) {
	all := []store.Record{}
	for _, rec := range n.m.names {
		if wanted(rec) {
			all = append(all, rec)
		}
	}
	slices.SortFunc(all, func(a, b store.Record) int { return strings.Compare(n.order(a.Key()), n.order(b.Key())) })
	return all, nil
}

// order returns what sorts as keys should: what dangles first.
func (n memNames) order(key string) string {
	if strings.HasPrefix(key, "@") && !n.m.is("dangling records are sorted as names") {
		return "\x00" + key
	}
	return key
}

func (n memNames) Get(name string) (store.Record, error) {
	if rec, ok := n.m.names[name]; ok && rec.Name != "" {
		return rec, nil
	}
	return store.Record{}, notFound(name)
}

func (n memNames) Target(d digest.Digest) ([]store.Record, error) {
	return n.sorted(func(rec store.Record) bool { return rec.Target.Digest == d })
}

func (n memNames) Containing(d digest.Digest) ([]store.Record, error) {
	return n.sorted(func(rec store.Record) bool { return n.m.ids(rec.Target.Digest)[d] })
}

// ids returns the digests of the lists, manifests and image configs of a graph.
func (m *memory) ids(root digest.Digest) map[digest.Digest]bool {
	found := map[digest.Digest]bool{root: true}
	facts, err := m.factsOf(root)
	if err != nil {
		return found
	}
	for _, e := range facts.Edges {
		below := m.blobs[e.Desc.Digest]
		switch {
		case e.Role == image.RoleLayer && !m.is("layers are IDs"), e.Role == image.RoleOpaque:
		case e.Role == image.RoleConfig && (below == nil || below.facts == nil):
		case below == nil && m.is("absent platforms are not IDs"):
		default:
			maps.Copy(found, m.ids(e.Desc.Digest))
		}
	}
	return found
}

func (n memNames) Prefix(prefix string, limit int) ([]digest.Digest, error) {
	if _, err := hex.DecodeString(prefix + strings.Repeat("0", len(prefix)%2)); err != nil || prefix == "" || len(prefix) > 64 || strings.ToLower(prefix) != prefix {
		return nil, fmt.Errorf("prefix %q: %w", prefix, errdefs.ErrInvalidArgument)
	}
	if n.m.is("prefixes are of whole bytes") {
		prefix = prefix[:len(prefix)/2*2]
	}
	var found []digest.Digest
	for _, rec := range n.m.names {
		for d := range n.m.ids(rec.Target.Digest) {
			if strings.HasPrefix(d.Encoded(), prefix) {
				found = append(found, d)
			}
		}
	}
	slices.Sort(found)
	if found = slices.Compact(found); limit > 0 && len(found) > limit {
		found = found[:limit]
	}
	return found, nil
}

func (n memNames) Repository(name string) ([]store.Record, error) {
	return n.sorted(func(rec store.Record) bool {
		r, err := ref.Parse(rec.Name)
		return rec.Name != "" && err == nil && (r.Name() == name || n.m.is("repositories are prefixes") && strings.HasPrefix(r.Name(), name))
	})
}

func (n memNames) Children(config digest.Digest) ([]digest.Digest, error) {
	var found []digest.Digest
	for d, b := range n.m.blobs {
		if b.facts != nil && b.facts.Parent == config {
			found = append(found, d)
		}
	}
	return found, nil
}

func (n memNames) Referrers(subject digest.Digest) ([]digest.Digest, error) {
	if _, err := image.ParseDigest(string(subject)); err != nil {
		return nil, err
	}
	found := []digest.Digest{}
	for d, b := range n.m.blobs {
		there := n.m.blobs[subject] != nil
		if b.facts != nil && b.facts.Subject == subject && (there || !n.m.is("only what is there has referrers")) {
			found = append(found, d)
		}
	}
	slices.Sort(found)
	return found, nil
}

func (n memNames) List(after string, limit int) ([]store.Record, error) {
	all, err := n.sorted(func(rec store.Record) bool { return n.order(rec.Key()) > n.order(after) })
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	return all, err
}

func (n memNames) Blob(d digest.Digest) (store.Blob, error)   { return n.m.stat(d) }
func (n memNames) Facts(d digest.Digest) (store.Facts, error) { return n.m.factsOf(d) }

// manyMoments looks up each time what there is then.
type manyMoments struct{ m *memory }

func (n manyMoments) now() (memNames, func()) {
	n.m.mu.Lock()
	return memNames(n), n.m.mu.Unlock
}

func (n manyMoments) Get(name string) (store.Record, error) {
	now, done := n.now()
	defer done()
	return now.Get(name)
}

func (n manyMoments) Target(d digest.Digest) ([]store.Record, error) {
	now, done := n.now()
	defer done()
	return now.Target(d)
}

func (n manyMoments) Containing(d digest.Digest) ([]store.Record, error) {
	now, done := n.now()
	defer done()
	return now.Containing(d)
}

func (n manyMoments) Prefix(prefix string, limit int) ([]digest.Digest, error) {
	now, done := n.now()
	defer done()
	return now.Prefix(prefix, limit)
}

func (n manyMoments) Repository(name string) ([]store.Record, error) {
	now, done := n.now()
	defer done()
	return now.Repository(name)
}

func (n manyMoments) Children(config digest.Digest) ([]digest.Digest, error) {
	now, done := n.now()
	defer done()
	return now.Children(config)
}

func (n manyMoments) Referrers(subject digest.Digest) ([]digest.Digest, error) {
	now, done := n.now()
	defer done()
	return now.Referrers(subject)
}

func (n manyMoments) List(after string, limit int) ([]store.Record, error) {
	now, done := n.now()
	defer done()
	return now.List(after, limit)
}

func (n manyMoments) Blob(d digest.Digest) (store.Blob, error) {
	now, done := n.now()
	defer done()
	return now.Blob(d)
}

func (n manyMoments) Facts(d digest.Digest) (store.Facts, error) {
	now, done := n.now()
	defer done()
	return now.Facts(d)
}
