package embedded

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/process"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

// maxLeaseID is how many bytes the ID of a lease may have.
const maxLeaseID = 1 << 10

// Lease is that of store.Leases. Created is always now. Labels are bounded as those of
// names are.
func (s *Store) Lease(ctx context.Context, l store.Lease) (store.Lease, error) {
	if l.ID == "" {
		l.ID = strings.ToLower(rand.Text())
	}
	if len(l.ID) > maxLeaseID {
		return store.Lease{}, fmt.Errorf("the ID of a lease has %d bytes, at most %d are allowed: %w", len(l.ID), maxLeaseID, errdefs.ErrInvalidArgument)
	}
	if err := checkLabels(l.Labels); err != nil {
		return store.Lease{}, err
	}
	l.Labels = maps.Clone(l.Labels)
	l.Created, l.Until = s.now(), utc(l.Until)
	kept := catalog.Lease{Lease: l}
	if l.Process {
		pid := os.Getpid()
		start, _ := process.Started(pid)                             // unknown: the same each time
		kept.PID, kept.Start, kept.Boot = uint64(pid), start, s.boot //nolint:gosec // not negative
	}
	err := s.update(ctx, func(tx *catalog.Tx) error {
		old, err := tx.Lease(l.ID)
		switch {
		case err == nil && !s.over(old):
			return fmt.Errorf("lease %.256q: %w", l.ID, errdefs.ErrAlreadyExists)
		case err != nil && !errdefs.IsNotFound(err):
			return err
		case err == nil:
			if err := tx.Do(catalog.DropLease{ID: l.ID}); err != nil {
				return err
			}
		}
		if kept.Number, err = tx.NextLease(); err != nil {
			return err
		}
		return tx.Do(catalog.PutLease{Lease: kept})
	})
	if err != nil {
		return store.Lease{}, fmt.Errorf("making a lease: %w", err)
	}
	return l, nil
}

// utc returns a time as it comes back.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Round(0)
}

// over reports whether a lease is over.
func (s *Store) over(l catalog.Lease) bool {
	if !l.Until.IsZero() && !s.opts.Clock().Before(l.Until) {
		return true
	}
	if !l.Process {
		return false
	}
	if l.Boot != s.boot {
		return true
	}
	start, alive := process.Started(int(l.PID)) //nolint:gosec // was an int
	return !alive || start != l.Start
}

// lease returns a lease that is not over, or ErrNotFound.
func (s *Store) lease(tx *catalog.Tx, id string) (catalog.Lease, error) {
	l, err := tx.Lease(id)
	if err == nil && s.over(l) {
		err = fmt.Errorf("lease %.256q is over: %w", id, errdefs.ErrNotFound)
	}
	return l, err
}

// Extend is that of store.Leases.
func (s *Store) Extend(ctx context.Context, id string, until time.Time) error {
	return s.update(ctx, func(tx *catalog.Tx) error {
		l, err := s.lease(tx, id)
		if err != nil {
			return fmt.Errorf("extending a lease: %w", err)
		}
		l.Until = utc(until)
		return tx.Do(catalog.PutLease{Lease: l})
	})
}

// Hold is that of store.Leases.
func (s *Store) Hold(ctx context.Context, id string, blobs ...digest.Digest) error {
	for _, d := range blobs {
		if _, err := image.ParseDigest(string(d)); err != nil {
			return fmt.Errorf("holding a blob: %w", err)
		}
	}
	return s.update(ctx, func(tx *catalog.Tx) error {
		l, err := s.lease(tx, id)
		if err != nil {
			return fmt.Errorf("holding %d blobs: %w", len(blobs), err)
		}
		return hold(tx, l, blobs)
	})
}

// holdPart is how many blobs are let go of together.
const holdPart = 64

// hold has a lease hold what it does not hold already.
func hold(tx *catalog.Tx, l catalog.Lease, blobs []digest.Digest) error {
	var fresh []digest.Digest
	for _, d := range blobs {
		held, err := tx.Holds(l.Number, d)
		if err != nil {
			return err
		}
		if !held {
			fresh = append(fresh, d)
		}
	}
	for part := range slices.Chunk(fresh, holdPart) {
		next, err := tx.NextHold(l.Number)
		if err != nil {
			return err
		}
		if err := tx.Do(catalog.Hold{Number: l.Number, Part: next, Digests: part}); err != nil {
			return err
		}
	}
	return nil
}

// Held is that of store.Leases.
func (s *Store) Held(ctx context.Context, id string) ([]digest.Digest, error) {
	var held []digest.Digest
	err := s.view(ctx, func(tx *catalog.Tx) error {
		l, err := s.lease(tx, id)
		if err == nil {
			held, err = tx.Held(l.Number)
		}
		return err
	})
	return held, err
}

// Release is that of store.Leases. What the lease has held is let go of by the next
// collection.
func (s *Store) Release(ctx context.Context, id string) error {
	return s.update(ctx, func(tx *catalog.Tx) error {
		if _, err := s.lease(tx, id); err != nil {
			return fmt.Errorf("releasing a lease: %w", err)
		}
		return tx.Do(catalog.DropLease{ID: id})
	})
}

// Leases is that of store.Leases.
func (s *Store) Leases(ctx context.Context) ([]store.Lease, error) {
	var all []store.Lease
	err := s.view(ctx, func(tx *catalog.Tx) error {
		leases, err := tx.Leases()
		for _, l := range leases {
			if !s.over(l) {
				all = append(all, l.Lease)
			}
		}
		return err
	})
	return all, err
}
