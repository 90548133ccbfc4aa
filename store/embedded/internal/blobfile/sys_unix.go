//go:build unix

package blobfile

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// rename moves an entry of one folder to another one, and replaces what is there of
// that name. No path is looked up but the two names.
func rename(from *folder, name string, to *folder, as string) error {
	defer runtime.KeepAlive(from)
	defer runtime.KeepAlive(to)
	return again(func() error { return unix.Renameat(int(from.file.Fd()), name, int(to.file.Fd()), as) })
}

// shared reports whether a file has other names.
func shared(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && s.Nlink > 1
}

// sizeOf returns the size of a regular file two levels below an open directory. What else
// is there, or that nothing is, is for others to find out.
func sizeOf(dir *os.File, name string) (int64, bool) {
	defer runtime.KeepAlive(dir)
	var stat unix.Stat_t
	err := again(func() error { return unix.Fstatat(int(dir.Fd()), name, &stat, unix.AT_SYMLINK_NOFOLLOW) })
	return stat.Size, err == nil && stat.Mode&unix.S_IFMT == unix.S_IFREG
}

// again calls do again if a signal came between.
func again(do func() error) error {
	for {
		if err := do(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func isReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }
