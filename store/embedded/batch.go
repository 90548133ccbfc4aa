package embedded

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

// Begin is that of store.Blobs. A batch has small blobs in memory until it is published
// or closed, up to 16 MiB of them.
func (s *Store) Begin(ctx context.Context, lease string) (store.Batch, error) {
	if err := s.refused(); err != nil {
		return nil, err
	}
	var l catalog.Lease
	err := s.view(ctx, func(tx *catalog.Tx) (err error) {
		l, err = s.lease(tx, lease)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("beginning to write: %w", err)
	}
	return &batch{s: s, lease: lease, number: l.Number, blobs: map[digest.Digest]*wanted{}}, nil
}

// batch is a store.Batch.
type batch struct {
	s     *Store
	lease string
	// number is that of the lease: one that is made anew by the same ID is another one.
	number uint64

	publishing sync.WaitGroup // transactions that may still happen

	mu       sync.Mutex
	blobs    map[digest.Digest]*wanted // since the last Publish
	inMemory int                       // bytes of small blobs that this batch has written of them
	failed   error                     // a blob was lost: nothing can be published any more
	closed   bool
}

// wanted is a blob that a batch has put. It is used (see uses) as long as the batch has
// it.
type wanted struct {
	*pending
	facts    *store.Facts // that are to be noted of a blob which is visible already
	verified bool         // its file was, in this epoch
}

var errBatchClosed = fmt.Errorf("the batch is closed: %w", errdefs.ErrFailedPrecondition)

// leased returns the lease of the batch if it is not over, or ErrNotFound.
func (b *batch) leased(tx *catalog.Tx) (catalog.Lease, error) {
	l, err := b.s.lease(tx, b.lease)
	if err == nil && l.Number != b.number {
		err = fmt.Errorf("lease %.256q is over, and was made anew: %w", b.lease, errdefs.ErrNotFound)
	}
	return l, err
}

// check fails for a batch with which nothing can be done any more.
func (b *batch) check() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errBatchClosed
	}
	return b.failed
}

// adopt has the batch have a blob, unless it has it already. Either way the claim and
// the use that the caller has are the batch's from now on.
func (b *batch) adopt(w *wanted) {
	b.mu.Lock()
	old := b.blobs[w.digest]
	if old != nil && old.pending == w.pending && w.facts == nil {
		b.mu.Unlock()
		b.s.pendings.leave(w.pending)
		b.s.uses.release(w.digest)
		return
	}
	if old != nil && old.pending == w.pending {
		w.verified = w.verified || old.verified
	}
	b.blobs[w.digest] = w
	b.mu.Unlock()
	if old != nil { // it was published, or has failed, or a Publish that goes on does not know the facts
		b.drop(old)
	}
}

// forget gives up a blob that the batch had.
func (b *batch) forget(w *wanted) error {
	last, was := b.s.pendings.leave(w.pending)
	var err error
	if last && was == written {
		err = w.ingest.Close()
	}
	b.s.uses.release(w.digest)
	if last && was == placed {
		err = b.s.takeBack(w.digest)
	}
	return err
}

// drop is forget where nobody waits for the error.
func (b *batch) drop(w *wanted) {
	if err := b.forget(w); err != nil {
		b.s.log.Warn("ending what was written of a blob", "digest", w.digest, "error", err)
	}
}

// take returns the blobs that the batch has.
func (b *batch) take() ([]*wanted, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errBatchClosed
	}
	if b.failed != nil {
		return nil, b.failed
	}
	all := make([]*wanted, 0, len(b.blobs))
	for _, w := range b.blobs {
		all = append(all, w)
	}
	return all, nil
}

// Close is that of store.Batch.
func (b *batch) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	blobs := b.blobs
	b.blobs = nil
	b.mu.Unlock()
	b.publishing.Wait()
	var errs []error
	for _, w := range blobs {
		errs = append(errs, b.forget(w))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing a batch: %w", err)
	}
	return nil
}

// Publish is that of store.Batch.
func (b *batch) Publish(ctx context.Context, moves ...store.Move) ([]store.Moved, error) {
	all, err := b.take()
	if err != nil {
		return nil, err
	}
	m, err := b.s.checkMoves(moves)
	if err != nil {
		return nil, err
	}
	pending := make([]*pending, len(all))
	for i, w := range all {
		pending[i] = w.pending
	}
	p := &publication{b: b, blobs: all, moves: m}
	err = onceMore(func() error {
		if err := p.prepare(ctx); err != nil {
			return err
		}
		if err := b.s.place(ctx, pending); err != nil {
			b.lost(all, err)
			return err
		}
		if len(all) == 0 && len(moves) == 0 {
			return nil
		}
		b.publishing.Add(1)
		if err := b.s.submit(ctx, p.run, p.after); err != nil {
			return fmt.Errorf("publishing %d blobs and %d names: %w", len(all), len(moves), err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return p.moved, nil
}

// lost ends the batch if a blob of it is no more.
func (b *batch) lost(all []*wanted, err error) {
	for _, w := range all {
		if b.s.pendings.stageOf(w.pending) == failed {
			b.mu.Lock()
			b.failed = fmt.Errorf("blob %s of the batch was lost: %w", w.digest, err)
			b.mu.Unlock()
		}
	}
}
