package embedded

import (
	"context"
	"errors"
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
	at := s.root
	err := s.removeScratch(at)
	if err == nil && s.opts.ReadOnly {
		err = errdefs.ErrPermissionDenied
	}
	var db *catalog.DB
	if err == nil {
		db, err = s.rebuild(ctx, at, scratchName, nil)
	}
	if errdefs.IsPermissionDenied(err) || files.IsReadOnly(err) || errdefs.IsResourceExhausted(err) {
		if at, err = s.openTemporary(); err == nil {
			db, err = s.rebuild(ctx, at, scratchName, nil)
		}
	}
	if err != nil {
		return err
	}
	s.catalog.Store(db)
	return nil
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

// rebuild makes a new scratch database of what the journal has. Places in it that are
// damaged are passed over; each is told to damage, or logged if that is nil.
func (s *Store) rebuild(ctx context.Context, at *os.Root, name string, damage func(error)) (_ *catalog.DB, err error) {
	if damage == nil {
		damage = func(what error) { s.log.Error("reading the journal", "error", what) }
	}
	db, err := catalog.Create(at, name, catalog.Scratch)
	if err != nil {
		return nil, err
	}
	r := replayer{db: db}
	defer func() {
		r.end()
		if err != nil {
			err = errors.Join(err, db.Close(), s.remove(at, name))
		}
	}()
	if s.journalAt == nil {
		return db, nil
	}
	v := journal.Visitor{
		Entry: func(at journal.Position, payload []byte) error {
			err := r.entry(at, payload)
			if errdefs.IsDataLoss(err) && !catalog.IsDamaged(err) {
				damage(err)
				return nil
			}
			return err
		},
		Damage: func(what error) error { damage(what); return nil },
	}
	start, snapshot, err := journal.Start(s.journalAt)
	if err != nil {
		if !errdefs.IsNotFound(err) && !errdefs.IsDataLoss(err) {
			return nil, err
		}
		damage(err)
	}
	if snapshot > 0 {
		if err := journal.ReadSnapshot(ctx, s.journalAt, snapshot, v); err != nil {
			return nil, err
		}
	}
	end := start
	if start.Segment > 0 {
		if end, err = journal.Read(ctx, s.journalAt, start, v); err != nil {
			return nil, err
		}
	}
	if err := r.commit(end); err != nil {
		return nil, err
	}
	return db, finishScratch(db, end)
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
	return errors.Join(s.remove(at, scratchName), s.remove(at, checkName))
}

// remove removes a file, if there is one. A directory with something in it is none of
// ours: it is set aside.
func (s *Store) remove(at *os.Root, name string) error {
	err := at.Remove(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if info, statErr := at.Lstat(name); statErr == nil && info.IsDir() && at == s.root {
		return setAside(s, name)
	}
	return files.Kind(err)
}
