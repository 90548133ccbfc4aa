package embedded

import (
	"context"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
)

const (
	// stepTime is for how long a step works in its transaction, which then has to be
	// made durable within the rest of the 50 ms that writers may have to wait.
	stepTime = 10 * time.Millisecond
	// A step lets go so many blobs at most, and of what leases held: as many as should take
	// stepAim by what the one before took, but no more than twice as many.
	minStepBlobs   = 16
	firstStepBlobs = 200
	maxStepBlobs   = 1000
	stepAim        = 20 * time.Millisecond
	// stepPartial is how many partial blobs a step gives up at most.
	stepPartial = 100
	// atOnce is how many suspects are looked up at once.
	atOnce = 64
)

// Collect is that of store.GC. Beside collecting it looks, after a crash, for files that
// no record knows, and writes the journal anew when most of it is of no use any more.
func (s *Store) Collect(ctx context.Context) (store.Collected, error) {
	if err := lockIn(ctx, &s.collecting); err != nil {
		return store.Collected{}, err
	}
	defer s.collecting.Unlock()
	if err := s.refused(); err != nil {
		return store.Collected{}, err
	}
	s.takeLeft()
	var c store.Collected
	n, _, err := s.files.Expire(ctx, s.now().Add(-s.opts.KeepPartial), stepPartial)
	c.Partial, c.Examined, c.More = n, n, n == stepPartial
	if err != nil {
		return c, fmt.Errorf("collecting partial blobs: %w", err)
	}
	if err := s.collect(ctx, &c); err != nil {
		return c, fmt.Errorf("collecting: %w", err)
	}
	if c.More {
		return c, nil
	}
	for _, work := range []func(context.Context, *store.Collected) error{s.sweepFiles, s.compact} {
		if err := work(ctx, &c); err != nil || c.More {
			return c, err
		}
	}
	return c, nil
}

func (s *Store) collect(ctx context.Context, sum *store.Collected) error {
	c := collection{s: s, going: map[digest.Digest]bool{}}
	done := make(chan error, 1)
	s.background.Add(1)
	err := s.submit(ctx, c.run, func(err error) {
		c.step.Longest = time.Since(c.began)
		go func() {
			defer s.background.Done()
			if err == nil {
				err = s.trash(c.files) // as long as nobody can write them anew
			}
			c.letGo()
			done <- err
		}()
	})
	if err != nil {
		return err // what goes on is waited for by Close
	}
	err = <-done
	sum.Examined += c.step.Examined
	sum.Blobs, sum.Bytes, sum.Leases = c.step.Blobs, c.step.Bytes, c.step.Leases
	sum.Longest = c.step.Longest
	if next := c.leases.next; !next.IsZero() && !s.opts.Clock().Before(next) {
		c.leases, c.step.More = leasesSeen{}, true // it was not over when it was looked at
	}
	sum.More = sum.More || c.step.More
	if err != nil {
		return err
	}
	s.stepBlobs = nextStep(s.stepBlobs, c.did, c.step.Longest)
	if s.leasesSeen, s.suspectsSeen = c.leases, c.seen; !c.step.More {
		s.leasesSeen, s.suspectsSeen = leasesSeen{}, suspectsSeen{}
	}
	return s.empty(ctx)
}

// nextStep returns how much the step after one may do that was allowed so much, and has done
// so much in that time.
func nextStep(allowed, did int, took time.Duration) int {
	next := int(float64(allowed) * stepAim.Seconds() / max(took, time.Millisecond).Seconds())
	if did < allowed { // what it took says nothing of more
		next = min(next, allowed)
	}
	return min(max(next, minStepBlobs), 2*allowed, maxStepBlobs)
}
