package embedded

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/blobfile"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

// pendings are the blobs that batches are writing, or have written and not published.
// Batches that want the same one share it.
type pendings struct {
	mu    sync.Mutex
	of    map[digest.Digest]*pending
	noted atomic.Bool // the database says that the store is being written to
}

// stage is how far a pending blob is.
type stage int

const (
	writing stage = iota
	written       // complete and verified
	placing       // a Publish is moving its file
	placed        // its file has its name, of which no record knows
	visible
	failed
)

// pending is a blob that is on its way.
type pending struct {
	digest digest.Digest
	ready  chan struct{} // closed when it is no longer being written
	moved  chan struct{} // while placing: closed when that has ended

	// The rest is guarded by pendings.mu.

	stage   stage
	batches int // that want it
	size    int64
	facts   *store.Facts
	ingest  *blobfile.Ingest // nil if it was visible already
	heals   bool             // it takes the place of a visible blob that is damaged
}

// claim returns the pending blob of a digest, and whether the caller is the one to write
// it. It is wanted by one batch more, until leave.
func (p *pendings) claim(d digest.Digest) (b *pending, mine bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := p.of[d]; b != nil {
		b.batches++
		return b, false
	}
	b = &pending{digest: d, ready: make(chan struct{}), batches: 1}
	if p.of == nil {
		p.of = map[digest.Digest]*pending{}
	}
	p.of[d] = b
	return b, true
}

// complete reports whether a blob is complete and not published.
func (p *pendings) complete(d digest.Digest) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.of[d]
	return b != nil && b.stage != writing
}

// settle ends the writing of a blob: it is written, visible or failed.
func (p *pendings) settle(b *pending, to stage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b.stage = to
	if to != written {
		delete(p.of, b.digest)
	}
	close(b.ready)
}

// stageOf returns how far a blob is.
func (p *pendings) stageOf(b *pending) stage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return b.stage
}

// placing reports whether files have their names, or get them, of which no record knows.
func (p *pendings) placing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.of {
		if b.stage == placing || b.stage == placed {
			return true
		}
	}
	return false
}

// published notes that blobs are visible.
func (p *pendings) published(all []*pending) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range all {
		if b.stage != visible {
			b.stage = visible
			delete(p.of, b.digest)
		}
	}
}

// leave notes that a batch wants a blob no more, and reports whether none does, which
// ends it.
func (p *pendings) leave(b *pending) (last bool, was stage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b.batches--
	last, was = b.batches == 0, b.stage
	if last && p.of[b.digest] == b && was != writing {
		delete(p.of, b.digest)
	}
	return last, was
}

// place moves the files of complete blobs to their names.
func (s *Store) place(ctx context.Context, all []*pending) error {
	for {
		mine, other := s.pendings.toPlace(all)
		if len(mine) > 0 {
			if err := s.placeFiles(ctx, mine); err != nil {
				return err
			}
		}
		if other == nil {
			return nil
		}
		select {
		case <-other:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// toPlace takes the blobs whose files are to be moved, and returns the end of what
// another Publish is moving, if any.
func (p *pendings) toPlace(all []*pending) (mine []*pending, other chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range all {
		switch b.stage {
		case placing:
			other = b.moved
		case written:
			if _, small := b.ingest.Bytes(); !small {
				b.stage, b.moved = placing, make(chan struct{})
				mine = append(mine, b)
			}
		}
	}
	return mine, other
}

func (s *Store) placeFiles(ctx context.Context, mine []*pending) error {
	ingests := make([]*blobfile.Ingest, len(mine))
	for i, b := range mine {
		ingests[i] = b.ingest
	}
	err := s.noteWriting(ctx)
	if err == nil && s.closed.Load() { // Close looks for what is being placed after it has said so
		err = errClosed
	}
	if err == nil {
		err = s.files.Publish(ctx, ingests)
	}
	p := &s.pendings
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range mine {
		switch {
		case err == nil:
			b.stage = placed
		case b.ingest.Ended():
			b.stage = failed
			delete(p.of, b.digest)
		default:
			b.stage = written
		}
		close(b.moved)
	}
	if err != nil {
		s.left.Store(true) // what goes on may leave a file, and what was undone is not durable
		return fmt.Errorf("making %d files durable: %w", len(mine), err)
	}
	return nil
}

// noteWriting has the database say that the store is being written to, as its first
// transaction does: the files of one that a crash has kept from happening are looked for
// only then.
func (s *Store) noteWriting(ctx context.Context) error {
	if s.pendings.noted.Load() {
		return nil
	}
	var state catalog.State
	err := s.view(ctx, func(tx *catalog.Tx) (err error) {
		state, err = tx.State()
		return err
	})
	if err == nil && state.Clean {
		err = s.update(ctx, func(tx *catalog.Tx) error {
			state, err := tx.State()
			tx.SetState(state) // commit says the rest
			return err
		})
	}
	if err == nil {
		s.pendings.noted.Store(true)
	}
	return err
}
