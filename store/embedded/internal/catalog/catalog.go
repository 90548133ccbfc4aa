// Package catalog is the database of an embedded store: which blobs there are, what is
// known of them, the names, the leases, and the index of all that.
//
// What a store has is changed by a Change and by nothing else. A transaction collects
// those that it has applied, as the bytes that belong into the journal; the same bytes,
// applied to an empty database, give the same one again. Everything that is not in the
// table of docs/store-format.md under "from the journal" follows from the changes, but
// for what was verified and how far the journal was read.
package catalog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/dhowhq/dhow/internal/durable"
	"github.com/dhowhq/dhow/internal/rootfile"
	"github.com/dhowhq/dhow/store/embedded/internal/files"
)

// bucket is one of the database's.
type bucket int

const (
	bucketMeta bucket = iota
	bucketBlobs
	bucketBytes
	bucketFacts
	bucketNames
	bucketLeases
	bucketHolds
	bucketTargets
	bucketRefs
	bucketContained
	bucketChildren
	bucketReferrers
	bucketSuspects
	bucketEnded
	bucketVerified
	bucketOutlines
	bucketStale
	bucketTouched
	buckets
)

// names are the names of the buckets, in their order.
var names = [buckets]string{
	"meta", "blobs", "bytes", "facts", "names", "leases", "holds",
	"targets", "refs", "contained", "children", "referrers", "suspects", "ended", "verified", "outlines", "stale", "touched",
}

func (b bucket) String() string { return names[b] }

// mapSize is how much of the address space is kept for the file to grow into: only
// where it is used up have writers to wait for readers.
const mapSize = 16 << 30

// growth is by how much the file grows at once.
const growth = 4 << 20

// lookTime is for how long Open looks at the pages of a database, those nearest to the
// roots first. All pages of a small one are looked at within that.
const lookTime = 50 * time.Millisecond

// lockWait is how long Open waits for who reads the file behind the store's back.
const lockWait = time.Second

// DB is a database. Its methods may be called concurrently; one Tx at a time writes.
type DB struct {
	bolt *bolt.DB
	file *os.File
	// broken tells that the library has panicked where it holds locks.
	broken atomic.Bool
	// surveyed is how many blobs the last Survey has found.
	surveyed  atomic.Int64
	idle      idle
	manyRoots int  // see there
	settled   bool // by Update
}

// Mode says how a database is opened.
type Mode int

// The modes.
const (
	ReadWrite Mode = iota
	ReadOnly
	// Scratch is a new database, which is not synced.
	Scratch
)

// Create makes a new database; one of that name must not be there.
func Create(root *os.Root, name string, mode Mode) (_ *DB, err error) {
	f, err := files.Create(root, name)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	db, err := open(root, name, mode)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = db.Close() // nobody is going to use it
		}
	}()
	t, err := db.Update()
	if err != nil {
		return nil, err
	}
	defer t.Rollback()
	for b := range buckets {
		if _, err := t.bolt.CreateBucket([]byte(b.String())); err != nil {
			return nil, err
		}
	}
	t.SetState(State{})
	if err := t.Commit(); err != nil {
		return nil, err
	}
	return db, files.SyncDir(root)
}

// Open opens a database that is there. One that is missing is ErrNotFound, one that is
// damaged ErrDataLoss.
func Open(root *os.Root, name string, mode Mode) (*DB, error) {
	db, err := open(root, name, mode)
	if err != nil {
		return nil, err
	}
	if err := db.check(); err != nil {
		_ = db.Close() // the other error says more
		return nil, err
	}
	return db, nil
}

func open(root *os.Root, name string, mode Mode) (_ *DB, err error) {
	var file *os.File
	defer func() {
		if err != nil && file != nil {
			_, _ = unlock(file), file.Close() // the library may have closed it, or panicked before
		}
	}()
	defer recovered(&err, debug.SetPanicOnFault(true))
	found, err := bolt.Open(name, 0o600, &bolt.Options{
		Timeout:      lockWait,
		ReadOnly:     mode == ReadOnly,
		FreelistType: bolt.FreelistMapType,
		NoSync:       mode == Scratch, NoGrowSync: mode == Scratch, NoFreelistSync: mode == Scratch,
		NoStatistics:    true,
		InitialMmapSize: initialMap(),
		OpenFile: func(_ string, flag int, _ fs.FileMode) (*os.File, error) {
			var err error
			if file, err = rootfile.OpenFile(root, name, flag); err == nil {
				err = checkFile(file, time.Now().Add(lookTime), func() error { return nil })
			}
			return file, err
		},
	})
	if err != nil {
		return nil, openError(name, err)
	}
	found.AllocSize = growth
	return &DB{bolt: found, file: file, manyRoots: manyRoots}, nil
}

