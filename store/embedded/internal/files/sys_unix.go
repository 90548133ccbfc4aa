//go:build unix

package files

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// private gives a file or directory its mode, which the umask may have made smaller.
func private(f *os.File, mode fs.FileMode) error {
	info, err := f.Stat()
	if err != nil || info.Mode().Perm() == mode {
		return err
	}
	return f.Chmod(mode)
}

// ModeOf returns the mode that a file or directory of a store should have, if it is one
// and access is by modes.
func ModeOf(info fs.FileInfo) (mode fs.FileMode, ok bool) {
	if info.IsDir() {
		return 0o700, true
	}
	return 0o600, info.Mode().IsRegular()
}

// IsFull reports whether an error is that of a disk, a quota or a limit that is full.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// IsReadOnly reports whether an error is that of a file system which is not to be
// written to.
func IsReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }
