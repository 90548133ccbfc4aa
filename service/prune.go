package service

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
)

// PruneOptions choose what Prune removes. The zero value is all dangling images.
type PruneOptions struct {
	// All removes images that have names as well.
	All bool
	// Until keeps what was not created before, as the config of the preferred instance
	// has it; zero: nothing. What does not say when it was created is older than all.
	Until time.Time
	// Labels keeps images of which that config has not all of these labels, each a key or
	// KEY=VALUE, and NotLabels those of which it has one of these. With either of them an
	// image whose config is not there, or cannot be read, is kept.
	Labels, NotLabels []string
}

// Pruned says what Prune has done.
type Pruned struct {
	// Removals are names, or for dangling images the digest of the target, in the order of
	// the records' keys; then the content of these images that is gone.
	Removals []Removal
	// Reclaimed is how many bytes were freed, with what nobody needed before.
	Reclaimed int64
}

// Prune removes dangling images, or all, and collects what nobody needs: that of leases
// which have expired too. An image upon which one that stays was built, as their configs
// say, is kept. What a lease, a reader or another image needs stays, so that nothing that
// comes in meanwhile is broken. One runs at a time: another one is ErrConflict. When some
// of it has gone, and then something fails, Pruned has what was done.
func (s *Service) Prune(ctx context.Context, opts PruneOptions) (Pruned, error) {
	if !s.pruning.TryLock() {
		return Pruned{}, fmt.Errorf("a prune operation is already running: %w", errdefs.ErrConflict)
	}
	defer s.pruning.Unlock()
	p := pruning{s: s, opts: opts, seen: map[digest.Digest]int64{}, configs: map[digest.Digest]*labels{}}
	err := s.again(ctx, func() error { return p.remove(ctx) })
	if finished := p.finish(ctx); err == nil {
		err = finished
	}
	if err != nil {
		err = fmt.Errorf("prune: %w", err)
	}
	return p.done, err
}

// pruning is one Prune.
type pruning struct {
	s       *Service
	opts    PruneOptions
	configs map[digest.Digest]*labels // that were read; nil: cannot be
	done    Pruned
	order   []digest.Digest         // the content of images that were removed
	seen    map[digest.Digest]int64 // its sizes
}

// pruneMoves is how many names go in one transaction.
const pruneMoves = 500

// remove removes the records that are to go.
func (p *pruning) remove(ctx context.Context) error {
	plan, err := p.decide(ctx)
	if err != nil {
		return err
	}
	for len(plan) > 0 {
		n := 1
		var moves []store.Move
		for i, im := range plan {
			if len(moves) > 0 && len(moves)+len(im.records) > pruneMoves {
				break
			}
			for _, rec := range im.records {
				moves = append(moves, store.Move{Name: rec.Key(), If: store.Condition{Digest: rec.Target.Digest}, Forget: true})
			}
			n = i + 1
		}
		if _, err := p.s.move(ctx, moves...); err != nil {
			return err
		}
		for _, im := range plan[:n] {
			p.removed(im)
		}
		plan = plan[n:]
	}
	return nil
}

// removed notes that an image has gone.
func (p *pruning) removed(im prunable) {
	target := string(im.target.Digest)
	for _, rec := range im.records {
		p.done.Removals = append(p.done.Removals, Removal{Untagged: Familiar(rec)})
		if !rec.Dangling() {
			p.s.emit(Event{Action: ActionUntag, ID: target, Name: Familiar(rec)})
		}
	}
	p.s.emit(Event{Action: ActionDelete, ID: target, Name: target})
	for _, b := range im.content {
		if _, again := p.seen[b.Digest]; !again {
			p.order = append(p.order, b.Digest)
		}
		p.seen[b.Digest] = b.Size
	}
}

// finish collects, and finds out what is gone.
func (p *pruning) finish(ctx context.Context) error {
	collected, err := store.Collect(ctx, p.s.store)
	if err != nil {
		return err
	}
	var freed int64
	err = p.s.view(ctx, func(v *view) error {
		for _, d := range p.order {
			_, err := v.Blob(d)
			switch {
			case err == nil:
			case errdefs.IsNotFound(err):
				freed += p.seen[d]
				p.done.Removals = append(p.done.Removals, Removal{Deleted: d})
			default:
				return err
			}
		}
		return nil
	})
	p.done.Reclaimed = max(collected.Bytes, freed) // another collection may have been quicker
	if err == nil {
		p.s.emit(Event{Action: ActionPrune, Attributes: map[string]string{AttributeReclaimed: strconv.FormatInt(p.done.Reclaimed, 10)}})
	}
	return err
}
