package durable

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"time"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/rootfile"
)

const (
	// ingestParent holds one directory for each Writer that writes below a root.
	ingestParent = ".dhow-ingest"

	// lockName is the file in such a directory that its Writer holds a lock of.
	lockName = "lock"

	// ingestTries is how often a Writer tries to get a directory while others
	// sweep. Once is enough but for a race that lasts microseconds.
	ingestTries = 100
)

// IsOurs reports whether the name of a directory entry directly below a root is
// one that Writers use: it may be left after a process was killed, and is no
// content.
func IsOurs(name string) bool { return name == ingestParent }

// ingest is the directory of one Writer, for files that are being written.
type ingest struct {
	root   *os.Root // the Writer's; our own handle, for it may be closed before us
	parent *os.Root
	dir    *os.Root
	name   string // below parent
	lock   *os.File
}

// openIngest makes a directory and locks it, so that nobody sweeps it.
func openIngest(root *os.Root) (*ingest, error) {
	for range ingestTries {
		in, err := tryIngest(root)
		if err == nil {
			return in, nil
		}
		if !errors.Is(err, errTaken) {
			return nil, fmt.Errorf("making a directory for new files in %s: %w", root.Name(), cause(err))
		}
	}
	return nil, fmt.Errorf("making a directory for new files in %s: each was swept at once: %w", root.Name(), errdefs.ErrAborted)
}

// errTaken says that a sweeping Writer was faster.
var errTaken = errors.New("taken by another process")

func tryIngest(root *os.Root) (_ *ingest, err error) {
	in := &ingest{name: randomName()}
	defer func() {
		if err != nil {
			in.release()
		}
	}()
	if in.root, err = root.OpenRoot("."); err != nil {
		return nil, err
	}
	if err := mkdir(in.root, ingestParent); err != nil {
		return nil, err
	}
	err = in.occupy()
	if errors.Is(err, fs.ErrNotExist) {
		err = errTaken
	}
	return in, err
}

// occupy makes and locks the directory. That something is not there says that
// another process has swept it, or the parent, meanwhile.
func (in *ingest) occupy() (err error) {
	if in.parent, err = rootfile.OpenDir(in.root, ingestParent); err != nil {
		return err
	}
	if err := in.parent.Mkdir(in.name, 0o755); err != nil {
		return err
	}
	if in.dir, err = rootfile.OpenDir(in.parent, in.name); err != nil {
		return err
	}
	in.lock, err = openOwnerLock(in.dir)
	return err
}

// openOwnerLock locks the directory's lock file. If another one holds it, or has
// just removed it, the error is errTaken.
func openOwnerLock(dir *os.Root) (*os.File, error) {
	f, err := dir.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	locked, err := tryLock(f)
	if err == nil && locked {
		locked, err = isAt(dir, lockName, f)
	}
	if err == nil && !locked {
		err = errTaken
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return f, nil
}

// lockNames locks the right to give new names, below the root, to files that
// cannot be linked. It waits for the lock as long as the context lasts.
func (in *ingest) lockNames(ctx context.Context) (unlock func(), err error) {
	for {
		lock, err := openOwnerLock(in.parent)
		if err == nil {
			unlock := func() {
				_ = in.parent.Remove(lockName) // one that stays is as good for the next
				_ = lock.Close()               // gives the lock up; nothing was written
			}
			if err := ctx.Err(); err != nil {
				unlock()
				return nil, err
			}
			return unlock, nil
		}
		if !errors.Is(err, errTaken) {
			return nil, err
		}
		select {
		case <-time.After(minLockPause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// path returns a file's path below the Writer's root.
func (in *ingest) path(tmp string) string { return path.Join(ingestParent, in.name, tmp) }

// close removes the directory and all in it.
func (in *ingest) close() error {
	err := removeIngest(in.parent, in.name, in.dir)
	removeParent(in.root)
	in.release()
	return err
}

func (in *ingest) release() {
	if in.lock != nil {
		_ = in.lock.Close() // gives the lock up; nothing was written
	}
	for _, r := range []*os.Root{in.dir, in.parent, in.root} {
		if r != nil {
			_ = r.Close() // only a handle
		}
	}
}

// removeIngest removes a directory of which the caller holds the lock. The lock
// file goes after everything else: whoever makes a new one in a directory that
// is about to go keeps it.
func removeIngest(parent *os.Root, name string, dir *os.Root) error {
	entries, err := fs.ReadDir(dir.FS(), ".")
	if err != nil {
		return fmt.Errorf("removing %s: %w", dir.Name(), err)
	}
	var errs []error
	for _, e := range entries {
		if e.Name() != lockName {
			errs = append(errs, dir.RemoveAll(e.Name()))
		}
	}
	errs = append(errs, dir.Remove(lockName))
	// Whoever sweeps between these two lines makes a lock file and removes it.
	if err := parent.Remove(name); !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("removing %s: %w", dir.Name(), err)
	}
	return nil
}

// removeParent removes the parent of all ingest directories if it is empty.
func removeParent(root *os.Root) {
	_ = root.Remove(ingestParent) // fails if others are at work; the last one succeeds
}

// sweep removes the directories of Writers that are gone: those whose lock is
// free. What cannot be removed is logged and stays.
func sweep(root *os.Root, log *slog.Logger) {
	parent, err := rootfile.OpenDir(root, ingestParent)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		log.Warn("looking for files of killed processes", "error", err)
		return
	}
	defer parent.Close()
	entries, err := fs.ReadDir(parent.FS(), ".")
	if err != nil {
		log.Warn("looking for files of killed processes", "directory", parent.Name(), "error", err)
		return
	}
	for _, e := range entries {
		if e.Name() == lockName {
			continue // of lockNames
		}
		switch err := sweepOne(parent, e.Name()); {
		case err == nil:
			log.Info("removed files of a killed process", "directory", path.Join(parent.Name(), e.Name()))
		case errors.Is(err, errTaken), errors.Is(err, fs.ErrNotExist):
		default:
			log.Warn("removing files of a killed process", "error", err)
		}
	}
	removeParent(root)
}

func sweepOne(parent *os.Root, name string) error {
	dir, err := rootfile.OpenDir(parent, name)
	if err != nil {
		return err
	}
	defer dir.Close()
	lock, err := openOwnerLock(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	return removeIngest(parent, name, dir)
}

func randomName() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// cause returns an error of the file system without the names of the system call
// and the file.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
