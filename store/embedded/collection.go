package embedded

import (
	"errors"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

// collection is one step.
type collection struct {
	s     *Store
	going map[digest.Digest]bool // that nobody can begin to use until the end of the step
	files []digest.Digest        // of those that go
	step  store.Collected
	did   int // how much of what a step may do
	began time.Time

	leases leasesSeen
	seen   suspectsSeen
}

// suspectsSeen is how far a collection of several steps has looked at suspects: those that
// stay such, because of who reads, are not looked at in each step.
type suspectsSeen struct {
	after digest.Digest
	went  bool // something has, below which there may be others
}

// leasesSeen is how far a collection of several steps has looked for leases that are over.
type leasesSeen struct {
	after string
	all   bool
	next  time.Time // when the first of those that were not over is; zero: never
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
	c.files, c.step, c.did, c.leases, c.began = nil, store.Collected{}, 0, c.s.leasesSeen, time.Now()
	c.seen = c.s.suspectsSeen
	for _, work := range []func(*catalog.Tx) error{c.endLeases, c.drain, c.redraw, c.suspects} {
		err := work(tx)
		if errors.Is(err, errStop) {
			c.step.More = true
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *collection) late() bool { return time.Since(c.began) > stepTime }

// enough returns errStop when the step has done what it may.
func (c *collection) enough() error {
	if c.late() || c.did >= c.s.stepBlobs {
		return errStop
	}
	return nil
}

// endLeases ends the leases that are over.
func (c *collection) endLeases(tx *catalog.Tx) error {
	for !c.leases.all {
		leases, err := tx.LeasesAfter(c.leases.after, atOnce)
		if err != nil {
			return err
		}
		for _, l := range leases {
			c.leases.after = l.ID
			if !c.s.over(l) {
				if next := c.leases.next; !l.Until.IsZero() && (next.IsZero() || l.Until.Before(next)) {
					c.leases.next = l.Until
				}
				continue
			}
			if err := tx.Do(catalog.DropLease{ID: l.ID}); err != nil {
				return err
			}
			c.did++
			c.step.Leases++
			c.step.Examined++
		}
		c.leases.all = len(leases) < atOnce
		if err := c.enough(); err != nil {
			return err
		}
	}
	return nil
}

// drain lets go of what ended leases held. Half of the step is for what nobody needs then.
func (c *collection) drain(tx *catalog.Tx) error {
	for {
		n, more, err := tx.Drain(atOnce)
		c.did += n
		c.step.Examined += n
		if n > 0 {
			c.seen.after = "" // there are new suspects
		}
		if err != nil || !more {
			return err
		}
		if c.late() {
			return errStop
		}
		if c.did >= c.s.stepBlobs/2 {
			c.step.More = true
			return nil
		}
	}
}

// redraw draws outlines that are stale.
func (c *collection) redraw(tx *catalog.Tx) error {
	for {
		n, more, err := tx.Redraw(atOnce)
		c.step.Examined += n
		if err != nil || !more {
			return err
		}
		if c.late() {
			return errStop
		}
	}
}

// suspects lets go those that nobody needs.
func (c *collection) suspects(tx *catalog.Tx) error {
	for {
		found, err := tx.Suspects(c.seen.after, atOnce)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			again := c.s.suspectsSeen.after != "" && c.seen.went
			if err := c.doubtful(tx); err != nil {
				return err
			}
			c.step.More = c.step.More || again
			c.seen = suspectsSeen{}
			return nil
		}
		for _, d := range found {
			c.seen.after = d
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
	read := false
	var held []digest.Digest
	needed, err := tx.Needed(d, func(above digest.Digest) bool {
		if !c.going[above] {
			if read = !c.s.uses.collect(above); !read {
				c.going[above] = true // nobody comes to read it before what is below it has gone
				held = append(held, above)
			}
		}
		return read
	})
	if needed || err != nil {
		for _, above := range held {
			delete(c.going, above)
			c.s.uses.collected(above)
		}
	}
	switch {
	case err != nil:
		return err
	case read: // it stays a suspect: what is above it may hang on it alone
		return c.enough()
	case needed:
		if err := tx.Clear(d); err != nil {
			return err
		}
		c.did++
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
	c.did++
	c.seen.went = true
	c.step.Blobs++
	c.step.Bytes += blob.Size
	if blob.File() {
		c.files = append(c.files, d)
	}
	return c.enough()
}
