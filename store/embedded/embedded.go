// Package embedded is the store of one machine: large blobs in files, small ones and
// everything else in one database, and a journal from which the database can be made
// anew. docs/store-format.md describes the files.
//
// One process at a time has a store open. Everything below its directory has mode 0700
// or 0600, whatever the umask.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/blobfile"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
	"github.com/dhowhq/dhow/store/embedded/internal/journal"
)

// Options are those of a Store. The zero value is the default.
type Options struct {
	// Logger is told of what was healed, swept, set aside or ignored; nil: nobody.
	Logger *slog.Logger
	// LockTimeout is how long Open waits for another process that has the store open;
	// 0 is 10 s, negative: not at all.
	LockTimeout time.Duration
	// Waiting is called at most once, by Open, when it has waited for such a process for a
	// second, with what that says of itself; nil: nobody is told.
	Waiting func(owner string)
	// ReadOnly opens a store that is there for reading, and writes nothing but the
	// lock. It has to be locked as well.
	ReadOnly bool
	// KeepPartial is how long after the last byte blobs that are not complete are kept;
	// 0 is a week.
	KeepPartial time.Duration
	// Limits bound the documents that are accepted.
	Limits image.Limits
	// Clock tells the time by which leases and partial blobs expire, and which records
	// have; nil: time.Now.
	Clock func() time.Time
}

const (
	defaultLockTimeout = 10 * time.Second
	defaultKeepPartial = 7 * 24 * time.Hour
)

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.LockTimeout == 0 {
		o.LockTimeout = defaultLockTimeout
	}
	if o.KeepPartial == 0 {
		o.KeepPartial = defaultKeepPartial
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	o.Limits = o.Limits.WithDefaults()
	return o
}

// Store is a store.Store in a directory.
type Store struct {
	opts   Options
	log    *slog.Logger
	root   *os.Root
	unlock func() error
	files  *blobfile.Dir
	boot   string
	epoch  atomic.Uint64 // in which files are believed that were verified

	catalog atomic.Pointer[catalog.DB]
	refusal atomic.Pointer[error] // why nothing can be written; nil: it can
	failing atomic.Pointer[error] // what of it no repair can change, as a failed sync

	uses       uses
	pendings   pendings
	distrusted sync.Map // digest.Digest of files that were found damaged

	commits   commits
	journal   *journal.Log // nil if nothing can be written; the commits have it
	journalAt *os.Root     // its directory
	older     atomic.Int64 // bytes of the journal before the segment that is written to
	scratch   error        // why catalog is a scratch database; nil: it is not
	temporary *os.Root     // where a scratch database is, if not in root

	collecting   sync.Mutex     // one collection at a time
	background   sync.WaitGroup // what collections have left behind
	stepBlobs    int            // that the next step lets go at most, and of what leases held
	suspectsSeen suspectsSeen   // likewise
	leasesSeen   leasesSeen     // by the collection that goes on
	compaction   *compaction
	trashed      atomic.Bool   // something is in the trash
	left         atomic.Bool   // Trash has failed, so that there may be files that no record knows
	sweep        bool          // files may be there that no record knows
	swept        digest.Digest // up to where files that no record knows were looked for

	closing sync.Once
	closed  atomic.Bool
}

var _ store.Store = (*Store)(nil)

// Close waits for what is being written, notes that the store was closed, and gives up
// its lock. Batches and readers are to be closed before.
func (s *Store) Close() (err error) {
	s.closing.Do(func() { err = s.close() })
	return err
}

func (s *Store) close() error {
	var errs []error
	s.collecting.Lock()
	defer s.collecting.Unlock()
	if s.compaction != nil {
		errs = append(errs, s.compaction.out.Cancel())
		s.compaction = nil
	}
	s.closed.Store(true)
	s.endCommits()
	s.background.Wait()
	if s.commits.wrote { // else there is nothing to be noted
		if err := s.files.Settle(); err != nil {
			errs = append(errs, err)
			s.left.Store(true)
		}
	}
	if s.pendings.placing() { // by batches that are not closed, against the rules
		s.left.Store(true)
	}
	s.takeLeft()
	errs = append(errs, s.noteClean())
	return errors.Join(append(errs, s.release())...)
}

