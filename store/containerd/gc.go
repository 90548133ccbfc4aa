package containerd

import (
	"context"
	"crypto/rand"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
)

// Collect has containerd collect, in one step and under its own lock. What it counts is
// what was there before and is not after, whoever was collecting.
func (s *Store) Collect(ctx context.Context) (store.Collected, error) {
	release, err := s.sweeping.take(ctx)
	if err != nil {
		return store.Collected{}, err
	}
	defer release()
	before, err := s.snapshot(ctx)
	if err != nil {
		return store.Collected{}, err
	}
	if err := s.endLeases(ctx); err != nil {
		return store.Collected{}, err
	}
	began := time.Now()
	if err := s.collect(ctx); err != nil {
		return store.Collected{}, err
	}
	c := store.Collected{Examined: len(before.blobs) + before.over + len(before.partial), Leases: before.over, Longest: time.Since(began)}
	after, err := s.snapshot(ctx)
	if err != nil {
		return c, err
	}
	var gone []digest.Digest
	for d, size := range before.blobs {
		if _, stays := after.blobs[d]; !stays {
			s.docs.forget(d)
			gone = append(gone, d)
			c.Blobs++
			c.Bytes += size
		}
	}
	for ref := range before.partial {
		if _, stays := after.partial[ref]; !stays {
			c.Partial++
		}
	}
	return c, s.lookAbove(ctx, gone...) // containerd tells nobody
}

// snapshot is what a collection may take.
type snapshot struct {
	blobs   map[digest.Digest]int64
	partial map[string]struct{}
	over    int // leases
}

func (s *Store) snapshot(ctx context.Context) (snapshot, error) {
	found := snapshot{blobs: map[digest.Digest]int64{}, partial: map[string]struct{}{}}
	err := s.list(ctx, func(info *contentapi.Info) error {
		found.blobs[digest.Digest(info.GetDigest())] = info.GetSize()
		return nil
	})
	if err != nil {
		return found, err
	}
	statuses, err := s.statuses(ctx)
	if err != nil {
		return found, err
	}
	for _, status := range statuses {
		found.partial[status.GetRef()] = struct{}{}
	}
	leases, err := s.listLeases(ctx)
	for _, l := range leases {
		if l.over {
			found.over++
		}
	}
	return found, err
}

// endLeases ends the leases of processes that have ended, which containerd cannot know.
func (s *Store) endLeases(ctx context.Context) error {
	release, err := s.leasing.take(ctx) // or one may be made anew after it was listed
	if err != nil {
		return err
	}
	defer release()
	leases, err := s.listLeases(ctx)
	if err != nil {
		return err
	}
	for _, l := range leases {
		if !l.over {
			continue
		}
		if err := s.deleteLease(ctx, l.ID, false); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// briefly is how long a lease lives that only a killed process leaves.
const briefly = time.Hour

// collect runs containerd's collection: it does so for whoever ends a lease and waits.
func (s *Store) collect(ctx context.Context) error {
	l, err := s.createLease(ctx, store.Lease{ID: "dhow-" + rand.Text(), Until: time.Now().Add(briefly)}, map[string]string{labelUse: "collect"})
	if err != nil {
		return err
	}
	return s.deleteLease(ctx, l.ID, true)
}
