package storetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// lease returns a lease that is not over.
func (m *memory) lease(id string) (*memLease, error) {
	if l := m.leases[id]; l != nil && (!l.over() || m.is("leases do not expire")) {
		return l, nil
	}
	return nil, notFound("lease " + id)
}

func (m *memory) Lease(ctx context.Context, l store.Lease) (store.Lease, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return store.Lease{}, err
	}
	defer leave()
	if l.ID == "" {
		l.ID = rand.Text()
	}
	if _, err := m.lease(l.ID); err == nil {
		return store.Lease{}, fmt.Errorf("lease %s: %w", l.ID, errdefs.ErrAlreadyExists)
	}
	l.Created, l.Labels = time.Now(), maps.Clone(l.Labels)
	m.leases[l.ID] = &memLease{Lease: l, held: map[digest.Digest]bool{}}
	return l, nil
}

func (m *memory) Extend(ctx context.Context, id string, until time.Time) error {
	leave, err := m.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	l, err := m.lease(id)
	if err == nil {
		l.Until = until
	}
	return err
}

func (m *memory) Hold(ctx context.Context, id string, blobs ...digest.Digest) error {
	leave, err := m.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	l, err := m.lease(id)
	if err != nil {
		return err
	}
	for _, d := range blobs {
		if _, err := image.ParseDigest(string(d)); err != nil {
			return err
		}
		if m.blobs[d] != nil || !m.is("only what is there is held") {
			l.held[d] = true
		}
	}
	return nil
}

func (m *memory) Held(ctx context.Context, id string) ([]digest.Digest, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	l, err := m.lease(id)
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(l.held)), nil
}

func (m *memory) Release(ctx context.Context, id string) error {
	leave, err := m.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if _, err := m.lease(id); err != nil {
		return err
	}
	delete(m.leases, id)
	m.lost = true
	return nil
}

func (m *memory) Leases(ctx context.Context) ([]store.Lease, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var all []store.Lease
	for id := range m.leases {
		if l, err := m.lease(id); err == nil {
			all = append(all, l.Lease)
		}
	}
	slices.SortFunc(all, func(a, b store.Lease) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// sweep is how many blobs go in one step.
const sweep = 100

func (m *memory) Collect(ctx context.Context) (store.Collected, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return store.Collected{}, err
	}
	defer leave()
	var c store.Collected
	for id := range m.leases {
		if _, err := m.lease(id); err != nil {
			delete(m.leases, id)
			c.Leases++
			m.lost = true
		}
	}
	if !m.lost && !m.is("everything is examined") {
		return c, nil
	}
	needed := m.needed()
	for _, d := range m.digests() {
		c.Examined++
		if needed[d] || m.is("nothing is collected") {
			continue
		}
		if c.Blobs == sweep {
			c.More = true
			return c, nil
		}
		c.Blobs++
		c.Bytes += m.blobs[d].size
		if m.is("bytes are not counted") {
			c.Bytes = 0
		}
		delete(m.blobs, d)
	}
	m.lost = false
	return c, nil
}

// needed returns what must stay.
func (m *memory) needed() map[digest.Digest]bool {
	needed := map[digest.Digest]bool{}
	for _, rec := range m.names {
		m.need(needed, rec.Target.Digest)
	}
	for _, l := range m.leases {
		for d := range l.held {
			m.need(needed, d)
		}
	}
	for b := range m.batches {
		for d := range b.wants {
			if !m.is("batches hold nothing") {
				m.need(needed, d)
			}
		}
	}
	for d, n := range m.readers {
		if n > 0 && !m.is("readers hold nothing") {
			m.need(needed, d)
		}
	}
	for more := true; more; { // what refers to what stays
		before := len(needed)
		for d, blob := range m.blobs {
			if blob.facts != nil && needed[blob.facts.Subject] && !m.is("referrers go") {
				m.need(needed, d)
			}
		}
		more = len(needed) > before
	}
	return needed
}

// need marks a blob and what is below it.
func (m *memory) need(needed map[digest.Digest]bool, d digest.Digest) {
	blob := m.blobs[d]
	if blob == nil || needed[d] {
		return
	}
	needed[d] = true
	if blob.facts == nil {
		return
	}
	for _, e := range blob.facts.Edges {
		if !image.IsList(blob.facts.MediaType) || !m.is("lists hold nothing") {
			m.need(needed, e.Desc.Digest)
		}
	}
}
