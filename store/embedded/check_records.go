package embedded

import (
	"context"
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
	"github.com/dhowhq/dhow/store/embedded/internal/journal"
)

// records checks database and journal, and finds out what to believe.
func (c *checker) records(ctx context.Context) error {
	c.dbErr = c.readable(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.dbErr != nil {
		c.found(BadDatabase, databaseName, c.dbErr)
	}
	place := c.s.inScratch
	if c.opts.Repair { // what is made may have to stay
		place = c.s.inRoot
	}
	if err := place(checkName, func(at *os.Root) error { return c.journal(ctx, at) }); err != nil {
		return err
	}
	c.want, c.truth = c.logged, c.logged
	if c.rebuilds() {
		return nil
	}
	return c.agree(ctx)
}

// agree checks that a database that can be read is what it should be.
func (c *checker) agree(ctx context.Context) error {
	if c.journalBad {
		if err := c.rederive(ctx); err != nil {
			return err
		}
	}
	c.truth = c.s.catalog.Load()
	if err := c.truth.View(func(tx *catalog.Tx) error { return c.compare(ctx, tx) }); err != nil {
		return err
	}
	if c.recordsBad {
		c.truth = c.want
	}
	return nil
}

// rebuilds reports whether the database is to be made anew.
func (c *checker) rebuilds() bool { return c.dbErr != nil || c.recordsBad }

// readable reads the pages and records of the database, and returns why it cannot be read.
func (c *checker) readable(ctx context.Context) error {
	if c.s.scratch != nil {
		return c.s.scratch
	}
	live := c.s.catalog.Load()
	if err := live.CheckPages(ctx); err != nil {
		return err
	}
	err := live.View(func(tx *catalog.Tx) (err error) {
		c.state, err = tx.State()
		return err
	})
	if err != nil {
		return err
	}
	return c.export(ctx, live, func([]byte) error { return nil })
}

// export calls f with the changes that make what a database has.
func (c *checker) export(ctx context.Context, db *catalog.DB, f func(log []byte) error) error {
	var from catalog.Cursor
	for more := true; more; {
		var log []byte
		err := db.View(func(tx *catalog.Tx) (err error) {
			log, more, err = tx.Export(&from, stepBytes/16)
			return err
		})
		if err == nil && len(log) > 0 {
			err = f(log)
		}
		if err == nil {
			err = c.step(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// journal checks the journal, by making a database of it.
func (c *checker) journal(ctx context.Context, at *os.Root) error {
	c.at, c.journalBad = at, false
	var damage []error
	var until journal.Position // what comes after it is not in the database yet
	if c.dbErr == nil {
		until = c.state.Journal
	}
	logged, start, end, err := c.s.rebuild(ctx, at, checkName, until, func(what error) { damage = append(damage, what) })
	if err != nil {
		return err
	}
	c.made, c.logged, c.journalEnd = append(c.made, logged), logged, end
	switch {
	case len(damage) > 0:
	case c.dbErr == nil && (end.Sequence < until.Sequence || start.Segment > until.Segment):
		damage = append(damage, fmt.Errorf("it goes from %s to %s, the database has it up to %s: %w", start, end, until, errdefs.ErrDataLoss))
	case c.dbErr != nil && c.s.journalAt != nil:
		torn, err := journal.Torn(c.s.journalAt, end)
		if err != nil {
			return err
		}
		if torn > 0 {
			damage = append(damage, fmt.Errorf("its last %d bytes are no entry, and the database does not know which: %w", torn, errdefs.ErrDataLoss))
		}
	}
	c.journalBad = len(damage) > 0
	for _, what := range damage {
		c.found(BadJournal, journalName, what)
	}
	return nil
}

// rederive makes a database of the records of the one that there is, whose index follows
// from them: a damaged journal cannot say what it should be.
func (c *checker) rederive(ctx context.Context) error {
	if err := c.s.remove(c.at, indexName); err != nil {
		return err
	}
	db, err := catalog.Create(c.at, indexName, catalog.Scratch)
	if err != nil {
		return err
	}
	c.made, c.want = append(c.made, db), db
	r := replayer{db: db}
	defer r.end()
	err = c.export(ctx, c.s.catalog.Load(), func(log []byte) error { return r.entry(c.state.Journal, log) })
	if err == nil {
		err = r.commit(c.state.Journal)
	}
	if err != nil {
		return err
	}
	return finishScratch(db, c.state.Journal)
}

// compare compares the database with what it should be.
func (c *checker) compare(ctx context.Context, tx *catalog.Tx) error {
	err := c.want.View(func(want *catalog.Tx) error {
		return tx.Compare(ctx, want, func(d catalog.Difference) error {
			c.recordsBad = true
			c.found(BadRecord, d.Record, fmt.Errorf("its %s is %s: %w", d.Bucket, d.What, errdefs.ErrDataLoss))
			return c.step(ctx)
		})
	})
	if err != nil || c.recordsBad {
		return err
	}
	return tx.Leaks(ctx, func(d digest.Digest) { c.leaks = append(c.leaks, d) })
}
