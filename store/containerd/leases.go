package containerd

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/process"
	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/store"
)

// The labels of leases.
const (
	labelExpire  = "containerd.io/gc.expire" // containerd's: it ends the lease then
	labelProcess = spaceOurs + "process"     // the ID of the process that it is tied to
	labelCreated = spaceOurs + "created"     // where containerd's own time is that of Extend
	labelUse     = spaceOurs + "use"         // for leases that callers do not see: what they are for
	labelCopy    = spaceOurs + "copy"        // the ID of the lease that it is a copy of
)

// resourceContent is containerd's name for what we have leases hold.
const resourceContent = "content"

// lease is a lease as containerd has it.
type lease struct {
	store.Lease
	process process.ID        // that it is tied to, if it is
	labels  map[string]string // all of them
	over    bool
	use     string
}

// leaseOf reads one. It is over if that can be known from it alone, see endUnseen.
func leaseOf(l *leasesapi.Lease) lease {
	labels := l.GetLabels()
	r := lease{Lease: store.Lease{ID: l.GetID(), Created: l.GetCreatedAt().AsTime()}, labels: labels, use: labels[labelUse]}
	if until, err := time.Parse(time.RFC3339Nano, labels[labelExpire]); err == nil {
		r.Until = until
		r.over = !time.Now().Before(until)
	}
	if created, err := time.Parse(time.RFC3339Nano, labels[labelCreated]); err == nil {
		r.Created = created
	}
	if id, tied := labels[labelProcess]; tied {
		r.Process, r.process = true, process.ID(id)
		r.over = r.over || r.process.State() == process.Ended
	}
	others := maps.Clone(labels)
	delete(others, labelExpire) // Until says it
	r.Labels = shownLabels(others)
	return r
}

// listLeases returns the leases that one of the filters lets through, without filters all:
// those that are over too.
func (s *Store) listLeases(ctx context.Context, filters ...string) ([]lease, error) {
	answer, err := s.leases.List(ctx, &leasesapi.ListRequest{Filters: filters})
	if err != nil {
		return nil, fmt.Errorf("listing leases: %w", err)
	}
	var all []lease
	for _, l := range answer.GetLeases() {
		all = append(all, leaseOf(l))
	}
	return all, s.endUnseen(ctx, all)
}

// findLease returns a lease that is not over.
func (s *Store) findLease(ctx context.Context, id string) (lease, error) {
	all, err := s.listLeases(ctx, fmt.Sprintf("id==%q", id))
	if err != nil {
		return lease{}, err
	}
	if len(all) > 0 && !all[0].over {
		return all[0], nil
	}
	return lease{}, fmt.Errorf("lease %s: %w", strictjson.Quote(id), errdefs.ErrNotFound)
}

// checkLease is ErrNotFound for a lease that there is not, or that is over.
func (s *Store) checkLease(ctx context.Context, id string) error {
	_, err := s.findLease(ctx, id)
	return err
}

// Leases returns the leases of the namespace, whoever made them.
func (s *Store) Leases(ctx context.Context) ([]store.Lease, error) {
	all, err := s.listLeases(ctx)
	if err != nil {
		return nil, err
	}
	var shown []store.Lease
	for _, l := range all {
		if !l.over && l.use == "" {
			shown = append(shown, l.Lease)
		}
	}
	slices.SortFunc(shown, func(a, b store.Lease) int { return strings.Compare(a.ID, b.ID) })
	return shown, nil
}

// Lease makes a lease.
func (s *Store) Lease(ctx context.Context, l store.Lease) (store.Lease, error) {
	if l.ID == "" {
		l.ID = "dhow-" + rand.Text()
	}
	if !utf8.ValidString(l.ID) {
		return store.Lease{}, fmt.Errorf("lease %s is not valid UTF-8: %w", strictjson.Quote(l.ID), errdefs.ErrInvalidArgument)
	}
	release, err := s.leasing.take(ctx)
	if err != nil {
		return store.Lease{}, err
	}
	defer release()
	made, err := s.createLease(ctx, l, nil)
	if errdefs.IsAlreadyExists(err) {
		if there := s.checkLease(ctx, l.ID); errdefs.IsNotFound(there) { // it is over, and its ID free
			if err := s.deleteLease(ctx, l.ID, false); err != nil {
				return store.Lease{}, err
			}
			made, err = s.createLease(ctx, l, nil)
		}
	}
	return made, err
}

// createLease makes a lease with labels of ours.
func (s *Store) createLease(ctx context.Context, l store.Lease, ours map[string]string) (store.Lease, error) {
	labels, err := keptLabels(l.Labels)
	if err != nil {
		return store.Lease{}, err
	}
	maps.Copy(labels, ours)
	if !l.Until.IsZero() {
		labels[labelExpire] = l.Until.UTC().Format(time.RFC3339Nano)
	}
	if l.Process && labels[labelProcess] == "" {
		labels[labelProcess] = string(process.Self())
	}
	answer, err := s.leases.Create(ctx, &leasesapi.CreateRequest{ID: l.ID, Labels: labels})
	if err != nil {
		return store.Lease{}, fmt.Errorf("making lease %s: %w", strictjson.Quote(l.ID), err)
	}
	return leaseOf(answer.GetLease()).Lease, nil
}

func (s *Store) deleteLease(ctx context.Context, id string, wait bool) error {
	if _, err := s.leases.Delete(ctx, &leasesapi.DeleteRequest{ID: id, Sync: wait}); err != nil {
		return fmt.Errorf("ending lease %s: %w", strictjson.Quote(id), err)
	}
	return nil
}

// Release ends a lease.
func (s *Store) Release(ctx context.Context, id string) error {
	release, err := s.leasing.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := s.checkLease(ctx, id); err != nil {
		return err
	}
	return s.deleteLease(ctx, id, false)
}

// Hold has a lease hold blobs, and by their labels what is below them.
func (s *Store) Hold(ctx context.Context, id string, blobs ...digest.Digest) error {
	release, err := s.leasing.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := s.checkLease(ctx, id); err != nil {
		return err
	}
	for _, d := range blobs {
		if _, err := image.ParseDigest(d.String()); err != nil {
			return err
		}
	}
	for _, d := range blobs {
		if err := s.addResource(ctx, id, resourceContent, d.String()); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) addResource(ctx context.Context, id, kind, of string) error {
	_, err := s.leases.AddResource(ctx, &leasesapi.AddResourceRequest{ID: id, Resource: &leasesapi.Resource{ID: of, Type: kind}})
	if err != nil {
		return fmt.Errorf("having lease %s hold %s: %w", strictjson.Quote(id), of, err)
	}
	return nil
}

// Held returns the content that a lease holds.
func (s *Store) Held(ctx context.Context, id string) ([]digest.Digest, error) {
	if err := s.checkLease(ctx, id); err != nil {
		return nil, err
	}
	resources, err := s.resources(ctx, id)
	if err != nil {
		return nil, err
	}
	held := []digest.Digest{}
	for _, r := range resources {
		if r.GetType() == resourceContent {
			held = append(held, digest.Digest(r.GetID()))
		}
	}
	slices.Sort(held)
	return held, nil
}

func (s *Store) resources(ctx context.Context, id string) ([]*leasesapi.Resource, error) {
	answer, err := s.leases.ListResources(ctx, &leasesapi.ListResourcesRequest{ID: id})
	if err != nil {
		return nil, fmt.Errorf("listing what lease %s holds: %w", strictjson.Quote(id), err)
	}
	return answer.GetResources(), nil
}
