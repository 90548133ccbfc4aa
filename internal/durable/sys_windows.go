package durable

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockOffset is where the one locked byte lies: locks are mandatory here, and
// nobody reads that far.
const lockOffset = 1 << 30

// tryLock locks the file if nobody holds its lock; closing it gives the lock up.
func tryLock(f *os.File) (bool, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	var did error
	err = conn.Control(func(fd uintptr) {
		did = windows.LockFileEx(windows.Handle(fd),
			windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY,
			0, 1, 0, &windows.Overlapped{OffsetHigh: lockOffset})
	})
	if errors.Is(did, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	err = errors.Join(err, did)
	return err == nil, err
}

// SyncDirFile does nothing: a directory cannot be synced, nor needs it to be.
func SyncDirFile(*os.File) error { return nil }

func isReadOnly(err error) bool { return errors.Is(err, windows.ERROR_WRITE_PROTECT) }

// isLinkless reports whether a hard link failed because the file system has none.
func isLinkless(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, windows.ERROR_INVALID_FUNCTION) || errors.Is(err, windows.ERROR_TOO_MANY_LINKS)
}
