package containerd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/dhowhq/dhow/store"
)

// committers is how many blobs are committed at once.
const committers = 4

// commit makes blobs visible, which the lease holds, and has the records that contain
// them be found by them. A document is so after all that it contains: who finds it there
// finds that too. After an error no other one is begun, but none is cut off.
func (b *batch) commit(ctx context.Context, wants []*complete) error {
	for _, level := range bottomUp(wants) {
		if err := b.commitAll(ctx, level); err != nil {
			return err
		}
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

// bottomUp returns blobs by levels: those of which none contains another, those that contain
// some of these, and so on.
func bottomUp(wants []*complete) [][]*complete {
	all, levels := map[digest.Digest]*complete{}, map[digest.Digest]int{}
	for _, c := range wants {
		all[c.desc.Digest] = c
	}
	var levelOf func(c *complete) int
	levelOf = func(c *complete) int {
		level, known := levels[c.desc.Digest]
		if _, facts := c.state(); !known && facts != nil {
			for _, e := range facts.Edges {
				if below := all[e.Desc.Digest]; below != nil {
					level = max(level, levelOf(below)+1)
				}
			}
		}
		levels[c.desc.Digest] = level
		return level
	}
	var sorted [][]*complete
	for _, c := range wants {
		level := levelOf(c)
		for len(sorted) <= level {
			sorted = append(sorted, nil)
		}
		sorted[level] = append(sorted[level], c)
	}
	return sorted
}

// commitAll commits blobs, some at once.
func (b *batch) commitAll(ctx context.Context, wants []*complete) error {
	var group errgroup.Group
	group.SetLimit(committers)
	var failed atomic.Bool
	for _, c := range wants {
		if failed.Load() {
			break
		}
		group.Go(func() error {
			err := b.commitOne(ctx, c)
			if err != nil {
				failed.Store(true)
			}
			return err
		})
	}
	return group.Wait()
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
	// Not by the commit: the lease may be being replaced. And before anything is looked at:
	// what is there then stays.
	if err := b.s.holdThere(ctx, b.lease, d); err != nil || visible {
		return err
	}
	err = b.commitBytes(ctx, c, facts)
	there := errdefs.IsAlreadyExists(err)
	if there { // another client was faster, or an earlier Publish did not hear of it
		err = nil
		if facts != nil {
			err = b.s.label(ctx, d, *facts)
		}
	}
	if err == nil && c.heals {
		if err = b.s.verify(ctx, d, c.desc.Size); errdefs.IsDataLoss(err) {
			err = fmt.Errorf("what is damaged stays, for another namespace has it too: %w", err)
		}
	}
	if err == nil && there && c.in != nil {
		err = b.s.giveUp(ctx, c.in)
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

// commitBytes commits what is in memory or in an ingest, and the lease holds already.
func (b *batch) commitBytes(ctx context.Context, c *complete, facts *store.Facts) error {
	if c.heals {
		if err := b.clear(ctx, c); err != nil {
			return err
		}
	}
	labels := maps.Clone(c.labels)
	if facts != nil {
		maps.Copy(labels, labelsOf(*facts))
	}
	in, err := c.in, error(nil)
	switch {
	case in == nil:
		in, err = b.s.spill(ctx, c)
	case in.ended:
		in, err = b.s.reopen(ctx, c)
	}
	if err != nil {
		return err
	}
	return in.commit(ctx, c.desc.Digest, labels)
}

// clear makes room for a blob in the place of a damaged one, whose labels it is to have.
// If that has been healed meanwhile it is ErrAlreadyExists.
func (b *batch) clear(ctx context.Context, c *complete) error {
	_, err := b.s.info(ctx, c.desc.Digest)
	if err == nil {
		return fmt.Errorf("content %s is healed: %w", c.desc.Digest, errdefs.ErrAlreadyExists)
	}
	if !errdefs.IsNotFound(err) {
		return err
	}
	labels, err := b.s.discard(ctx, b.lease, c.desc.Digest)
	maps.Copy(c.labels, labels) // a repeated Publish finds them nowhere else
	return err
}

// spill writes what is in memory into an ingest.
func (s *Store) spill(ctx context.Context, c *complete) (*ingest, error) {
	in, err := s.openPut(ctx, c.desc.Digest, c.desc.Size, "")
	if err != nil {
		return nil, err
	}
	if err = in.reset(ctx); err == nil {
		_, err = in.write(ctx, c.data)
	}
	if err != nil {
		in.close()
		return nil, errors.Join(err, s.abort(context.WithoutCancel(ctx), in.ref))
	}
	return in, nil
}

// reopen opens the ingest of a complete blob again. ErrAlreadyExists if it was committed,
// and ErrUnavailable if another process writes it, or has given it up: then it is to be
// put again.
func (s *Store) reopen(ctx context.Context, c *complete) (*ingest, error) {
	in, err := s.openIngest(ctx, c.in.ref, 0, "")
	if err != nil || in.offset == c.desc.Size {
		return in, err
	}
	in.close()
	if in.offset == 0 { // it was just made
		if err := s.abort(context.WithoutCancel(ctx), in.ref); err != nil {
			return nil, err
		}
	}
	_, err = s.info(ctx, c.desc.Digest)
	if err == nil {
		return nil, fmt.Errorf("content %s: %w", c.desc.Digest, errdefs.ErrAlreadyExists)
	}
	if errdefs.IsNotFound(err) {
		s.ingests.forget(c)
		err = fmt.Errorf("what was written of it is not there any more: %w", errdefs.ErrUnavailable)
	}
	return nil, err
}

// giveUp forgets what was written, unless another process writes there now.
func (s *Store) giveUp(ctx context.Context, in *ingest) error {
	in.close()
	err := s.abortUnlessWritten(ctx, in.ref)
	if errdefs.IsUnavailable(err) || errdefs.IsNotFound(err) {
		return nil
	}
	return err
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
