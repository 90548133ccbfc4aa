package files

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// private does nothing: access is not by modes here.
func private(*os.File, fs.FileMode) error { return nil }

// ModeOf returns the mode that a file or directory of a store should have, if it is one
// and access is by modes.
func ModeOf(fs.FileInfo) (mode fs.FileMode, ok bool) { return 0, false }

// IsFull reports whether an error is that of a disk, a quota or a limit that is full.
func IsFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED)
}

// IsReadOnly reports whether an error is that of a file system which is not to be
// written to.
func IsReadOnly(err error) bool { return errors.Is(err, windows.ERROR_WRITE_PROTECT) }
