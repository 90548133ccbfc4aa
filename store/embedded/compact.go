package embedded

import (
	"context"
	"fmt"
	"time"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
	"github.com/dhowhq/dhow/store/embedded/internal/journal"
)

const (
	// compactMin is how large a journal is before it is written anew.
	compactMin = 4 << 20
	// stepBytes is about how many bytes of a snapshot are written in a step.
	stepBytes = 4 << 20
)

// compaction is a snapshot of what there is that is being written, to take the place of
// the journal before a segment. It is written in steps, each of which sees what there is
// at that moment: what has changed since the first step is in the journal from that
// segment on, and every change says how something is and not what was before.
type compaction struct {
	out  *journal.Snapshot
	from catalog.Cursor
	size int64
}

// compact writes the journal anew, when more than half of it is of no use.
func (s *Store) compact(ctx context.Context, c *store.Collected) error {
	if s.compaction == nil {
		due, err := s.compactionDue(ctx)
		if err != nil || !due {
			return err
		}
		if err := s.beginCompaction(ctx, c); err != nil {
			return fmt.Errorf("beginning to write the journal anew: %w", err)
		}
	}
	more, err := s.stepCompaction(ctx)
	if err != nil {
		s.cancelCompaction()
		return fmt.Errorf("writing the journal anew: %w", err)
	}
	c.More = c.More || more
	return nil
}

// compactionDue reports whether more than half of the journal is of no use.
func (s *Store) compactionDue(ctx context.Context) (bool, error) {
	var state catalog.State
	err := s.view(ctx, func(tx *catalog.Tx) (err error) {
		state, err = tx.State()
		return err
	})
	total := s.older.Load() + state.Journal.Offset
	return err == nil && total > compactMin && total > 2*state.Live, err
}

// beginCompaction begins a segment, before which the snapshot is going to be.
func (s *Store) beginCompaction(ctx context.Context, c *store.Collected) error {
	var next *journal.Log
	var began time.Time
	err := s.update(ctx, func(tx *catalog.Tx) error {
		began = time.Now()
		if next == nil { // else the transaction is repeated
			before := s.journal.Size()
			log, err := s.journal.Rotate()
			if err != nil {
				return err
			}
			next, s.journal = log, log
			s.older.Add(before)
		}
		state, err := tx.State()
		if err == nil {
			state.Journal = next.Next()
			tx.SetState(state)
		}
		return err
	})
	if err != nil {
		return err
	}
	c.Longest = max(c.Longest, time.Since(began))
	out, err := journal.NewSnapshot(s.journalAt, next.Next().Segment)
	if err != nil {
		return err
	}
	s.compaction = &compaction{out: out}
	return nil
}

// stepCompaction writes some of the snapshot, and reports whether there is more.
func (s *Store) stepCompaction(ctx context.Context) (more bool, err error) {
	c := s.compaction
	for written := 0; written < stepBytes; {
		var payload []byte
		err := s.view(ctx, func(tx *catalog.Tx) (err error) {
			payload, more, err = tx.Export(&c.from, stepBytes/16)
			return err
		})
		if err == nil && len(payload) > 0 {
			err = c.out.Add(payload)
		}
		if err != nil {
			return false, err
		}
		written += len(payload)
		c.size += int64(len(payload))
		if !more {
			if err := c.out.Finish(); err != nil {
				return false, err
			}
			s.older.Store(c.size)
			s.compaction = nil
			s.log.Debug("the journal was written anew", "bytes", c.size)
			return false, nil
		}
	}
	return true, nil
}

func (s *Store) cancelCompaction() {
	if s.compaction == nil {
		return
	}
	if err := s.compaction.out.Cancel(); err != nil {
		s.log.Warn("forgetting a snapshot", "error", err)
	}
	s.compaction = nil
}