// release closes what is open.
func (s *Store) release() error {
	var errs []error
	if s.files != nil {
		errs = append(errs, s.files.Close())
	}
	if db := s.catalog.Load(); db != nil {
		errs = append(errs, db.Close())
	}
	if s.journal != nil {
		errs = append(errs, s.journal.Close())
	}
	if s.temporary != nil {
		errs = append(errs, os.RemoveAll(s.temporary.Name()), s.temporary.Close())
	}
	if s.journalAt != nil {
		errs = append(errs, s.journalAt.Close())
	}
	if s.unlock != nil {
		if !s.opts.ReadOnly {
			errs = append(errs, s.removeScratch(s.root))
		}
		errs = append(errs, s.unlock())
	}
	if s.root != nil {
		errs = append(errs, s.root.Close())
	}
	return errors.Join(errs...)
}

// noteClean notes that nothing was written after the last transaction.
func (s *Store) noteClean() error {
	if s.refusal.Load() != nil || !s.commits.wrote {
		return nil
	}
	err := s.direct(func(tx *catalog.Tx) error { // nobody else commits any more
		state, err := tx.State()
		state.Clean, state.Sweep = true, s.sweep // what was not yet looked for is by another process
		tx.SetState(state)
		return err
	})
	if err != nil {
		return fmt.Errorf("closing the store: %w", err)
	}
	return nil
}

var errClosed = fmt.Errorf("the store is closed: %w", errdefs.ErrFailedPrecondition)

// refused returns why nothing can be written, or nil.
func (s *Store) refused() error {
	if s.closed.Load() {
		return errClosed
	}
	if why := s.refusal.Load(); why != nil {
		return *why
	}
	return nil
}

// repairHint is what helps a store that is damaged.
const repairHint = "it can only be read until 'dhow fsck --repair' has repaired it"

// degrade has the store be read only from now on.
func (s *Store) degrade(why error) {
	// The kind of what is wrong, as not found, is not that of what is refused.
	err := fmt.Errorf("the store %s is damaged, %s: %s: %w", s.root.Name(), repairHint, why.Error(), errdefs.ErrFailedPrecondition)
	if s.refusal.CompareAndSwap(nil, &err) {
		s.log.Error("the store is damaged: "+repairHint, "directory", s.root.Name(), "error", why)
	}
}

// Degraded returns why nothing can be written, an ErrFailedPrecondition, or nil: the
// database is damaged or missing, say, or the store was opened for reading only.
func (s *Store) Degraded() error { return s.refused() }

// view calls f with the database as it is at one moment.
func (s *Store) view(ctx context.Context, f func(*catalog.Tx) error) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.closed.Load() {
			return errClosed
		}
		db := s.catalog.Load()
		err := db.View(f)
		if catalog.Closed(err) && !s.closed.Load() {
			again, waitErr := s.replaced(ctx, db)
			if waitErr != nil {
				return waitErr
			}
			if again {
				continue
			}
		}
		if s.catalog.Load() != db {
			return err // what is wrong with it was repaired
		}
		return s.noted(err)
	}
}

// replaced waits for a repair to put another database in the place of one that it has
// closed, and reports whether it did.
func (s *Store) replaced(ctx context.Context, db *catalog.DB) (bool, error) {
	for s.catalog.Load() == db {
		if s.commits.gate.TryLock() { // there is no repair any more
			s.commits.gate.Unlock()
			return s.catalog.Load() != db, nil
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return true, nil
}

// noted has an error that says that the database is damaged end the writing.
func (s *Store) noted(err error) error {
	if catalog.IsDamaged(err) {
		s.degrade(err)
	}
	return err
}

func (s *Store) now() time.Time { return s.opts.Clock().UTC().Round(0) }
