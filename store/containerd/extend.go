package containerd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"time"

	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// Extend moves the end of a lease. containerd cannot change one: another one of the same
// ID takes its place, and a copy of it with another ID holds everything meanwhile. The copy
// stays if that fails, or this process is killed: nothing is lost, and the error names it.
func (s *Store) Extend(ctx context.Context, id string, until time.Time) error {
	release, err := s.leasing.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	l, err := s.findLease(ctx, id)
	if err != nil {
		return err
	}
	resources, err := s.resources(ctx, id)
	if err != nil {
		return err
	}
	kept, err := s.copyLease(ctx, l, until, resources)
	if err != nil {
		return errors.Join(err, s.dropCopy(ctx, kept))
	}
	err = insist(ctx, func(ctx context.Context) error { return s.deleteLease(ctx, id, false) })
	if errdefs.IsNotFound(err) { // another process has ended it
		return errors.Join(err, s.dropCopy(ctx, kept))
	}
	if err == nil {
		err = s.remakeLease(ctx, l, until, resources)
	}
	if err != nil {
		return fmt.Errorf("%w; what lease %s held is held by lease %s", err, strictjson.Quote(id), kept)
	}
	return s.dropCopy(ctx, kept)
}

// copyLease makes a lease that holds what another one does, is tied to the same process,
// and ends as late as that one ever would.
func (s *Store) copyLease(ctx context.Context, l lease, until time.Time, resources []*leasesapi.Resource) (id string, err error) {
	if until.IsZero() || l.Until.IsZero() {
		until = time.Time{}
	} else if l.Until.After(until) {
		until = l.Until
	}
	id = "dhow-" + rand.Text()
	labels := l.endingAt(until)
	labels[labelCopy] = l.ID
	if _, err := s.leases.Create(ctx, &leasesapi.CreateRequest{ID: id, Labels: labels}); err != nil {
		return id, fmt.Errorf("copying lease %s: %w", strictjson.Quote(l.ID), err)
	}
	for _, r := range resources {
		if err := s.addResource(ctx, id, r.GetType(), r.GetID()); err != nil {
			return id, err
		}
	}
	return id, nil
}

// dropCopy ends a copy of a lease that is there itself, or is over.
func (s *Store) dropCopy(ctx context.Context, id string) error {
	err := insist(ctx, func(ctx context.Context) error { return s.deleteLease(ctx, id, false) })
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// remakeLease makes a lease anew that was deleted.
func (s *Store) remakeLease(ctx context.Context, l lease, until time.Time, resources []*leasesapi.Resource) error {
	err := insist(ctx, func(ctx context.Context) error {
		_, err := s.leases.Create(ctx, &leasesapi.CreateRequest{ID: l.ID, Labels: l.endingAt(until)})
		return err
	})
	if err != nil {
		return fmt.Errorf("making lease %s anew: %w", strictjson.Quote(l.ID), err)
	}
	for _, r := range resources {
		err := insist(ctx, func(ctx context.Context) error { return s.addResource(ctx, l.ID, r.GetType(), r.GetID()) })
		if err != nil {
			return err
		}
	}
	return nil
}

// endingAt returns the labels with which a lease is made anew.
func (l lease) endingAt(until time.Time) map[string]string {
	labels := maps.Clone(l.labels)
	if labels == nil {
		labels = map[string]string{}
	}
	delete(labels, labelExpire)
	if !until.IsZero() {
		labels[labelExpire] = until.UTC().Format(time.RFC3339Nano)
	}
	labels[labelCreated] = l.Created.UTC().Format(time.RFC3339Nano)
	return labels
}
