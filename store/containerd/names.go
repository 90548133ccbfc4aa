package containerd

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/store"
)

// Move moves names. containerd changes one image record at a time, and compares none
// with what it was: conditions hold among those who use one Store, and a daemon that is
// lost in the middle has moved some of the names.
func (s *Store) Move(ctx context.Context, moves ...store.Move) ([]store.Moved, error) {
	release, err := s.moving.take(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	unpin, err := s.pinTargets(ctx, moves)
	defer unpin()
	if err != nil {
		return nil, err
	}
	p, err := s.plan(ctx, moves, nil)
	if err != nil {
		return nil, err
	}
	return s.run(ctx, p)
}

// plan is what becomes of records, and what that is for the caller.
type plan struct {
	before map[string]store.Record // by key; those that there are
	after  map[string]store.Record // those that are to be; a zero target for none
	order  []string                // the keys of after
	moved  []store.Moved
}

// plan checks moves against what containerd has now. Documents that are about to be
// visible are in fresh. The caller holds moving.
func (s *Store) plan(ctx context.Context, moves []store.Move, fresh map[digest.Digest]store.Facts) (*plan, error) {
	p := &plan{before: map[string]store.Record{}, after: map[string]store.Record{}}
	for _, m := range moves {
		if err := s.planOne(ctx, p, m, fresh); err != nil {
			return nil, fmt.Errorf("name %s: %w", strictjson.Quote(m.Name), err)
		}
	}
	return p, s.planDangling(ctx, p, moves)
}

// look notes what a key points at now.
func (s *Store) look(ctx context.Context, p *plan, key string) (r store.Record, there bool, err error) {
	if r, there = p.before[key]; there {
		return r, true, nil
	}
	r, err = s.getImage(ctx, nameOf(key))
	if errdefs.IsNotFound(err) {
		return store.Record{}, false, nil
	}
	if err == nil {
		p.before[key] = r
	}
	return r, err == nil, err
}

func (p *plan) set(key string, r store.Record) {
	if _, there := p.after[key]; !there {
		p.order = append(p.order, key)
	}
	p.after[key] = r
}

// planOne checks one move.
func (s *Store) planOne(ctx context.Context, p *plan, m store.Move, fresh map[digest.Digest]store.Facts) error {
	if err := checkKey(m.Name); err != nil {
		return err
	}
	if _, again := p.after[m.Name]; again {
		return fmt.Errorf("it is given twice: %w", errdefs.ErrInvalidArgument)
	}
	if _, err := keptLabels(m.Labels); err != nil {
		return err
	}
	before, there, err := s.look(ctx, p, m.Name)
	if err != nil {
		return err
	}
	if m.If.Absent && there {
		return fmt.Errorf("it points at %s: %w", before.Target.Digest, errdefs.ErrFailedPrecondition)
	}
	if m.If.Digest != "" && m.If.Digest != before.Target.Digest {
		return fmt.Errorf("it does not point at %s: %w", m.If.Digest, errdefs.ErrFailedPrecondition)
	}
	next := store.Record{Target: m.To, Labels: m.Labels}
	if digestOf(m.Name) == "" {
		next.Name = m.Name
	}
	if isZero(m.To) {
		next.Target = ocispec.Descriptor{}
	} else if err := s.checkTarget(ctx, m, fresh); err != nil {
		return err
	}
	p.set(m.Name, next)
	p.moved = append(p.moved, store.Moved{Before: before})
	return nil
}

// checkTarget checks that a name may point there.
func (s *Store) checkTarget(ctx context.Context, m store.Move, fresh map[digest.Digest]store.Facts) error {
	to := m.To
	if d := digestOf(m.Name); d != "" && d != to.Digest {
		return fmt.Errorf("a dangling record of another digest, %s: %w", to.Digest, errdefs.ErrInvalidArgument)
	}
	facts, isFresh := fresh[to.Digest]
	if !isFresh {
		info, err := s.info(ctx, to.Digest)
		if err != nil {
			return err
		}
		if info.GetLabels()[labelDocument] == "" && image.IsDocument(to.MediaType) && info.GetSize() == to.Size {
			if err := s.adoptGraph(ctx, rootEdge(store.Record{Target: to})); err != nil {
				return err
			}
		}
		facts, err = s.Facts(ctx, to.Digest)
		if err != nil && !errdefs.IsNotFound(err) {
			return err
		}
	}
	if facts.MediaType != to.MediaType || facts.Size != to.Size || !image.IsDocument(to.MediaType) {
		return fmt.Errorf("%s is not known as %s of %d bytes: %w", to.Digest, strictjson.Quote(to.MediaType), to.Size, errdefs.ErrInvalidArgument)
	}
	return nil
}

// planDangling adds what becomes dangling, and what is so no more.
func (s *Store) planDangling(ctx context.Context, p *plan, moves []store.Move) error {
	for i, m := range moves {
		before := p.moved[i].Before
		if before.Name == "" || m.Forget || p.named(s, before.Target.Digest) {
			continue
		}
		if err := s.planNameless(ctx, p, before); err != nil {
			return err
		}
	}
	for _, key := range p.order {
		if r := p.after[key]; !isZero(r.Target) && p.named(s, r.Target.Digest) {
			if err := s.planNamed(ctx, p, r.Target); err != nil {
				return err
			}
		}
	}
	for i := range p.moved {
		before := p.moved[i].Before
		p.moved[i].Dangling = before.Name != "" && p.dangles(before.Target)
	}
	return nil
}

// dangling returns the key of the dangling record of a target.
func dangling(target ocispec.Descriptor) string { return store.Record{Target: target}.Key() }

// planNameless adds a dangling record for what a name pointed at, unless a move says
// what is to become of it.
func (s *Store) planNameless(ctx context.Context, p *plan, before store.Record) error {
	key := dangling(before.Target)
	if _, asked := p.after[key]; asked {
		return nil
	}
	_, there, err := s.look(ctx, p, key)
	if err == nil && !there {
		p.set(key, store.Record{Target: before.Target, Labels: before.Labels})
	}
	return err
}

// planNamed removes the dangling record of what will have a name.
func (s *Store) planNamed(ctx context.Context, p *plan, target ocispec.Descriptor) error {
	key := dangling(target)
	_, there, err := s.look(ctx, p, key)
	if _, asked := p.after[key]; err == nil && (there || asked) {
		p.set(key, store.Record{})
	}
	return err
}

// dangles reports whether there will be a dangling record of a target.
func (p *plan) dangles(target ocispec.Descriptor) bool {
	key := dangling(target)
	if after, planned := p.after[key]; planned {
		return !isZero(after.Target)
	}
	_, there := p.before[key]
	return there
}

// named reports whether a name will point at a digest.
func (p *plan) named(s *Store, d digest.Digest) bool {
	for _, r := range p.after {
		if r.Name != "" && r.Target.Digest == d {
			return true
		}
	}
	for _, name := range s.index.named(d) {
		if _, moves := p.after[name]; !moves {
			return true
		}
	}
	return false
}

// steps returns the keys of what changes, what is removed last: so that nothing is without
// a name that has one before and after.
func (p *plan) steps() []string {
	var put, remove []string
	for _, key := range p.order {
		if !isZero(p.after[key].Target) {
			put = append(put, key)
		} else if _, there := p.before[key]; there {
			remove = append(remove, key)
		}
	}
	return append(put, remove...)
}

// run does what was planned. All that can be done before the first record changes is done
// before. From then on it goes on when the context ends, unless the daemon is lost: what has
// not changed then stays as it is.
func (s *Store) run(ctx context.Context, p *plan) ([]store.Moved, error) {
	unpin, err := s.pinBefore(ctx, p)
	defer unpin()
	if err != nil {
		return nil, err
	}
	for _, r := range p.after {
		if !isZero(r.Target) {
			if err := s.learnGraph(ctx, rootEdge(r)); err != nil {
				return nil, err
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	changes := map[string]*entry{}
	var errs []error
	for _, key := range p.steps() {
		err := insist(ctx, func(ctx context.Context) error { return s.changeRecord(ctx, p, key, changes) })
		errs = append(errs, err)
		if errdefs.IsUnavailable(err) || errdefs.IsDeadlineExceeded(err) {
			break
		}
	}
	s.change(changes)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p.moved, nil
}

// changeRecord makes, moves or removes one record.
func (s *Store) changeRecord(ctx context.Context, p *plan, key string, changes map[string]*entry) error {
	before, there := p.before[key]
	r := p.after[key]
	var err error
	switch {
	case isZero(r.Target):
		err = s.deleteImage(ctx, before)
		if errdefs.IsNotFound(err) { // another client has moved or removed it
			err = fmt.Errorf("%w: %w", err, errdefs.ErrFailedPrecondition)
		}
	case !there:
		r, err = s.createImage(ctx, r)
	case before.Name == "" && r.Labels == nil:
		return nil // what dangles already
	default:
		r, err = s.updateImage(ctx, r)
	}
	if err != nil {
		return err
	}
	changes[key] = nil
	if !isZero(r.Target) {
		changes[key] = s.newEntry(r)
	}
	return nil
}
