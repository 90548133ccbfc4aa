// Package files makes the private files and directories of an embedded store, mode 0600
// and 0700 whatever the umask, and makes them durable.
package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/durable"
	"github.com/dhowhq/dhow/internal/rootfile"
)

// Create makes a file that must not be there yet, for reading and writing.
func Create(root *os.Root, name string) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, Kind(fmt.Errorf("making %s: %w", name, err))
	}
	if err := private(f, 0o600); err != nil {
		return nil, errors.Join(Kind(fmt.Errorf("making %s: %w", name, err)), f.Close(), root.Remove(name))
	}
	return f, nil
}

// Mkdir makes a directory unless it is there, and opens it. A symbolic link, or anything
// else that is no directory, is ErrInvalidArgument.
func Mkdir(root *os.Root, name string) (*os.Root, error) {
	if err := root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, Kind(fmt.Errorf("making %s: %w", name, err))
	}
	dir, err := rootfile.OpenDir(root, name)
	if err != nil {
		return nil, err
	}
	if err := Private(dir); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return dir, nil
}

// Remove removes a file, or whatever else has that name; that there is nothing is no error.
func Remove(root *os.Root, name string) error {
	err := root.Remove(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return Kind(root.RemoveAll(name))
}

// Private gives a directory the mode 0700.
func Private(dir *os.Root) error {
	f, err := dir.Open(".")
	if err != nil {
		return Kind(err)
	}
	defer f.Close()
	return Kind(private(f, 0o700))
}

// Write makes a small file durable, in the place of one that is there.
func Write(root *os.Root, name string, data []byte) (err error) {
	tmp := name + ".new"
	if err := root.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Kind(err)
	}
	f, err := Create(root, tmp)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = durable.SyncData(f)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return Kind(errors.Join(fmt.Errorf("writing %s: %w", name, err), root.Remove(tmp)))
	}
	if err := root.Rename(tmp, name); err != nil {
		return Kind(err)
	}
	return SyncDir(root)
}

// SyncDir makes the entries of a directory durable.
func SyncDir(dir *os.Root) error {
	f, err := dir.Open(".")
	if err != nil {
		return Kind(err)
	}
	defer f.Close()
	return Kind(durable.SyncDirFile(f))
}

// Kind gives an error of the file system its kind of errdefs, if it has one.
func Kind(err error) error {
	switch {
	case err == nil, errdefs.IsNotFound(err), errdefs.IsPermissionDenied(err), errdefs.IsResourceExhausted(err):
		return err
	case IsFull(err):
		return fmt.Errorf("%w: %w", err, errdefs.ErrResourceExhausted)
	case IsReadOnly(err):
		return fmt.Errorf("%w: %w", err, errdefs.ErrFailedPrecondition)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %w", err, errdefs.ErrNotFound)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", err, errdefs.ErrPermissionDenied)
	}
	return err
}
