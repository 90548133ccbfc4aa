package blobfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/rootfile"
)

const (
	dirMode  fs.FileMode = 0o700
	fileMode fs.FileMode = 0o600
)

// folder is an open directory. It stays the same one, whatever takes its path.
type folder struct {
	base *os.Root // of the Dir
	path string   // below base
	root *os.Root // the directory
	file *os.File // the same, for what a Root does not do
}

// newFolder takes over an open directory.
func newFolder(base *os.Root, name string, root *os.Root) (*folder, error) {
	file, err := root.Open(".")
	if err != nil {
		_ = root.Close() // it was only read
		return nil, fmt.Errorf("opening the directory %s: %w", name, told(err))
	}
	return &folder{base: base, path: name, root: root, file: file}, nil
}

// open opens a directory in this one. What is not there is ErrNotFound, what is no
// directory ErrFailedPrecondition.
func (f *folder) open(name string) (*folder, error) {
	root, err := rootfile.OpenDir(f.root, name)
	if err != nil {
		return nil, fmt.Errorf("opening the directory %s: %w", path.Join(f.path, name), planted(err, errdefs.ErrFailedPrecondition))
	}
	return newFolder(f.base, path.Join(f.path, name), root)
}

// make opens a directory in this one, and makes it if it is not there.
func (f *folder) make(name string) (*folder, error) {
	dir, err := f.open(name)
	if !errdefs.IsNotFound(err) {
		return dir, err
	}
	err = f.root.Mkdir(name, dirMode)
	if err == nil {
		err = f.root.Chmod(name, dirMode) // the umask may have taken bits of ours
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("making the directory %s: %w", path.Join(f.path, name), told(err))
	}
	return f.open(name)
}

// tighten takes a directory's modes from others that it has been given by somebody.
func (f *folder) tighten() error {
	info, err := f.file.Stat()
	if err == nil && info.Mode().Perm() != dirMode {
		err = f.file.Chmod(dirMode)
	}
	if err != nil {
		return fmt.Errorf("taking the directory %s from others: %w", f.path, told(err))
	}
	return nil
}

func (f *folder) close() {
	_ = f.file.Close() // only handles
	_ = f.root.Close()
}

// create makes a file that must not be there.
func (f *folder) create(name string) (*os.File, error) {
	file, err := f.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return nil, err
	}
	if err := file.Chmod(fileMode); err != nil { // the umask may have taken bits of ours
		return nil, errors.Join(err, file.Close(), f.root.Remove(name))
	}
	return file, nil
}

// remove removes a file, or whatever else has that name; that there is nothing is no
// error.
func (f *folder) remove(name string) error {
	err := f.root.Remove(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := f.root.RemoveAll(name); err != nil {
		return fmt.Errorf("removing %s: %w", path.Join(f.path, name), told(err))
	}
	return nil
}
