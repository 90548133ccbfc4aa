package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/internal/durable"
	"github.com/dhowhq/dhow/internal/process"
	"github.com/dhowhq/dhow/internal/rootfile"
	"github.com/dhowhq/dhow/store/embedded/internal/blobfile"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
	"github.com/dhowhq/dhow/store/embedded/internal/files"
	"github.com/dhowhq/dhow/store/embedded/internal/journal"
)

// Open opens the store in a directory, and makes it if the directory is empty or is not
// there. A directory that holds anything else is ErrFailedPrecondition, a store of a
// newer format ErrNotImplemented, one that another process has open ErrUnavailable, with
// the process in the message.
//
// A store whose database or journal is damaged or missing is opened for reading: see
// Store.Degraded.
func Open(ctx context.Context, dir string, opts Options) (_ *Store, err error) {
	s := &Store{opts: opts.withDefaults(), boot: process.Boot(), stepBlobs: firstStepBlobs}
	s.log = s.opts.Logger
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("opening the store %s: %w", dir, err), s.release())
		}
	}()
	if s.root, err = openRoot(dir, s.opts); err != nil {
		return nil, err
	}
	if s.unlock, err = lock(ctx, s.root, s.opts); err != nil {
		return nil, err
	}
	formatErr := readFormat(s.root)
	if formatErr != nil && !errors.Is(formatErr, errNoFormat) {
		return nil, formatErr
	}
	s.files, err = blobfile.Open(ctx, s.root, blobfile.Options{Logger: s.log, ReadOnly: s.opts.ReadOnly})
	if err != nil {
		return nil, err
	}
	if err := s.openRecords(ctx, formatErr); err != nil {
		return nil, err
	}
	if s.opts.ReadOnly {
		why := fmt.Errorf("the store %s was %w: %w", dir, errReadOnly, errdefs.ErrFailedPrecondition)
		s.refusal.CompareAndSwap(nil, &why)
	}
	return s, nil
}

