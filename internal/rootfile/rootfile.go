// Package rootfile opens files and directories of a tree that may be hostile: no
// symbolic link is followed, nothing but a regular file is opened as one, and
// nothing blocks. An os.Root keeps paths inside the tree, but does follow links
// within it.
package rootfile

import (
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"strings"

	"github.com/containerd/errdefs"
)

// OpenDir opens the directory with that slash-separated path below the root.
// What is not there is errdefs.ErrNotFound; a symbolic link, or anything else
// that is not a directory, is errdefs.ErrInvalidArgument.
func OpenDir(root *os.Root, name string) (*os.Root, error) {
	dir := root
	for part := range strings.SplitSeq(name, "/") {
		next, err := openDir(dir, part)
		if dir != root {
			_ = dir.Close() // it was only read
		}
		if err != nil {
			return nil, err
		}
		dir = next
	}
	return dir, nil
}

func openDir(root *os.Root, name string) (*os.Root, error) {
	before, err := root.Lstat(name)
	if err != nil {
		return nil, plain("directory", name, err)
	}
	if !before.IsDir() {
		return nil, wrongKind(root, name, before, "a directory")
	}
	dir, err := root.OpenRoot(name)
	if err != nil {
		return nil, plain("directory", name, err)
	}
	after, err := dir.Stat(".")
	if err == nil && os.SameFile(before, after) {
		return dir, nil
	}
	_ = dir.Close() // it was only read
	if err != nil {
		return nil, plain("directory", name, err)
	}
	return nil, changed(root, name)
}

// Open opens the regular file with that slash-separated path below the root for
// reading. What is not there is errdefs.ErrNotFound, what may not be read
// errdefs.ErrPermissionDenied; a symbolic link, or anything else that is not a
// regular file, is errdefs.ErrInvalidArgument.
func Open(root *os.Root, name string) (*os.File, error) {
	return OpenFile(root, name, os.O_RDONLY)
}

// OpenFile is Open for reading, writing or both, as os.OpenFile's flag says. It
// never makes a file.
func OpenFile(root *os.Root, name string, flag int) (*os.File, error) {
	if parent, base := path.Split(name); parent != "" {
		dir, err := OpenDir(root, strings.TrimSuffix(parent, "/"))
		if err != nil {
			return nil, err
		}
		defer dir.Close()
		root, name = dir, base
	}
	for range openTries {
		f, err := openFile(root, name, flag)
		if f != nil || err != nil {
			return f, err
		}
	}
	return nil, changed(root, name)
}

// openTries is how often a file is opened that others replace meanwhile, as they
// may. Once is enough but for a race that lasts microseconds.
const openTries = 100

// openFile is OpenFile of a name in the root itself. It returns nil if the file
// is replaced meanwhile.
func openFile(root *os.Root, name string, flag int) (*os.File, error) {
	before, err := root.Lstat(name)
	if err != nil {
		return nil, plain("file", name, err)
	}
	if !before.Mode().IsRegular() {
		return nil, wrongKind(root, name, before, "a regular file")
	}
	// Between the look and the open the file may turn into a FIFO, of which the
	// open must not wait for a writer, or into a link.
	f, err := root.OpenFile(name, flag&^os.O_CREATE|nonblock, 0)
	if err != nil {
		return nil, plain("file", name, err)
	}
	after, err := f.Stat()
	if err == nil && os.SameFile(before, after) {
		return f, nil
	}
	_ = f.Close() // nothing was written
	if err != nil {
		return nil, plain("file", name, err)
	}
	return nil, nil //nolint:nilnil // said above
}

// Read returns the bytes of the regular file with that path below the root. More
// than limit bytes are errdefs.ErrResourceExhausted; for other errors see Open.
func Read(root *os.Root, name string, limit int64) ([]byte, error) {
	f, err := Open(root, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, min(limit, math.MaxInt64-1)+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes: %w", name, limit, errdefs.ErrResourceExhausted)
	}
	return data, nil
}

func wrongKind(root *os.Root, name string, info fs.FileInfo, want string) error {
	return fmt.Errorf("%s in %s is %s, not %s: %w", name, root.Name(), Describe(info.Mode()), want, errdefs.ErrInvalidArgument)
}

func changed(root *os.Root, name string) error {
	return fmt.Errorf("%s in %s was replaced while it was opened: %w", name, root.Name(), errdefs.ErrInvalidArgument)
}

// Describe says what a file of that mode is, with its article.
func Describe(mode fs.FileMode) string {
	switch mode.Type() {
	case fs.ModeDir:
		return "a directory"
	case fs.ModeSymlink:
		return "a symbolic link"
	case fs.ModeNamedPipe:
		return "a FIFO"
	case fs.ModeSocket:
		return "a socket"
	case 0:
		return "a regular file"
	}
	return "a device"
}
