package blobfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/containerd/errdefs"
)

// told gives an error of the file system its kind, and leaves out the names of system
// call and file, if it is not wrapped.
func told(err error) error {
	switch e := err.(type) { //nolint:errorlint // what wraps it says more
	case *fs.PathError:
		err = e.Err
	case *os.LinkError:
		err = e.Err
	}
	var kind error
	switch {
	case isFull(err):
		kind = errdefs.ErrResourceExhausted
	case isReadOnly(err):
		kind = errdefs.ErrFailedPrecondition
	case errors.Is(err, fs.ErrPermission):
		kind = errdefs.ErrPermissionDenied
	}
	if kind == nil || errors.Is(err, kind) {
		return err
	}
	return fmt.Errorf("%w: %w", err, kind)
}

// planted gives an error of rootfile another kind: that something else is in the place
// of a file or directory of ours is no argument of the caller's.
func planted(err, kind error) error {
	if !errdefs.IsInvalidArgument(err) {
		return told(err)
	}
	return fmt.Errorf("%s: %w", strings.TrimSuffix(err.Error(), ": "+errdefs.ErrInvalidArgument.Error()), kind)
}

// lookedUp is told for a name that was looked up: it may not be there.
func lookedUp(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errdefs.ErrNotFound
	}
	return told(err)
}
