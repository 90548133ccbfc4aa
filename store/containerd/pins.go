package containerd

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"

	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/store"
)

// pins keep what this process reads, or is about to name, in a lease of its own. It is
// tied to the process: the collections of other ones end it if this one is killed.
type pins struct {
	s     *Store
	lease string

	turn  lock                  // guards what follows, and the lease itself
	made  bool                  // the lease, and it holds what is counted
	count map[digest.Digest]int // of those who want it kept
}

func newPins(s *Store) *pins {
	return &pins{s: s, lease: "dhow-" + rand.Text(), turn: newLock(), count: map[digest.Digest]int{}}
}

// add counts one more, or one less, and returns how many there are then.
func (p *pins) add(d digest.Digest, n int) int {
	p.count[d] += n
	left := p.count[d]
	if left == 0 {
		delete(p.count, d)
	}
	return left
}

// hold keeps a blob, which need not be there, until release is called.
func (p *pins) hold(ctx context.Context, d digest.Digest) (release func() error, err error) {
	done, err := p.turn.take(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	p.add(d, 1)
	if err := p.keep(ctx, d); err != nil {
		p.add(d, -1)
		return nil, err
	}
	return sync.OnceValue(func() error { return p.release(ctx, d) }), nil
}

// keep has the lease hold a blob that is counted. When there is none yet, or another client
// has removed it, it is made, and holds all that is counted.
func (p *pins) keep(ctx context.Context, d digest.Digest) error {
	if p.made {
		err := p.s.addResource(ctx, p.lease, resourceContent, d.String()) // even if it does: how else to know that it is there
		if !errdefs.IsNotFound(err) {
			return err
		}
		p.made = false
	}
	_, err := p.s.createLease(ctx, store.Lease{ID: p.lease, Process: true}, map[string]string{labelUse: "read"})
	if err != nil && !errdefs.IsAlreadyExists(err) { // it is ours, and was not filled
		return err
	}
	for d := range p.count {
		if err := p.s.addResource(ctx, p.lease, resourceContent, d.String()); err != nil {
			return err
		}
	}
	p.made = true
	return nil
}

// release lets go of a blob, even when the context has ended. A daemon that has lost the
// lease holds nothing anyway, and with the store it goes.
func (p *pins) release(ctx context.Context, d digest.Digest) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	done, err := p.turn.take(ctx)
	if err != nil {
		return fmt.Errorf("letting go of %s: %w", d, err)
	}
	defer done()
	if p.add(d, -1) > 0 || !p.made {
		return nil
	}
	_, err = p.s.leases.DeleteResource(ctx, &leasesapi.DeleteResourceRequest{
		ID: p.lease, Resource: &leasesapi.Resource{ID: d.String(), Type: resourceContent},
	})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("letting go of %s: %w", d, err)
	}
	return nil
}

// end ends the lease.
func (p *pins) end(ctx context.Context) error {
	done, err := p.turn.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	if !p.made {
		return nil
	}
	p.made = false
	if err := p.s.deleteLease(ctx, p.lease, false); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	return nil
}

// pinTargets keeps the targets of moves from being collected until they have names.
func (s *Store) pinTargets(ctx context.Context, moves []store.Move) (unpin func(), err error) {
	var releases []func() error
	unpin = func() { s.unpin(releases) }
	for _, m := range moves {
		if isZero(m.To) {
			continue
		}
		release, _, err := s.pin(ctx, m.To.Digest)
		if err != nil {
			return unpin, fmt.Errorf("name %s: its target: %w", strictjson.Quote(m.Name), err)
		}
		releases = append(releases, release)
	}
	return unpin, nil
}

// pinBefore keeps what names point at no more until the index says so too: who has found it
// there can hold it. It does so by a lease of its own, so that all is let go of at once.
func (s *Store) pinBefore(ctx context.Context, p *plan) (unpin func(), err error) {
	left := set{}
	for key, before := range p.before {
		if after, changes := p.after[key]; changes && after.Target.Digest != before.Target.Digest {
			left[before.Target.Digest] = struct{}{}
		}
	}
	if len(left) == 0 {
		return func() {}, nil
	}
	id := "dhow-" + rand.Text()
	unpin = func() {
		err := insist(ctx, func(ctx context.Context) error { return s.deleteLease(ctx, id, false) })
		if err != nil && !errdefs.IsNotFound(err) {
			s.log.Warn("letting go of what names have pointed at", "error", err)
		}
	}
	if _, err := s.createLease(ctx, store.Lease{ID: id, Process: true}, map[string]string{labelUse: "move"}); err != nil {
		return unpin, err
	}
	for d := range left {
		if err := s.addResource(ctx, id, resourceContent, d.String()); err != nil {
			return unpin, err
		}
	}
	return unpin, nil
}

func (s *Store) unpin(releases []func() error) {
	for _, release := range releases {
		if err := release(); err != nil {
			s.log.Warn("letting go of the target of a name", "error", err)
		}
	}
}
