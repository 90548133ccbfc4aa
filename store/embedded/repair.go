package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
	"github.com/dhowhq/dhow/store/embedded/internal/files"
	"github.com/dhowhq/dhow/store/embedded/internal/journal"
)

// repairRecords puts in place what is believed: journal, database and format. The store
// can be written to after it. A damaged journal comes first: once that is whole again, and
// has what was lost from both, the database can be made of it, whatever happens.
func (c *checker) repairRecords(ctx context.Context) error {
	if c.lost() {
		if err := c.salvage(ctx); err != nil {
			return fmt.Errorf("reading what is left of the database: %w", err)
		}
		if err := c.recoverFiles(ctx); err != nil {
			return fmt.Errorf("looking for blobs that have lost their records: %w", err)
		}
	}
	if c.journalBad {
		if err := c.rewriteJournal(ctx); err != nil {
			return fmt.Errorf("writing the journal anew: %w", err)
		}
	}
	if c.rebuilds() {
		if err := c.installDatabase(); err != nil {
			return fmt.Errorf("putting a new database in place: %w", err)
		}
	} else if c.journalBad {
		if err := c.s.direct(c.setJournal); err != nil {
			return err
		}
	}
	if c.s.journal == nil {
		if err := c.s.replay(ctx); err != nil {
			return err
		}
	}
	if err := c.s.sizeJournal(); err != nil {
		return err
	}
	if err := writeFormat(c.s.root); err != nil {
		return err
	}
	if c.s.failing.Load() == nil {
		c.s.refusal.Store(nil)
	}
	return nil
}

// salvagedAtOnce is how many changes are salvaged in a transaction.
const salvagedAtOnce = 1000

// salvage adds to what the journal has given what can still be read of the database,
// which is newer.
func (c *checker) salvage(ctx context.Context) error {
	r := replayer{db: c.want}
	defer r.end()
	n := 0
	err := catalog.Salvage(ctx, c.s.root, databaseName, func(change catalog.Change) error {
		if n++; n%salvagedAtOnce == 0 {
			if err := r.commit(c.journalEnd); err != nil {
				return err
			}
		}
		if err := r.begin(); err != nil {
			return err
		}
		if known, err := r.tx.Knows(change); err != nil || known {
			return err
		}
		return r.tx.Apply(change)
	}, func(err error) {
		c.s.log.Warn("something in the damaged database cannot be read", "error", err)
	})
	if err == nil {
		err = r.commit(c.journalEnd)
	}
	if err != nil {
		return err
	}
	return finishScratch(c.want, c.journalEnd)
}

// rewriteJournal begins a new journal, with a snapshot of what is believed, and removes
// the old one.
func (c *checker) rewriteJournal(ctx context.Context) error {
	s := c.s
	if s.journalAt == nil {
		if err := s.remakeJournalDir(); err != nil {
			return err
		}
	}
	list, err := journal.List(s.journalAt)
	if err != nil {
		return err
	}
	segment := max(c.journalEnd.Segment, c.state.Journal.Segment)
	for _, n := range append(list.Segments, list.Snapshots...) {
		segment = max(segment, n)
	}
	segment++
	sequence := max(c.journalEnd.Sequence, c.state.Journal.Sequence)
	if c.dbErr != nil {
		sequence++ // without its snapshot the segment is not to pass for a whole journal
	}
	log, err := journal.Create(s.journalAt, segment, sequence)
	if err != nil {
		return err
	}
	if s.journal != nil {
		_ = s.journal.Close() // all that was to be durable is
	}
	s.journal = log
	out, err := journal.NewSnapshot(s.journalAt, segment)
	if err != nil {
		return err
	}
	if err := c.export(ctx, c.truth, out.Add); err != nil {
		return errors.Join(err, out.Cancel())
	}
	return out.Finish()
}

// setJournal notes that the journal that is written to has nothing yet that the database
// does not have.
func (c *checker) setJournal(tx *catalog.Tx) error {
	state, err := tx.State()
	state.Journal = c.s.journal.Next()
	tx.SetState(state)
	return err
}

// installDatabase makes of the database that is believed the one of the store. The other
// one is set aside.
func (c *checker) installDatabase() error {
	s, old := c.s, c.s.catalog.Load()
	if err := c.prepareDatabase(); err != nil {
		return err
	}
	name := checkName
	if c.want != c.logged {
		name = indexName
	}
	c.made = slices.DeleteFunc(c.made, func(db *catalog.DB) bool { return db == c.want })
	if err := errors.Join(c.want.Sync(), c.want.Close(), old.Close()); err != nil && !catalog.IsDamaged(err) {
		return err
	}
	if err := s.setAside(databaseName); err != nil {
		return err
	}
	if err := s.root.Rename(name, databaseName); err != nil {
		return files.Kind(err)
	}
	if err := files.SyncDir(s.root); err != nil {
		return err
	}
	db, err := catalog.Open(s.root, databaseName, catalog.ReadWrite)
	if err != nil {
		return err
	}
	s.catalog.Store(db)
	c.want, c.truth, s.scratch = db, db, nil
	return s.remove(s.root, scratchName)
}

// prepareDatabase notes in the database that is believed what belongs to this store.
func (c *checker) prepareDatabase() error {
	tx, err := c.want.Update()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if c.journalBad {
		if err := c.setJournal(tx); err != nil {
			return err
		}
	}
	state, err := tx.State()
	if err != nil {
		return err
	}
	c.s.sweep = true
	state.Epoch, state.Boot, state.Sweep = c.s.epoch.Add(1), c.s.boot, true
	tx.SetState(state)
	return tx.Commit()
}
