package blobfile

import (
	"errors"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/windows"
)

// rename moves an entry of one folder to another one, and replaces what is there of
// that name.
func rename(from *folder, name string, to *folder, as string) error {
	return from.base.Rename(path.Join(from.path, name), path.Join(to.path, as))
}

// shared cannot tell whether a file has other names.
func shared(fs.FileInfo) bool { return false }

// sizeOf finds nothing out.
func sizeOf(*os.File, string) (int64, bool) { return 0, false }

func isFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

func isReadOnly(err error) bool { return errors.Is(err, windows.ERROR_WRITE_PROTECT) }
