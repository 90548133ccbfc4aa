package embedded

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
	"github.com/dhowhq/dhow/store/embedded/internal/journal"
)

// CheckOptions say how a store is checked. The zero value checks everything and changes
// nothing.
type CheckOptions struct {
	// Quick looks only whether files are there with their sizes, and reads no bytes of
	// blobs in files.
	Quick bool
	// Repair makes the store whole, as far as that is possible: see Store.Check.
	Repair bool
	// Found is told each finding as it comes, if it is not nil.
	Found func(Finding)
	// Progress is told some times a second how far the check has come, if it is not nil.
	Progress func(Report)
}

// Problem is a kind of finding.
type Problem string

// The kinds of findings, and what a repair does.
const (
	// BadFormat: the format file is missing or damaged. It is written again.
	BadFormat Problem = "format"
	// BadDatabase: the database is missing or cannot be read. It is set aside, and made
	// anew from the journal and what can still be read of it.
	BadDatabase Problem = "database"
	// BadJournal: entries of the journal are damaged or missing. It is written anew from
	// the database.
	BadJournal Problem = "journal"
	// BadRecord: a record is not what the journal says. The database is made anew.
	BadRecord Problem = "record"
	// BadBlob: the bytes of a blob are damaged or missing. Its file is set aside and its
	// record removed, so that it can be written again.
	BadBlob Problem = "blob"
	// BadFacts: what is noted of a document is not what its bytes say. It is noted anew.
	BadFacts Problem = "facts"
	// BadName: a name points at what is not there. It is removed.
	BadName Problem = "name"
	// Leaked: nobody needs a blob, and no collection would find it. The next one does.
	Leaked Problem = "leak"
	// Stray: a file that no record knows, or that has no place in a store. A blob's file
	// is removed, or is known again if the database and the journal were both damaged;
	// what is in the place of a blob is set aside, all else stays.
	Stray Problem = "stray"
)

// Finding is something that is not as it should be.
type Finding struct {
	Problem Problem
	// What is a digest, a name, or a path below the store's directory; empty for all.
	What string
	// Err says what is wrong with it.
	Err error
	// Repaired tells that it is not so any more.
	Repaired bool
}

func (f Finding) String() string {
	text := fmt.Sprintf("%s: %v", f.Problem, f.Err)
	if f.What != "" {
		text = fmt.Sprintf("%s %s: %v", f.Problem, f.What, f.Err)
	}
	if f.Repaired {
		text += " (repaired)"
	}
	return text
}

// Report is what a check has found.
type Report struct {
	Findings []Finding
	Blobs    int   // that were checked
	Bytes    int64 // of them that were read
	Names    int   // dangling records too
}

// Sound reports whether nothing is wrong, or all that was is repaired.
func (r Report) Sound() bool {
	for _, f := range r.Findings {
		if !f.Repaired {
			return false
		}
	}
	return true
}

// Check checks the whole store: that the database is what the journal says, that every
// blob has its bytes and every name its target, and that there is nothing else. Writers
// wait for as long as it takes. Its error is one of the checking itself: what is wrong
// with the store is in the report.
//
// With Repair the store can be written to afterwards, whatever was wrong. What the
// database and the journal have lost both is lost; blobs in files that had no record any
// more are then held by a lease of 30 days, whose ID begins with RecoveredLease.
func (s *Store) Check(ctx context.Context, opts CheckOptions) (Report, error) {
	if s.closed.Load() {
		return Report{}, errClosed
	}
	if opts.Repair && s.opts.ReadOnly {
		return Report{}, fmt.Errorf("repairing a store that was opened for reading only: %w", errdefs.ErrFailedPrecondition)
	}
	s.collecting.Lock()
	defer s.collecting.Unlock()
	s.cancelCompaction()
	s.commits.gate.Lock()
	defer s.commits.gate.Unlock()
	c := &checker{s: s, opts: opts, bad: map[digest.Digest]error{}}
	if err := c.run(ctx); err != nil {
		return c.report, fmt.Errorf("checking the store %s: %w", s.root.Name(), err)
	}
	return c.report, nil
}

// checker is one Check.
type checker struct {
	s      *Store
	opts   CheckOptions
	report Report
	told   time.Time // when Progress was told

	journalEnd journal.Position
	journalBad bool        // entries are damaged or missing
	recordsBad bool        // records are not what the journal says
	dbErr      error       // why the database cannot be read
	want       *catalog.DB // what the journal says
	truth      *catalog.DB // what is believed: the database, or want

	unsound bool // the pages of the database are not even to be looked at
	lost    bool // both the database and the journal were damaged
	leaks   []digest.Digest
	good    []digest.Digest         // whose files were verified
	bad     map[digest.Digest]error // blobs whose bytes are damaged

	recovered catalog.Lease // that holds blobs which have lost their records
}

func (c *checker) run(ctx context.Context) (err error) {
	if err := readFormat(c.s.root); err != nil {
		c.found(BadFormat, formatName, err)
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.records(ctx); err != nil {
		return err
	}
	if c.opts.Repair {
		if err := c.repairRecords(ctx); err != nil {
			return err
		}
	}
	for _, part := range []func(context.Context) error{c.blobs, c.names, c.strays} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	if c.opts.Repair {
		return c.finishRepair(ctx)
	}
	return nil
}

// found notes a finding, which is repaired if that is what was asked for: what cannot be
// repaired is an error of the check.
func (c *checker) found(p Problem, what string, err error) {
	c.note(Finding{Problem: p, What: what, Err: err, Repaired: c.opts.Repair})
}

func (c *checker) note(f Finding) {
	c.report.Findings = append(c.report.Findings, f)
	if c.opts.Found != nil {
		c.opts.Found(f)
	}
}

// progressEvery is how often Progress is told at most.
const progressEvery = 200 * time.Millisecond

// progress tells how far the check is.
func (c *checker) progress() {
	if c.opts.Progress == nil || time.Since(c.told) < progressEvery {
		return
	}
	c.told = time.Now()
	c.opts.Progress(c.report)
}

// close gives up what was made for the check.
func (c *checker) close() error {
	if c.want == nil || c.want == c.s.catalog.Load() {
		return nil
	}
	err := c.want.Close()
	c.want = nil
	return errors.Join(err, c.s.remove(c.at(), checkName))
}
