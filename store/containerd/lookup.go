package containerd

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/store"
)

// View calls f with the names as the index has them: those of this store's own moves,
// and of others' as far as the daemon has told of them. It fails with ErrUnavailable
// while the daemon is lost.
func (s *Store) View(ctx context.Context, f func(store.NameReader) error) error {
	if err := s.fresh.wait(ctx); err != nil {
		return err
	}
	s.index.mu.RLock()
	defer s.index.mu.RUnlock()
	return f(names{s, ctx})
}

// names looks names up in the index, of which the caller holds the lock.
type names struct {
	s   *Store
	ctx context.Context //nolint:containedctx // of the View
}

// copied returns a record that the caller may change.
func copied(e *entry) store.Record {
	r := e.Record
	r.Labels = maps.Clone(r.Labels)
	return r
}

// sorted returns the records of some keys.
func (n names) sorted(of keys) []store.Record {
	all := make([]store.Record, 0, len(of))
	for _, key := range slices.SortedFunc(maps.Keys(of), byOrder) {
		all = append(all, copied(n.s.index.records[key]))
	}
	return all
}

func (n names) Get(name string) (store.Record, error) {
	if e := n.s.index.records[name]; e != nil && !e.Dangling() {
		return copied(e), nil
	}
	return store.Record{}, fmt.Errorf("name %s: %w", strictjson.Quote(name), errdefs.ErrNotFound)
}

func (n names) Target(d digest.Digest) ([]store.Record, error) {
	return n.sorted(n.s.index.targets[d]), nil
}

func (n names) Containing(d digest.Digest) ([]store.Record, error) {
	return n.sorted(n.s.index.containing[d]), nil
}

// maxPrefix is how many characters of a digest can be looked for.
const maxPrefix = 64

func (n names) Prefix(prefix string, limit int) ([]digest.Digest, error) {
	_, err := hex.DecodeString(prefix + "0"[:len(prefix)%2])
	if err != nil || prefix == "" || len(prefix) > maxPrefix || strings.ToLower(prefix) != prefix {
		return nil, fmt.Errorf("%s does not begin a digest: %w", strictjson.Quote(prefix), errdefs.ErrInvalidArgument)
	}
	found := []digest.Digest{}
	for _, algorithm := range slices.Sorted(maps.Keys(n.s.index.digests)) {
		all, begin := n.s.index.digests[algorithm], algorithm.String()+":"+prefix
		i, _ := slices.BinarySearch(all, digest.Digest(begin))
		for ; i < len(all) && strings.HasPrefix(all[i].String(), begin) && (limit <= 0 || len(found) < limit); i++ {
			found = append(found, all[i])
		}
	}
	return found, nil
}

func (n names) Repository(name string) ([]store.Record, error) {
	return n.sorted(n.s.index.repository[name]), nil
}

func (n names) Children(config digest.Digest) ([]digest.Digest, error) {
	var there []digest.Digest
	for _, d := range n.s.docs.children(config) {
		_, err := n.Blob(d)
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		there = append(there, d)
	}
	slices.Sort(there)
	return there, nil
}

// Referrers asks the daemon for the label that a document with a subject is written
// with; what another client wrote without it is not found.
func (n names) Referrers(subject digest.Digest) ([]digest.Digest, error) {
	if _, err := image.ParseDigest(subject.String()); err != nil {
		return nil, err
	}
	return n.s.referrers(n.ctx, subject)
}

// referrers is that of NameReader.
func (s *Store) referrers(ctx context.Context, subject digest.Digest) ([]digest.Digest, error) {
	found := []digest.Digest{}
	filter := fmt.Sprintf("labels.%q==%q", labelSubject, subject)
	err := s.list(ctx, func(info *contentapi.Info) error {
		if !s.isDamaged(info) {
			found = append(found, digest.Digest(info.GetDigest()))
		}
		return nil
	}, filter)
	if err != nil {
		return nil, err
	}
	slices.Sort(found)
	return found, nil
}

func (n names) List(after string, limit int) ([]store.Record, error) {
	order := n.s.index.order
	i, found := slices.BinarySearchFunc(order, after, byOrder)
	if found {
		i++
	}
	order = order[i:]
	if limit > 0 && limit < len(order) {
		order = order[:limit]
	}
	all := make([]store.Record, 0, len(order))
	for _, key := range order {
		all = append(all, copied(n.s.index.records[key]))
	}
	return all, nil
}

func (n names) Blob(d digest.Digest) (store.Blob, error) { return n.s.Stat(n.ctx, d) }

func (n names) Facts(d digest.Digest) (store.Facts, error) { return n.s.Facts(n.ctx, d) }
