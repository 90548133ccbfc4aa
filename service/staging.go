package service

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// staging is what is written for several images at once, before any of it is visible: one
// batch under a lease of its own.
type staging struct {
	s     *Service
	base  context.Context //nolint:containedctx // what it was begun in, without its end: for close
	lease string
	batch store.Batch
	// before are the refs of what others have left of blobs, and put the digests of what
	// was put.
	before map[string]bool
	mu     sync.Mutex // for put
	put    map[digest.Digest]bool
	done   bool // it was published
}

// stage begins to write.
func (s *Service) stage(ctx context.Context) (*staging, error) {
	st := &staging{s: s, base: context.WithoutCancel(ctx), before: map[string]bool{}, put: map[digest.Digest]bool{}}
	partial, err := s.store.Partial(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range partial {
		st.before[p.Ref] = true
	}
	lease, err := s.store.Lease(ctx, store.Lease{Process: true})
	if err != nil {
		return nil, err
	}
	st.lease = lease.ID
	if st.batch, err = s.store.Begin(ctx, lease.ID); err != nil {
		return nil, errors.Join(err, st.release())
	}
	return st, nil
}

// add writes a blob, unless it is there.
func (st *staging) add(ctx context.Context, desc ocispec.Descriptor, role image.Role, open store.Opener) (store.Put, error) {
	st.mu.Lock()
	st.put[desc.Digest] = true
	st.mu.Unlock()
	return st.batch.Put(ctx, desc, role, open)
}

// publish makes everything visible, with the moves that plan decides upon in a view; it
// decides anew where what it has seen does not hold any more.
func (st *staging) publish(ctx context.Context, plan func(v *view) ([]store.Move, error)) (moved []store.Moved, err error) {
	err = st.s.again(ctx, func() error {
		var moves []store.Move
		err := st.s.view(ctx, func(v *view) (err error) {
			moves, err = plan(v)
			return err
		})
		if err == nil {
			moved, err = st.batch.Publish(ctx, moves...)
			err = st.s.stale(err)
		}
		return err
	})
	st.done = err == nil
	return moved, err
}

// close ends the batch and the lease. Unless it was published, nothing of it is left.
func (st *staging) close() {
	errs := []error{st.batch.Close()}
	if !st.done {
		for d := range st.put {
			if st.before[string(d)] {
				continue // somebody else goes on with it
			}
			err := st.s.store.Abort(st.base, string(d))
			if errdefs.IsNotFound(err) || errdefs.IsUnavailable(err) || errdefs.IsNotImplemented(err) || errdefs.IsInvalidArgument(err) {
				err = nil // there is nothing of it, or somebody else writes it
			}
			errs = append(errs, err)
		}
	}
	errs = append(errs, st.release())
	if err := errors.Join(errs...); err != nil {
		st.s.opts.Logger.WarnContext(st.base, "what was written did not end well", "error", err)
	}
}

// release ends the lease.
func (st *staging) release() error {
	if err := st.s.store.Release(st.base, st.lease); !errdefs.IsNotFound(err) {
		return err
	}
	return nil
}

// danglingMove returns the move that makes a record for an image without a name, unless it
// has one already.
func (v *view) danglingMove(target ocispec.Descriptor) ([]store.Move, error) {
	records, err := v.Target(target.Digest)
	if err != nil {
		return nil, fmt.Errorf("look for %s: %w", target.Digest, err)
	}
	if len(records) > 0 {
		return nil, nil
	}
	return []store.Move{{Name: store.Record{Target: target}.Key(), To: plainTarget(target)}}, nil
}

// plainTarget returns what a record has of a descriptor.
func plainTarget(desc ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size}
}