// checkFile looks at the pages of a database file until a time; zero: at all of them.
func checkFile(file *os.File, until time.Time, stop func() error) error {
	info, err := file.Stat()
	if err != nil || info.Size() == 0 { // the library makes what is empty a database
		return err
	}
	return checkPages(file, info.Size(), until, stop)
}

func openError(name string, err error) error {
	switch {
	case IsDamaged(err), errdefs.IsNotFound(err), errdefs.IsPermissionDenied(err), files.IsFull(err), files.IsReadOnly(err):
		return files.Kind(err)
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("%s is open elsewhere: %w", name, errdefs.ErrUnavailable)
	}
	return fmt.Errorf("%s cannot be opened: %w: %w", name, err, errDamaged)
}

// check looks whether all buckets are there.
func (db *DB) check() (err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	return db.View(func(t *Tx) error {
		for b := range buckets {
			if t.bolt.Bucket([]byte(b.String())) == nil {
				return fmt.Errorf("the database has no bucket %s: %w", b, errDamaged)
			}
		}
		_, err := t.State()
		return err
	})
}

// initialMap returns what of mapSize the platform can keep.
func initialMap() int {
	if strconv.IntSize < 64 || !sparseMap {
		return 0
	}
	return mapSize
}

// View calls f with the database as it is at one moment.
func (db *DB) View(f func(*Tx) error) (err error) {
	if db.broken.Load() {
		return errDamaged
	}
	t, moment := db.idle.take()
	if t == nil {
		if t, err = db.begin(false); err != nil {
			return err
		}
		t.moment = moment
	}
	kept := false
	defer func() { // when f panics too
		if !kept {
			t.rollback()
		}
	}()
	err = f(t)
	kept = !IsDamaged(err) && !db.broken.Load() && db.idle.keep(t)
	return err
}

// Update begins to write. The Tx ends by Commit or Rollback.
func (db *DB) Update() (*Tx, error) {
	db.idle.write()
	t, err := db.begin(true)
	if err == nil && !db.settled { // who has begun is the only one
		if err = db.settle(); err != nil {
			t.rollback()
		}
	}
	if err != nil {
		db.idle.written()
		return nil, err
	}
	return t, nil
}

// settle writes the meta pages once more, and syncs them, before anything is written over what they
// have made free: a process that was killed, or whose sync has failed, may have left one that
// can be read and is not on the disk.
func (db *DB) settle() error {
	if !db.bolt.NoSync {
		metas := make([]byte, 2*db.bolt.Info().PageSize)
		_, err := db.file.ReadAt(metas, 0)
		if err == nil {
			_, err = db.file.WriteAt(metas, 0)
		}
		if err == nil {
			err = durable.SyncData(db.file)
		}
		if err != nil {
			return files.Kind(fmt.Errorf("writing the database's first pages once more: %w", err))
		}
	}
	db.settled = true
	return nil
}

func (db *DB) begin(writable bool) (t *Tx, err error) {
	defer db.recovered(&err, debug.SetPanicOnFault(true))
	if db.broken.Load() {
		return nil, errDamaged
	}
	tx, err := db.bolt.Begin(writable)
	if err != nil {
		return nil, err
	}
	return &Tx{bolt: tx, db: db}, nil
}

// Size is the size of the file in bytes.
func (db *DB) Size() (int64, error) {
	info, err := db.file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Sync makes a Scratch database durable.
func (db *DB) Sync() error { return db.bolt.Sync() }

// Closed reports whether an error of View or Update says that the database was closed.
func Closed(err error) bool { return errors.Is(err, bolterrors.ErrDatabaseNotOpen) }

// Close closes the database when no Tx is left.
func (db *DB) Close() (err error) {
	defer db.recovered(&err, debug.SetPanicOnFault(true))
	db.idle.write()       // none is kept from now on
	if db.broken.Load() { // the library would wait for itself; who reads can go on
		return errors.Join(unlock(db.file), db.file.Close())
	}
	return db.bolt.Close()
}
