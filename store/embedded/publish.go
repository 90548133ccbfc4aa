package embedded

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

// publication is one Publish of a batch.
type publication struct {
	b     *batch
	blobs []*wanted
	moves []move
	moved []store.Moved

	understood *understanding
}

// prepare does what may take long, or can be known to fail, before anything is placed.
func (p *publication) prepare(ctx context.Context) error {
	known := map[digest.Digest]*wanted{}
	for _, w := range p.blobs {
		known[w.digest] = w
	}
	err := p.b.s.view(ctx, func(tx *catalog.Tx) error {
		if _, err := p.b.leased(tx); err != nil {
			return err
		}
		return p.b.s.tryMoves(tx, p.moves, known)
	})
	if err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	p.understood, err = p.b.s.understand(ctx, p.blobs, p.moves)
	return err
}

// run is the part of a transaction that makes the blobs visible and moves the names.
func (p *publication) run(tx *catalog.Tx) error {
	s := p.b.s
	lease, err := p.b.leased(tx)
	if err != nil {
		return err
	}
	now := s.now()
	known := map[digest.Digest]*wanted{}
	for _, w := range p.blobs {
		known[w.digest] = w
	}
	if err := s.tryMoves(tx, p.moves, known); err != nil {
		return err
	}
	if err := p.understood.check(tx); err != nil {
		return err
	}
	if err := hold(tx, lease, p.digests()); err != nil {
		return err
	}
	for _, w := range p.blobs {
		if err := p.blob(tx, w, now); err != nil {
			return err
		}
	}
	if err := p.understood.note(tx); err != nil {
		return err
	}
	p.moved, err = s.makeMoves(tx, p.moves, now)
	return err
}

func (p *publication) digests() []digest.Digest {
	all := make([]digest.Digest, len(p.blobs))
	for i, w := range p.blobs {
		all[i] = w.digest
	}
	return all
}

// blob makes one blob visible.
func (p *publication) blob(tx *catalog.Tx, w *wanted, now time.Time) error {
	there := false
	if _, err := tx.Blob(w.digest); err == nil {
		there = !w.heals // else it is, but is damaged
	} else if !errdefs.IsNotFound(err) {
		return err
	}
	stage := p.b.s.pendings.stageOf(w.pending)
	switch {
	case stage == failed:
		return fmt.Errorf("blob %s was lost: %w", w.digest, errdefs.ErrUnavailable)
	case !there && stage != visible:
		put := catalog.PutBlob{Digest: w.digest, Created: now, Size: w.size, Facts: w.pending.facts}
		if data, small := w.ingest.Bytes(); small {
			n, err := tx.NextBytes()
			if err != nil {
				return err
			}
			put.Bytes, put.Number = data, n
		} else if err := tx.SetVerified(w.digest, p.b.s.epoch.Load()); err != nil {
			return err
		}
		if err := tx.Do(put); err != nil {
			return err
		}
	case !there && !w.heals:
		return fmt.Errorf("blob %s is not there any more: %w", w.digest, errdefs.ErrNotFound)
	}
	if w.verified {
		if err := tx.SetVerified(w.digest, p.b.s.epoch.Load()); err != nil {
			return err
		}
	}
	if w.facts != nil {
		return tx.Do(catalog.PutFacts{Digest: w.digest, Facts: *w.facts})
	}
	return nil
}

// after is told what came of the transaction.
func (p *publication) after(err error) {
	defer p.b.publishing.Done()
	if err != nil {
		return
	}
	b := p.b
	var done []*pending
	for _, w := range p.blobs {
		done = append(done, w.pending)
		b.s.distrusted.Delete(w.digest)
	}
	b.s.pendings.published(done)
	for _, w := range p.blobs {
		if w.ingest != nil {
			if _, small := w.ingest.Bytes(); small {
				if err := w.ingest.Abort(); err != nil { // what is in a file of it is needed no more
					b.s.log.Warn("removing what was written of a blob that is published", "digest", w.digest, "error", err)
				}
			}
		}
		b.mu.Lock()
		mine := b.blobs[w.digest] == w
		if mine {
			delete(b.blobs, w.digest)
			if len(b.blobs) == 0 {
				b.inMemory = 0
			}
		}
		b.mu.Unlock()
		if mine {
			b.drop(w)
		}
	}
}
