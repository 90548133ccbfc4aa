package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store/embedded/internal/blobfile"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
	"github.com/dhowhq/dhow/store/embedded/internal/journal"
)

// CheckOptions say how a store is checked. The zero value checks everything and repairs
// nothing; what is left of the check itself goes with it.
type CheckOptions struct {
	// Quick looks only whether files are there with their sizes, and reads no bytes of
	// blobs in files.
	Quick bool
	// Repair makes the store whole, as far as that is possible: see Store.Check.
	Repair bool
	// Found is told each finding as it comes, before it is repaired, if it is not nil.
	Found func(Finding)
	// Progress is told a few times a second how far the check has come, if it is not
	// nil.
	Progress func(Report)
}

// Report is what a check has found.
type Report struct {
	Findings []Finding
	Blobs    int   // that were checked
	Bytes    int64 // of them that were read
	Names    int   // dangling records too
}

// Sound reports whether nothing is wrong, or a repair has done what can be done about all
// that was.
func (r Report) Sound() bool {
	for _, f := range r.Findings {
		if !f.Repaired {
			return false
		}
	}
	return true
}

// Check checks the whole store: that the database is what the journal says and its index
// what its records say, that every blob has its bytes and every name its target, and that
// there is nothing else below the store's directory. Writers wait for as long as it takes.
// Its error is one of the checking itself, as a disk that cannot be read, with a report of
// what was found until then: what is wrong with the store is in the report.
//
// With Repair the store can be written to afterwards, whatever was wrong. What can be read
// in the database or in the journal is kept. The damaged bytes of a blob are set aside in
// bad/, and the blob is missing until it is written again, with all that is known of it.
// If both database and journal were damaged, blobs in files that have lost their records
// are held by a lease of 30 days, whose ID begins with "recovered". A repair that was
// interrupted can be repeated.
func (s *Store) Check(ctx context.Context, opts CheckOptions) (Report, error) {
	if s.closed.Load() {
		return Report{}, errClosed
	}
	if opts.Repair && s.opts.ReadOnly {
		return Report{}, fmt.Errorf("repairing a store that was opened for reading only: %w", errdefs.ErrFailedPrecondition)
	}
	if err := lockIn(ctx, &s.collecting); err != nil {
		return Report{}, err
	}
	defer s.collecting.Unlock()
	if err := lockIn(ctx, &s.commits.gate); err != nil {
		return Report{}, err
	}
	defer s.commits.gate.Unlock()
	s.takeLeft()
	s.cancelCompaction()
	c := &checker{s: s, opts: opts, bad: map[digest.Digest]bool{}}
	if err := c.run(ctx); err != nil {
		return c.report, fmt.Errorf("checking the store %s: %w", s.root.Name(), err)
	}
	return c.report, nil
}

// lockIn locks a mutex, unless the context ends before: then it is not locked.
func lockIn(ctx context.Context, mu *sync.Mutex) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if mu.TryLock() {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// checker is one Check.
type checker struct {
	s      *Store
	opts   CheckOptions
	report Report
	told   time.Time // when Progress was told last

	state      catalog.State    // of the database, if dbErr is nil
	dbErr      error            // why the database cannot be read
	recordsBad bool             // records are not what they should be
	journalBad bool             // entries are damaged or missing
	journalEnd journal.Position // of what can be read

	logged *catalog.DB   // made of the journal
	want   *catalog.DB   // what the database should be: logged, or made of its own records
	truth  *catalog.DB   // what is believed: the database, or want
	made   []*catalog.DB // for the check
	at     *os.Root      // where those are

	planted   []blobfile.Stray // in the places of blobs
	leaks     []digest.Digest
	good      []digest.Digest        // whose files were verified
	bad       map[digest.Digest]bool // whose bytes are damaged or missing
	recovered catalog.Lease          // that holds blobs which have lost their records
}

func (c *checker) run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, c.close()) }()
	if err := readFormat(c.s.root); err != nil {
		c.found(BadFormat, formatName, err)
	}
	for _, part := range []func(context.Context) error{c.tree, c.records} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	if c.opts.Repair {
		if err := c.repairRecords(ctx); err != nil {
			return err
		}
		for i := range c.report.Findings {
			c.report.Findings[i].Repaired = true
		}
	}
	for _, part := range []func(context.Context) error{c.blobs, c.names, c.unknown, c.leaked} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	if c.opts.Repair {
		return c.finishRepair(ctx)
	}
	return nil
}

// progressEvery is how often Progress is told at most.
const progressEvery = 200 * time.Millisecond

// step says whether to go on, and tells how far the check is.
func (c *checker) step(ctx context.Context) error {
	if c.opts.Progress != nil && time.Since(c.told) >= progressEvery {
		c.told = time.Now()
		c.opts.Progress(c.report)
	}
	return ctx.Err()
}

// found notes a finding.
func (c *checker) found(p Problem, what string, err error) {
	c.note(Finding{Problem: p, What: what, Err: err, Remedy: p.remedy()})
}

func (c *checker) note(f Finding) {
	c.report.Findings = append(c.report.Findings, f)
	if c.opts.Found != nil {
		c.opts.Found(f)
	}
}

// repaired has the last finding be repaired, if that is wanted.
func (c *checker) repaired(repair func() error) error {
	if !c.opts.Repair {
		return nil
	}
	if err := repair(); err != nil {
		return err
	}
	c.report.Findings[len(c.report.Findings)-1].Repaired = true
	return nil
}

// close gives up what was made for the check.
func (c *checker) close() error {
	var errs []error
	for _, db := range c.made {
		errs = append(errs, db.Close())
	}
	if c.at != nil {
		errs = append(errs, c.s.remove(c.at, checkName), c.s.remove(c.at, indexName))
	}
	return errors.Join(errs...)
}
