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

// IsFull reports whether an error is that of a disk, a quota or a limit that is full.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// IsReadOnly reports whether an error is that of a file system which is not to be
// written to.
func IsReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }
