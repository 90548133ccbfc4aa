//go:build unix

package blobfile

import (
	"errors"
	"io/fs"
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
