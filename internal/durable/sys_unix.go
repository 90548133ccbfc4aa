//go:build unix

package durable

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// tryLock locks the file if nobody holds its lock; closing it gives the lock up.
func tryLock(f *os.File) (bool, error) {
	err := control(f, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// SyncDirFile makes the entries of an open directory durable.
func SyncDirFile(f *os.File) error { return f.Sync() }

func isReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }

// isLinkless reports whether a hard link failed because the file system has none.
func isLinkless(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EMLINK)
}

// control calls do with the file's descriptor, and again if a signal came
// between.
func control(f *os.File, do func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var did error
	err = conn.Control(func(fd uintptr) {
		for {
			if did = do(int(fd)); !errors.Is(did, syscall.EINTR) {
				return
			}
		}
	})
	return errors.Join(err, did)
}
