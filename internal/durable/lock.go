package durable

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/dhowhq/dhow/internal/rootfile"
)

// Bounds of the pause between two tries to get a lock.
const (
	minLockPause = time.Millisecond
	maxLockPause = 20 * time.Millisecond
)

// Lock locks the file of that name below the root against other processes and
// other callers in this one, and waits for it as long as the context lasts. The
// file must be there; a lock of a file that was replaced meanwhile does not
// count.
func Lock(ctx context.Context, root *os.Root, name string) (unlock func() error, err error) {
	for pause := minLockPause; ; pause = min(2*pause, maxLockPause) {
		f, err := lockOnce(root, name)
		if err != nil {
			return nil, fmt.Errorf("locking %s in %s: %w", name, root.Name(), err)
		}
		if f != nil {
			return f.Close, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the lock of %s in %s: %w", name, root.Name(), ctx.Err())
		case <-time.After(pause):
		}
	}
}

// lockOnce returns the locked file, or nil if it is locked by another one.
func lockOnce(root *os.Root, name string) (*os.File, error) {
	f, err := rootfile.OpenFile(root, name, os.O_RDWR) // a network file system may lock only these
	if errors.Is(err, fs.ErrPermission) || isReadOnly(err) {
		f, err = rootfile.Open(root, name)
	}
	if err != nil {
		return nil, err
	}
	locked, err := tryLock(f)
	if err == nil && locked {
		locked, err = isAt(root, name, f)
	}
	if err != nil || !locked {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return f, nil
}

// isAt reports whether the open file is still the one of that name.
func isAt(root *os.Root, name string, f *os.File) (bool, error) {
	mine, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return os.SameFile(mine, there), nil
}
