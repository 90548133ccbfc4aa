package containerd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/dhowhq/dhow/store"
)

// committers is how many blobs are committed at once.
const committers = 4

// Begin begins to write blobs under a lease. They are committed by Publish, one by one:
// a daemon that is lost in the middle of it has some of them.
func (s *Store) Begin(ctx context.Context, lease string) (store.Batch, error) {
	if err := s.checkLease(ctx, lease); err != nil {
		return nil, err
	}
	return &batch{s: s, lease: lease}, nil
}

type batch struct {
	s     *Store
	lease string

	mu     sync.Mutex
	closed bool
	wants  []*complete
}

// want has the batch publish a blob, of which it has a share.
func (b *batch) want(ctx context.Context, c *complete) error {
	b.mu.Lock()
	closed, again := b.closed, slices.Contains(b.wants, c)
	if !closed && !again {
		b.wants = append(b.wants, c)
	}
	b.mu.Unlock()
	if closed || again {
		b.s.ingests.leave(ctx, c)
	}
	if closed {
		return b.over()
	}
	return nil
}

func (b *batch) over() error {
	return fmt.Errorf("the batch is closed: %w", errdefs.ErrFailedPrecondition)
}

// Close ends the batch.
func (b *batch) Close() error {
	b.mu.Lock()
	wants := b.wants
	b.closed, b.wants = true, nil
	b.mu.Unlock()
	ctx := context.Background()
	for _, c := range wants {
		b.s.ingests.leave(ctx, c)
	}
	return nil
}

// Publish commits what was written, then moves the names. What cannot be is found out
// before.
func (b *batch) Publish(ctx context.Context, moves ...store.Move) ([]store.Moved, error) {
	release, err := b.s.moving.take(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	b.mu.Lock()
	wants, closed := slices.Clone(b.wants), b.closed
	b.mu.Unlock()
	if closed {
		return nil, b.over()
	}
	fresh := map[digest.Digest]store.Facts{}
	for _, c := range wants {
		if _, facts := c.state(); facts != nil {
			fresh[c.desc.Digest] = *facts
		}
	}
	p, err := b.s.plan(ctx, moves, fresh)
	if err != nil {
		return nil, err
	}
	if err := b.commit(ctx, wants); err != nil {
		return nil, err
	}
	moved, err := b.s.run(ctx, p)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	b.wants = slices.DeleteFunc(b.wants, func(c *complete) bool { return slices.Contains(wants, c) })
	b.mu.Unlock()
	for _, c := range wants {
		b.s.ingests.leave(ctx, c)
	}
	return moved, nil
}

// commit makes blobs visible, which the lease holds, and has the records that contain
// them be found by them.
func (b *batch) commit(ctx context.Context, wants []*complete) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(committers)
	for _, c := range wants {
		group.Go(func() error { return b.commitOne(groupCtx, c) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, c := range wants {
		if _, facts := c.state(); facts == nil {
			continue
		}
		above := b.s.index.above(c.desc.Digest)
		for _, r := range above {
			if err := b.s.learnGraph(ctx, rootEdge(r)); err != nil {
				return err
			}
		}
		b.s.reindex(above...)
	}
	return nil
}

// commitOne commits a blob, unless another batch has.
func (b *batch) commitOne(ctx context.Context, c *complete) error {
	release, err := c.turn.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	d := c.desc.Digest
	visible, facts := c.state()
	if visible {
		return b.s.holdThere(ctx, b.lease, d)
	}
	labels := map[string]string{}
	if c.heals {
		if labels, err = b.s.discard(ctx, b.lease, d); err != nil {
			return fmt.Errorf("publishing %s: %w", d, err)
		}
	}
	if facts != nil {
		maps.Copy(labels, labelsOf(*facts))
	}
	err = b.commitBytes(ctx, c, labels)
	if errdefs.IsAlreadyExists(err) { // another client was faster
		err = b.s.holdThere(ctx, b.lease, d)
		if err == nil && facts != nil {
			err = b.s.label(ctx, d, *facts)
		}
	}
	if err == nil && c.heals {
		if err = b.s.verify(ctx, d, c.desc.Size); errdefs.IsDataLoss(err) {
			err = fmt.Errorf("what is damaged stays, for another namespace has it too: %w", err)
		}
	}
	if err != nil {
		return fmt.Errorf("publishing %s: %w", d, err)
	}
	if facts != nil {
		b.s.docs.put(d, *facts)
	}
	b.s.docs.mark(d, good)
	c.show()
	return nil
}

// commitBytes commits what is in memory or in an open ingest.
func (b *batch) commitBytes(ctx context.Context, c *complete, labels map[string]string) error {
	if err := b.s.holdThere(ctx, b.lease, c.desc.Digest); err != nil { // not by the commit: the lease may be being replaced
		return err
	}
	if c.in != nil {
		return c.in.commit(ctx, c.desc.Digest, labels)
	}
	in, err := b.s.openPut(ctx, c.desc.Digest, c.desc.Size, "")
	if err != nil {
		return err
	}
	if err = in.reset(ctx); err == nil {
		_, err = in.write(ctx, c.data)
	}
	if err != nil {
		in.close()
		return errors.Join(err, b.s.abort(context.WithoutCancel(ctx), in.ref))
	}
	return in.commit(ctx, c.desc.Digest, labels)
}

// holdThere has a lease hold a blob.
func (s *Store) holdThere(ctx context.Context, id string, d digest.Digest) error {
	release, err := s.leasing.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	return s.addResource(ctx, id, resourceContent, d.String())
}
