package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
	"github.com/dhowhq/dhow/store/embedded/internal/files"
	"github.com/dhowhq/dhow/store/embedded/internal/journal"
)

// resume goes on where the store was left: what the journal has and the database has not
// is applied, as after a crash between the two.
func (s *Store) resume(ctx context.Context) error {
	if err := s.takeState(ctx); err != nil || s.opts.ReadOnly {
		return err
	}
	err := s.replay(ctx)
	switch {
	case errdefs.IsDataLoss(err) || errdefs.IsNotFound(err) || errdefs.IsInvalidArgument(err):
		s.degrade(err)
		return nil
	case err != nil:
		return err
	}
	if err := journal.Tidy(s.journalAt); err != nil {
		s.log.Warn("removing what is left of an old journal", "error", err)
	}
	return s.sizeJournal()
}

// takeState takes over what the database says of the store. Unless that was closed properly, and
// nothing happened to the machine, an epoch begins.
func (s *Store) takeState(ctx context.Context) error {
	var state catalog.State
	err := s.view(ctx, func(tx *catalog.Tx) (err error) {
		state, err = tx.State()
		return err
	})
	if err != nil {
		return err
	}
	s.epoch.Store(state.Epoch)
	s.sweep = state.Sweep || !state.Clean
	if !state.Clean || s.boot == "" || s.boot != state.Boot || s.refused() != nil {
		s.epoch.Add(1)
	}
	return nil
}

// replay applies what the journal has and the database has not, and has the journal be
// written to from there on.
func (s *Store) replay(ctx context.Context) error {
	r := replayer{db: s.catalog.Load()}
	defer r.end()
	var state catalog.State
	err := r.db.View(func(tx *catalog.Tx) (err error) {
		state, err = tx.State()
		return err
	})
	if err != nil {
		return err
	}
	if state.Clean {
		goesOn, err := journalGoesOn(ctx, s.journalAt, state.Journal)
		if err != nil {
			return err
		}
		if goesOn { // whoever wrote that has not come to say that the store is not clean
			state.Clean, s.sweep = false, true
			s.epoch.Add(1)
		}
	}
	if !state.Clean {
		if err := journal.Settle(ctx, s.journalAt, state.Journal); err != nil {
			return err
		}
	}
	end, err := journal.Read(ctx, s.journalAt, state.Journal, journal.Visitor{Entry: r.entry})
	if err == nil {
		err = r.commit(end)
	}
	if err == nil {
		s.journal, err = journal.Open(s.journalAt, end)
	}
	if err == nil && r.entries > 0 {
		s.log.Info("applied what a crash has left in the journal", "entries", r.entries)
	}
	return err
}

// journalGoesOn reports whether there is an entry from a position on.
func journalGoesOn(ctx context.Context, dir *os.Root, from journal.Position) (bool, error) {
	there := errors.New("there is one")
	_, err := journal.Read(ctx, dir, from, journal.Visitor{Entry: func(journal.Position, []byte) error { return there }})
	if errors.Is(err, there) {
		return true, nil
	}
	return false, err
}

// sizeJournal notes how large the journal is before the segment that is written to.
func (s *Store) sizeJournal() error {
	total, err := journal.Size(s.journalAt, s.journal.Next().Segment)
	s.older.Store(total)
	return err
}

// replayer applies entries of a journal to a database, many in one transaction.
type replayer struct {
	db      *catalog.DB
	tx      *catalog.Tx
	bytes   int // in the transaction
	entries int
}

// entry applies one entry.
func (r *replayer) entry(at journal.Position, payload []byte) error {
	if r.bytes > maxGroupLog {
		if err := r.commit(at); err != nil {
			return err
		}
	}
	if err := r.begin(); err != nil {
		return err
	}
	r.entries++
	r.bytes += len(payload)
	return r.tx.Replay(payload)
}

func (r *replayer) begin() (err error) {
	if r.tx == nil {
		r.tx, err = r.db.Update()
	}
	return err
}

// commit makes durable what was applied, which is all before a position.
func (r *replayer) commit(at journal.Position) error {
	if r.tx == nil {
		return nil
	}
	state, err := r.tx.State()
	if err != nil {
		return err
	}
	state.Journal, state.Clean = at, false
	r.tx.SetState(state)
	err = r.tx.Commit()
	r.tx, r.bytes = nil, 0
	if err != nil {
		return files.Kind(fmt.Errorf("applying the journal: %w", err))
	}
	return nil
}

// end gives up what was not committed.
func (r *replayer) end() {
	if r.tx != nil {
		r.tx.Rollback()
		r.tx = nil
	}
}
