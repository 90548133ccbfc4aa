package embedded

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

const (
	// stepTime is for how long a step works in its transaction, which then has to be
	// made durable within the rest of the 50 ms that writers may have to wait.
	stepTime = 10 * time.Millisecond
	// A step lets go so many blobs at most: as many as should take stepAim by what the one
	// before took, but no more than twice as many.
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

// collection is one step.
type collection struct {
	s     *Store
	going map[digest.Digest]bool // that nobody can begin to use until the end of the step
	files []digest.Digest        // of those that go
	step  store.Collected
	began time.Time
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
	sum.More = sum.More || c.step.More
	if err != nil {
		return err
	}
	s.stepBlobs = nextStep(s.stepBlobs, c.step)
	if len(c.files) > 0 {
		_, _, err = s.files.Empty(ctx)
	}
	return err
}

// nextStep returns how many blobs the step after one may let go that was allowed so many.
func nextStep(allowed int, step store.Collected) int {
	next := int(float64(allowed) * stepAim.Seconds() / max(step.Longest, time.Millisecond).Seconds())
	if step.Blobs < allowed { // what it took says nothing of more
		next = min(next, allowed)
	}
	return min(max(next, minStepBlobs), 2*allowed, maxStepBlobs)
}

// letGo has the blobs be used again, those that are gone too: they may be written anew.
func (c *collection) letGo() {
	for d := range c.going {
		c.s.uses.collected(d)
	}
	clear(c.going)
}

// errStop says that there is no time left in the step.
var errStop = errors.New("the step is over")

// run is the transaction of a step. It may be called again.
func (c *collection) run(tx *catalog.Tx) error {
	c.letGo()
	c.files, c.step, c.began = nil, store.Collected{}, time.Now()
	if err := c.endLeases(tx); err != nil {
		return err
	}
	for _, work := range []func(limit int) (n int, more bool, err error){tx.Drain, tx.Redraw} {
		for more := true; more; {
			var n int
			var err error
			n, more, err = work(atOnce)
			c.step.Examined += n
			if err != nil {
				return err
			}
			if more && c.late() {
				c.step.More = true
				return nil
			}
		}
	}
	err := c.suspects(tx)
	if errors.Is(err, errStop) {
		c.step.More = true
		return nil
	}
	return err
}

func (c *collection) late() bool { return time.Since(c.began) > stepTime }

// endLeases ends the leases that are over.
func (c *collection) endLeases(tx *catalog.Tx) error {
	leases, err := tx.Leases()
	if err != nil {
		return err
	}
	for _, l := range leases {
		if !c.s.over(l) {
			continue
		}
		if err := tx.Do(catalog.DropLease{ID: l.ID}); err != nil {
			return err
		}
		c.step.Leases++
		c.step.Examined++
	}
	return nil
}

// suspects lets go those that nobody needs.
func (c *collection) suspects(tx *catalog.Tx) error {
	var after digest.Digest
	for {
		found, err := tx.Suspects(after, atOnce)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return c.doubtful(tx)
		}
		for _, d := range found {
			after = d
			if err := c.suspect(tx, d); err != nil {
				return err
			}
		}
	}
}

// doubtful is suspects for what has lost a reason to stay in this step.
func (c *collection) doubtful(tx *catalog.Tx) error {
	err := c.orphans(tx)
	for err == nil {
		d := tx.Doubtful()
		if d == "" {
			return nil
		}
		err = c.suspect(tx, d)
	}
	return err
}

// suspect looks at one blob, and if it goes at what is below it: the blobs of an image, which
// were written together, go together.
func (c *collection) suspect(tx *catalog.Tx, d digest.Digest) error {
	if !c.examine(d) {
		return nil
	}
	needed, err := tx.Needed(d, c.s.uses.used)
	if err != nil {
		return err
	}
	if needed {
		if err := tx.Clear(d); err != nil {
			return err
		}
		return c.enough()
	}
	if err := c.drop(tx, d); err != nil {
		return err
	}
	return c.orphans(tx)
}

// orphans lets go what has lost its last reason to stay in this step.
func (c *collection) orphans(tx *catalog.Tx) error {
	for {
		d, err := tx.Orphan()
		if err != nil || d == "" {
			return err
		}
		if !c.examine(d) {
			continue
		}
		if err := c.drop(tx, d); err != nil {
			return err
		}
	}
}

// examine reports whether a blob can be looked at: whoever uses one ends one day, and it
// stays a suspect until then.
func (c *collection) examine(d digest.Digest) bool {
	if !c.going[d] && !c.s.uses.collect(d) {
		return false
	}
	c.going[d] = true
	c.step.Examined++
	return true
}

// drop lets one blob go, unless it has gone with what was above it.
func (c *collection) drop(tx *catalog.Tx, d digest.Digest) error {
	blob, err := tx.Blob(d)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := tx.Do(catalog.DropBlob{Digest: d}); err != nil {
		return err
	}
	c.step.Blobs++
	c.step.Bytes += blob.Size
	if blob.File() {
		c.files = append(c.files, d)
	}
	return c.enough()
}

// enough returns errStop when the step has done what it may.
func (c *collection) enough() error {
	if c.late() || c.step.Blobs >= c.s.stepBlobs {
		return errStop
	}
	return nil
}
