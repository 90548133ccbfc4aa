package containerd

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
)

// Begin begins to write blobs under a lease. They are committed by Publish, one by one:
// a daemon that is lost in the middle of it has some of them.
func (s *Store) Begin(ctx context.Context, lease string) (store.Batch, error) {
	if err := s.checkLease(ctx, lease); err != nil {
		return nil, err
	}
	return &batch{s: s, lease: lease, wants: map[digest.Digest]*complete{}}, nil
}

type batch struct {
	s     *Store
	lease string

	mu       sync.Mutex
	closed   bool
	wants    map[digest.Digest]*complete
	inMemory int // bytes of what it wants
}

// maxInMemory is how many bytes of blobs a batch has in memory, beyond which they are
// written into ingests, as large ones are; some that are put at once may exceed it.
const maxInMemory = 16 << 20

// hasRoom reports whether a blob of so many bytes can be in memory.
func (b *batch) hasRoom(size int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int64(b.inMemory)+size <= maxInMemory
}

// want has the batch publish a blob, of which it has a share, and nothing else of that
// digest: what it had was lost.
func (b *batch) want(ctx context.Context, c *complete) error {
	b.mu.Lock()
	closed, left := b.closed, c
	if !closed && b.wants[c.desc.Digest] != c {
		left = b.remove(c.desc.Digest)
		b.wants[c.desc.Digest] = c
		b.inMemory += len(c.data)
	}
	b.mu.Unlock()
	if left != nil {
		b.s.ingests.leave(ctx, left)
	}
	if closed {
		return b.over()
	}
	return nil
}

// remove has the batch not want a blob, and returns it; nil if it did not.
func (b *batch) remove(d digest.Digest) *complete {
	c := b.wants[d]
	if c != nil {
		delete(b.wants, d)
		b.inMemory -= len(c.data)
	}
	return c
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
	wants, closed := slices.Collect(maps.Values(b.wants)), b.closed
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
	unpin, err := b.s.pinTargets(ctx, slices.DeleteFunc(slices.Clone(moves), func(m store.Move) bool {
		_, ours := fresh[m.To.Digest]
		return ours
	}))
	defer unpin()
	if err != nil {
		return nil, err
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
	for _, c := range wants {
		b.published(ctx, c)
	}
	return moved, nil
}

// published has the batch want a blob no more, unless it has been put again.
func (b *batch) published(ctx context.Context, c *complete) {
	b.mu.Lock()
	mine := b.wants[c.desc.Digest] == c
	if mine {
		b.remove(c.desc.Digest)
	}
	b.mu.Unlock()
	if mine {
		b.s.ingests.leave(ctx, c)
	}
}
