package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
	"github.com/dhowhq/dhow/store/embedded/internal/files"
	"github.com/dhowhq/dhow/store/embedded/internal/journal"
)

// openScratch makes a database of the journal for the time that the store is open, so
// that it can be read though its own database is damaged.
func (s *Store) openScratch(ctx context.Context) error {
	return s.inScratch(scratchName, func(at *os.Root) error {
		db, _, _, err := s.rebuild(ctx, at, scratchName, journal.Position{}, func(what error) {
			s.log.Error("reading the journal", "error", what)
		})
		if err == nil {
			s.catalog.Store(db)
		}
		return err
	})
}

// inRoot calls build with the store's directory, in which there is no database of that
// name.
func (s *Store) inRoot(name string, build func(at *os.Root) error) error {
	if err := s.remove(s.root, name); err != nil {
		return err
	}
	return build(s.root)
}

// inScratch is inRoot, or with a directory outside of the store if its own cannot be
// written to.
func (s *Store) inScratch(name string, build func(at *os.Root) error) error {
	err := error(errdefs.ErrPermissionDenied)
	if !s.opts.ReadOnly {
		err = s.inRoot(name, build)
	}
	if !errdefs.IsPermissionDenied(err) && !files.IsReadOnly(err) && !errdefs.IsResourceExhausted(err) {
		return err
	}
	at, err := s.openTemporary()
	if err == nil {
		err = s.remove(at, name)
	}
	if err != nil {
		return err
	}
	return build(at)
}

// openTemporary opens a directory outside of the store, for a scratch database of one
// that cannot be written to.
func (s *Store) openTemporary() (*os.Root, error) {
	if s.temporary != nil {
		return s.temporary, nil
	}
	dir, err := os.MkdirTemp("", "dhow-store-")
	if err != nil {
		return nil, files.Kind(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, errors.Join(files.Kind(err), os.RemoveAll(dir))
	}
	s.temporary = root
	return root, nil
}

// rebuild makes a new scratch database of what the journal has, from the start to the end
// that it returns; of what is not in its snapshot, up to a position, or all if that is
// zero. Places in it that are damaged are passed over, and each is told to damage.
func (s *Store) rebuild(ctx context.Context, at *os.Root, name string, until journal.Position, damage func(error)) (_ *catalog.DB, start, end journal.Position, err error) {
	db, err := catalog.Create(at, name, catalog.Scratch)
	if err != nil {
		return nil, start, end, err
	}
	r := replayer{db: db}
	defer func() {
		r.end()
		if err != nil {
			err = errors.Join(err, db.Close(), s.remove(at, name))
		}
	}()
	if s.journalAt == nil {
		damage(fmt.Errorf("there is no journal: %w", errdefs.ErrNotFound))
		return db, start, end, nil
	}
	start, snapshot, err := journal.Start(s.journalAt)
	if errdefs.IsNotFound(err) || errdefs.IsDataLoss(err) {
		damage(err)
	} else if err != nil {
		return nil, start, end, err
	}
	if snapshot > 0 {
		if err := journal.ReadSnapshot(ctx, s.journalAt, snapshot, r.visitor(journal.Position{}, damage)); err != nil {
			return nil, start, end, err
		}
	}
	if end = start; start.Segment > 0 {
		if end, err = journal.Read(ctx, s.journalAt, start, r.visitor(until, damage)); err != nil {
			return nil, start, end, err
		}
	}
	upto := end
	if until.Segment > 0 && until.Sequence < end.Sequence {
		upto = until
	}
	if err := r.commit(upto); err != nil {
		return nil, start, end, err
	}
	return db, start, end, finishScratch(db, upto)
}

// visitor applies the entries before a position, all if that is zero, and passes over
// what is damaged.
func (r *replayer) visitor(until journal.Position, damage func(error)) journal.Visitor {
	return journal.Visitor{
		Entry: func(at journal.Position, payload []byte) error {
			if until.Segment > 0 && at.Sequence >= until.Sequence {
				return nil
			}
			err := r.entry(at, payload)
			if errdefs.IsDataLoss(err) && !catalog.IsDamaged(err) {
				damage(err)
				return nil
			}
			return err
		},
		Damage: func(what error) error { damage(what); return nil },
	}
}

// finishScratch notes in a scratch database what is not in the journal.
func finishScratch(db *catalog.DB, end journal.Position) error {
	tx, err := db.Update()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := tx.EndOrphans(); err != nil {
		return err
	}
	state, err := tx.State()
	if err != nil {
		return err
	}
	state.Journal = end
	tx.SetState(state)
	return tx.Commit()
}

// removeScratch removes scratch databases, if there are any.
func (s *Store) removeScratch(at *os.Root) error {
	return errors.Join(s.remove(at, scratchName), s.remove(at, checkName), s.remove(at, indexName))
}

// remove removes a file, if there is one. A directory with something in it is none of
// ours: it is set aside.
func (s *Store) remove(at *os.Root, name string) error {
	info, err := at.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = at.Remove(name)
	}
	if err != nil && info != nil && info.IsDir() && at == s.root {
		return s.setAside(name)
	}
	return files.Kind(err)
}
