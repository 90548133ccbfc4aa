package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/blobfile"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
	"github.com/dhowhq/dhow/store/embedded/internal/files"
	"github.com/dhowhq/dhow/store/embedded/internal/journal"
)

// RecoveredLease is what the IDs of the leases begin with that hold blobs which had lost
// their records when the store was repaired.
const RecoveredLease = "recovered "

// recoveredFor is for how long blobs are held that have lost their records.
const recoveredFor = 30 * 24 * time.Hour

// repairRecords puts in place what is believed: database, journal and format. The store
// can be written to after it.
func (c *checker) repairRecords(ctx context.Context) error {
	if c.rebuilds() {
		if err := c.installDatabase(); err != nil {
			return fmt.Errorf("putting a new database in place: %w", err)
		}
	}
	switch {
	case c.journalBad:
		if err := c.rewriteJournal(ctx); err != nil {
			return fmt.Errorf("writing the journal anew: %w", err)
		}
	case c.s.journal == nil:
		log, err := journal.Open(c.s.journalAt, c.journalEnd)
		if err != nil {
			return err
		}
		c.s.journal = log
	}
	if err := c.s.sizeJournal(); err != nil {
		return err
	}
	if err := c.s.renewFormat(); err != nil {
		return err
	}
	if c.s.failing.Load() == nil {
		c.s.refusal.Store(nil)
	}
	return nil
}

// renewFormat writes the format again, whatever is in its place.
func (s *Store) renewFormat() error {
	for _, name := range []string{formatName, formatName + ".new"} {
		if info, err := s.root.Lstat(name); err == nil && !info.Mode().IsRegular() {
			if err := setAside(s, name); err != nil {
				return err
			}
		}
	}
	return writeFormat(s.root)
}

// installDatabase makes of the database that the journal has given the one of the store.
func (c *checker) installDatabase() error {
	s, old := c.s, c.s.catalog.Load()
	if c.journalBad && s.scratch == nil && !c.unsound {
		if err := c.salvage(old); err != nil {
			return err
		}
	}
	tx, err := c.want.Update()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	state, err := tx.State()
	if err != nil {
		return err
	}
	s.epoch++
	s.sweep = true
	state.Epoch, state.Boot, state.Sweep = s.epoch, s.boot, true
	tx.SetState(state)
	if err := tx.Commit(); err != nil {
		return err
	}
	if err := errors.Join(c.want.Sync(), c.want.Close(), old.Close()); err != nil && !catalog.IsDamaged(err) {
		return err
	}
	if err := setAside(s, databaseName); err != nil {
		return err
	}
	if err := s.root.Rename(checkName, databaseName); err != nil {
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
	return s.removeScratch(s.root)
}

// salvage adds to what the journal has given what can still be read of the database and
// is not in it.
func (c *checker) salvage(old *catalog.DB) error {
	tx, err := c.want.Update()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	err = old.View(func(from *catalog.Tx) error {
		return from.Salvage(func(change catalog.Change) error {
			if there, err := tx.Has(change); err != nil || there {
				return err
			}
			return tx.Do(change)
		}, func(err error) {
			c.s.log.Warn("a record of the damaged database cannot be read", "error", err)
		})
	})
	if err != nil && !catalog.IsDamaged(err) {
		return err
	}
	return tx.Commit()
}

// setAside moves a file of the store to bad/, if it is there.
func setAside(s *Store, name string) error {
	for n := 1; ; n++ {
		to := fmt.Sprintf("bad/%s.%d", name, n)
		if _, err := s.root.Lstat(to); err == nil {
			continue
		}
		err := s.root.Rename(name, to)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			s.log.Warn("set aside what is damaged", "file", to)
		}
		return files.Kind(err)
	}
}

// rewriteJournal begins a new journal, with a snapshot of what is believed, and removes
// the old one.
func (c *checker) rewriteJournal(ctx context.Context) error {
	s := c.s
	list, err := journal.List(s.journalAt)
	if err != nil {
		return err
	}
	next := c.journalEnd.Segment
	for _, n := range append(list.Segments, list.Snapshots...) {
		next = max(next, n)
	}
	log, err := journal.Create(s.journalAt, next+1, c.journalEnd.Sequence+1)
	if err != nil {
		return err
	}
	if s.journal != nil {
		_ = s.journal.Close() // all that was to be durable is
	}
	s.journal = log
	out, err := journal.NewSnapshot(s.journalAt, next+1)
	if err != nil {
		return err
	}
	var from catalog.Cursor
	for more := true; more; {
		var payload []byte
		err := s.catalog.Load().View(func(tx *catalog.Tx) (err error) {
			payload, more, err = tx.Export(&from, stepBytes)
			return err
		})
		if err == nil && len(payload) > 0 {
			err = out.Add(payload)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return errors.Join(err, out.Cancel())
		}
	}
	if err := out.Finish(); err != nil {
		return err
	}
	c.journalBad = false
	return s.direct(func(tx *catalog.Tx) error {
		state, err := tx.State()
		state.Journal = log.Next()
		tx.SetState(state)
		return err
	})
}

