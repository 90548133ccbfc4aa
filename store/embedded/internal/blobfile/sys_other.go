//go:build !linux && !darwin

package blobfile

import (
	"fmt"
	"io/fs"
	"os"

	"github.com/containerd/errdefs"
)

// syncFS is not there: what it would do, the sync of each file does.
func syncFS(*os.File) error { return nil }

// free is not known.
func free(*os.File) (uint64, error) {
	return 0, fmt.Errorf("free space of a file system on this platform: %w", errdefs.ErrNotImplemented)
}

// shares is false: package os does not have the kernel copy here.
func shares(*os.File) bool { return false }

// identify cannot tell whether a file has changed.
func identify(fs.FileInfo) (identity, bool) { return identity{}, false }