// openRoot opens the directory of a store, in which there is a lock file then.
func openRoot(dir string, opts Options) (*os.Root, error) {
	if opts.ReadOnly {
		return openDir(dir)
	}
	if err := makeRoot(dir); err != nil {
		return nil, files.Kind(err)
	}
	root, err := openDir(dir)
	if err != nil {
		return nil, err
	}
	err = checkEntries(root)
	if err == nil {
		err = files.Private(root)
	}
	if err == nil {
		err = makeLock(root)
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

func makeRoot(dir string) error {
	dir = filepath.Clean(dir)
	if err := durable.MkdirAll(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	}
	parent, err := os.OpenRoot(filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer parent.Close()
	return files.SyncDir(parent)
}

// ours are the names in a store's directory; the last one file systems have at their top.
var ours = []string{
	lockName, formatName, formatName + ".new", databaseName, journalName, scratchName, checkName, indexName,
	"blobs", "ingest", "trash", "bad", "lost+found",
}

// checkEntries refuses a directory that is somebody else's.
func checkEntries(root *os.Root) error {
	if _, err := root.Lstat(formatName); err == nil {
		return nil
	}
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return files.Kind(err)
	}
	for _, e := range entries {
		if !slices.Contains(ours, e.Name()) {
			return fmt.Errorf("the directory is neither a store nor empty, it has %.256q: %w", e.Name(), errdefs.ErrFailedPrecondition)
		}
	}
	return nil
}

// openRecords opens database and journal, and makes them in a new store.
func (s *Store) openRecords(ctx context.Context, formatErr error) error {
	journalErr := s.openJournalDir()
	if journalErr != nil && !errdefs.IsInvalidArgument(journalErr) && !errdefs.IsNotFound(journalErr) {
		return journalErr
	}
	db, dbErr := catalog.Open(s.root, databaseName, s.mode())
	if dbErr == nil {
		s.catalog.Store(db)
	} else if !errdefs.IsNotFound(dbErr) && !errdefs.IsDataLoss(dbErr) && !errdefs.IsInvalidArgument(dbErr) {
		return dbErr
	}
	if formatErr == nil && dbErr == nil && journalErr == nil {
		return s.resume(ctx)
	}
	used, err := s.used(ctx, formatErr)
	if err != nil {
		return err
	}
	switch {
	case !used && s.opts.ReadOnly:
		return fmt.Errorf("there is no store: %w", errdefs.ErrNotFound)
	case !used && journalErr != nil:
		return journalErr
	case !used:
		return s.create()
	}
	s.degrade(errors.Join(formatErr, dbErr, journalErr))
	if dbErr == nil {
		return s.takeState(ctx)
	}
	s.scratch = dbErr
	return s.openScratch(ctx)
}

func (s *Store) mode() catalog.Mode {
	if s.opts.ReadOnly {
		return catalog.ReadOnly
	}
	return catalog.ReadWrite
}

// openJournalDir opens the directory of the journal. Something else in its place is
// ErrInvalidArgument.
func (s *Store) openJournalDir() (err error) {
	if s.opts.ReadOnly {
		s.journalAt, err = rootfile.OpenDir(s.root, journalName)
		return err
	}
	s.journalAt, err = files.Mkdir(s.root, journalName)
	return err
}

// remakeJournalDir makes the directory of the journal in the place of something else.
func (s *Store) remakeJournalDir() error {
	if err := s.setAside(journalName); err != nil {
		return err
	}
	if err := s.openJournalDir(); err != nil {
		return err
	}
	return files.SyncDir(s.root)
}

// used reports whether there is anything in the store. What is left of a store whose
// making was interrupted is nothing: its format comes last.
func (s *Store) used(ctx context.Context, formatErr error) (bool, error) {
	if formatErr == nil {
		return true, nil
	}
	there := errors.New("something is there")
	err := s.files.Walk(ctx, "", func(digest.Digest, int64) error { return there })
	if err == nil && s.catalog.Load() != nil {
		err = s.view(ctx, func(tx *catalog.Tx) error {
			counts, err := tx.Count()
			if err == nil && counts != (catalog.Counts{}) {
				err = there
			}
			return err
		})
	}
	if err == nil && s.journalAt != nil {
		var at journal.Position
		var snapshot uint64
		at, snapshot, err = journal.Start(s.journalAt)
		if err == nil && snapshot > 0 {
			err = there
		}
		if err == nil {
			_, err = journal.Read(ctx, s.journalAt, at, journal.Visitor{Entry: func(journal.Position, []byte) error { return there }})
		}
		if errdefs.IsNotFound(err) {
			err = nil
		}
	}
	if errors.Is(err, there) || errdefs.IsDataLoss(err) {
		return true, nil
	}
	return false, err
}

// create makes an empty store. What is last is its format.
func (s *Store) create() (err error) {
	if db := s.catalog.Swap(nil); db != nil {
		if err := db.Close(); err != nil {
			return err
		}
	}
	if err := s.root.Remove(databaseName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return files.Kind(err)
	}
	list, err := journal.List(s.journalAt)
	if err != nil {
		return err
	}
	for _, n := range list.Segments {
		if err := journal.Remove(s.journalAt, n); err != nil {
			return err
		}
	}
	if s.journal, err = journal.Create(s.journalAt, 1, 0); err != nil {
		return err
	}
	db, err := catalog.Create(s.root, databaseName, catalog.ReadWrite)
	if err != nil {
		return err
	}
	s.catalog.Store(db)
	s.epoch.Store(1)
	tx, err := db.Update()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	tx.SetState(catalog.State{Journal: s.journal.Next(), Epoch: s.epoch.Load(), Boot: s.boot, Clean: true})
	if err := tx.Commit(); err != nil {
		return err
	}
	return writeFormat(s.root)
}