// repair makes a change, if the store is to be repaired.
func (c *checker) repair(changes ...catalog.Change) error {
	if !c.opts.Repair {
		return nil
	}
	return c.s.direct(func(tx *catalog.Tx) error {
		for _, change := range changes {
			if err := tx.Do(change); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *checker) repairBlob(d digest.Digest, b catalog.Blob) error {
	if !c.opts.Repair {
		return nil
	}
	if b.File() {
		if err := c.s.files.SetAside(d); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
	}
	return c.repair(catalog.DropBlob{Digest: d})
}

// repairInline writes the bytes of a blob into the database again.
func (c *checker) repairInline(d digest.Digest, b catalog.Blob, data []byte) error {
	return c.repair(catalog.PutBlob{Digest: d, Created: b.Created, Number: b.Number, Size: b.Size, Bytes: data})
}

func (c *checker) repairFacts(d digest.Digest, f store.Facts) error {
	if !c.opts.Repair {
		return nil
	}
	return c.s.direct(func(tx *catalog.Tx) error { return tx.ReplaceFacts(d, f) })
}

func (c *checker) repairName(key string) error { return c.repair(catalog.DropName{Key: key}) }

func (c *checker) repairLeaks() error {
	for _, d := range c.leaks {
		c.found(Leaked, string(d), fmt.Errorf("nobody needs it, and nobody knows: %w", errdefs.ErrDataLoss))
	}
	if !c.opts.Repair || len(c.leaks) == 0 {
		return nil
	}
	return c.s.direct(func(tx *catalog.Tx) error {
		for _, d := range c.leaks {
			if err := tx.Suspect(d); err != nil {
				return err
			}
		}
		return nil
	})
}

// removeStray removes a file that no record knows.
func (c *checker) removeStray(d digest.Digest) error {
	if !c.opts.Repair {
		return nil
	}
	return c.s.files.Trash([]digest.Digest{d})
}

// recover makes a file known again whose record is lost, if it is what its name says.
func (c *checker) recover(ctx context.Context, d digest.Digest, size int64) error {
	if !c.opts.Repair || c.s.files.Verify(ctx, d, size) != nil {
		return c.removeStray(d)
	}
	put := catalog.PutBlob{Digest: d, Created: c.s.now(), Size: size, Facts: c.guess(ctx, d, size)}
	return c.s.direct(func(tx *catalog.Tx) error {
		if c.recovered.ID == "" {
			now := c.s.now()
			c.recovered = catalog.Lease{Number: tx.NextLease(), Lease: store.Lease{
				ID: RecoveredLease + now.Format(time.RFC3339Nano), Created: now, Until: now.Add(recoveredFor),
			}}
			if err := tx.Do(catalog.PutLease{Lease: c.recovered}); err != nil {
				return err
			}
		}
		if err := hold(tx, c.recovered, []digest.Digest{d}); err != nil {
			return err
		}
		return tx.Do(put)
	})
}

// guess returns the facts of a file that looks like a manifest or list, or nil.
func (c *checker) guess(ctx context.Context, d digest.Digest, size int64) *store.Facts {
	if c.s.checkLimit(d, document, size) != nil {
		return nil
	}
	data, err := c.s.readFile(ctx, d, size)
	if err != nil {
		return nil
	}
	mediaType := image.Guess(data)
	if mediaType == "" {
		return nil
	}
	f, err := c.s.deriveDocument(data, ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: size})
	if err != nil {
		return nil
	}
	return f
}

// repairOther sets aside what is in the place of a blob and is none.
func (c *checker) repairOther(o blobfile.Stray) error {
	f := Finding{Problem: Stray, What: o.Path, Err: fmt.Errorf("it is %s: %w", o.What, errdefs.ErrInvalidArgument)}
	if c.opts.Repair && o.Blob != "" {
		if err := c.s.files.SetAside(o.Blob); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
		f.Repaired = true
	}
	c.note(f)
	return nil
}

// finishRepair notes what was verified, and empties the trash.
func (c *checker) finishRepair(ctx context.Context) error {
	err := c.s.direct(func(tx *catalog.Tx) error {
		for _, d := range c.good {
			if err := tx.SetVerified(d, c.s.epoch); err != nil {
				return err
			}
			c.s.distrusted.Delete(d)
		}
		state, err := tx.State()
		state.Sweep = false
		tx.SetState(state)
		return err
	})
	if err != nil {
		return err
	}
	c.s.sweep, c.s.swept = false, ""
	_, _, err = c.s.files.Empty(ctx)
	return err
}
