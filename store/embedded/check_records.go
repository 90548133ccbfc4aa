package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

// at is the directory in which a database is made for the check.
func (c *checker) at() *os.Root {
	if c.s.temporary != nil {
		return c.s.temporary
	}
	return c.s.root
}

// records checks the database against the journal, and finds out what to believe.
func (c *checker) records(ctx context.Context) error {
	if c.s.opts.ReadOnly {
		if _, err := c.s.openTemporary(); err != nil {
			return err
		}
	}
	if err := c.s.remove(c.at(), checkName); err != nil {
		return err
	}
	var err error
	c.want, err = c.s.rebuild(ctx, c.at(), checkName, func(what error) {
		c.journalBad = true
		c.found(BadJournal, journalName, what)
	})
	if err != nil {
		return err
	}
	if err := c.want.View(func(tx *catalog.Tx) error {
		state, err := tx.State()
		c.journalEnd = state.Journal
		return err
	}); err != nil {
		return err
	}
	c.database(ctx)
	c.truth = c.s.catalog.Load()
	c.lost = c.journalBad && c.dbErr != nil
	if c.rebuilds() {
		c.truth = c.want
	}
	return ctx.Err()
}

// rebuilds reports whether the database is to be made anew.
func (c *checker) rebuilds() bool { return c.dbErr != nil || c.recordsBad }

// database checks the database, as far as it can be read.
func (c *checker) database(ctx context.Context) {
	live := c.s.catalog.Load()
	if c.s.scratch != nil {
		c.dbErr = c.s.scratch
	} else if c.dbErr = live.CheckPages(); c.dbErr != nil {
		c.unsound = true
	} else {
		c.dbErr = live.View(func(tx *catalog.Tx) error { return c.checkDatabase(ctx, tx) })
	}
	if c.dbErr != nil && ctx.Err() == nil {
		c.found(BadDatabase, databaseName, c.dbErr)
	}
}

func (c *checker) checkDatabase(ctx context.Context, tx *catalog.Tx) error {
	state, err := tx.State()
	if err != nil {
		return err
	}
	if state.Journal != c.journalEnd && !c.journalBad {
		c.journalBad = true
		c.found(BadJournal, journalName, fmt.Errorf("it ends before %s, the database has it up to %s: %w", c.journalEnd, state.Journal, errdefs.ErrDataLoss))
	}
	var from catalog.Cursor
	for more := true; more; {
		if _, more, err = tx.Export(&from, stepBytes); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if c.journalBad {
		// There is nothing to compare with, but the pages are looked at all the same.
		err = tx.Compare(tx, func(catalog.Difference) error { return nil })
	} else {
		err = c.want.View(func(want *catalog.Tx) error {
			return tx.Compare(want, func(d catalog.Difference) error {
				c.recordsBad = true
				c.found(BadRecord, d.Record, fmt.Errorf("its %s is %s: %w", d.Bucket, d.What, errdefs.ErrDataLoss))
				return ctx.Err()
			})
		})
	}
	if err != nil {
		return err
	}
	if err := tx.Leaks(func(d digest.Digest) { c.leaks = append(c.leaks, d) }); err != nil {
		return err
	}
	// All pages can be read, so that the library can, which does so elsewhere.
	var problems []error
	if err := tx.Check(func(problem error) { problems = append(problems, problem) }); err != nil {
		return err
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("its pages are not sound: %w: %w", err, errdefs.ErrDataLoss)
	}
	return nil
}
