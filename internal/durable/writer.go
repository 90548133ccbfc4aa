// Package durable writes files so that none is seen under its name before all of
// its bytes are there, verified and on disk.
//
// A Writer streams each file into an ingest directory below the root that it
// writes to, checks size and digest, syncs the data, renames the file to its
// name and at last syncs the directories. Files left behind by a process that
// was killed are removed by the next Writer of the same root.
package durable

import (
	"context"
	"io"
	"log/slog"
	"os"

	"github.com/opencontainers/go-digest"
)

// Options are those of a Writer. The zero value is the default.
type Options struct {
	// Logger is told of what was swept and what could not be; nil: nobody.
	Logger *slog.Logger
}

// File is a file to be written.
type File struct {
	// Name is the slash-separated path below the root. Directories are made.
	Name string
	// Digest is what the bytes must have.
	Digest digest.Digest
	// Size is the number of bytes; negative if it is not known.
	Size int64
}

// Writer writes files below one root. Its methods may be called concurrently,
// except Close. It writes nothing before it is asked to.
type Writer struct{}

// NewWriter returns a Writer below the root, which the caller keeps open until
// after Close.
func NewWriter(root *os.Root, opts Options) *Writer { panic("stub") }

// Put writes a file, and replaces one of that name. A small file may be held
// back, verified but under no name, until a group of them is synced together or
// Flush is called; see Pending. Bytes that do not match are errdefs.ErrDataLoss
// and leave nothing behind. The reader that open returns is closed.
func (w *Writer) Put(ctx context.Context, f File, open func(context.Context) (io.ReadCloser, error)) error {
	panic("stub")
}

// Pending reports whether a file of that name was Put and is held back.
func (w *Writer) Pending(name string) bool { panic("stub") }

// Adopt makes Flush sync a file that was there already, written by whomever.
func (w *Writer) Adopt(name string) { panic("stub") }

// Replace writes a small file at once: its old content is there until the new
// content is durable under the name.
func (w *Writer) Replace(ctx context.Context, name string, data []byte) error { panic("stub") }

// Create is Replace for a file that must not be there yet; one that is there
// stays as it is, and the error is fs.ErrExist.
func (w *Writer) Create(ctx context.Context, name string, data []byte) error { panic("stub") }

// Flush makes every file that was Put or adopted durable under its name. Once it
// failed it fails always: what was Put is then not there.
func (w *Writer) Flush(ctx context.Context) error { panic("stub") }

// Close removes what is held back, and the ingest directory.
func (w *Writer) Close() error { panic("stub") }

// IsOurs reports whether a directory entry of a root belongs to Writers: it may
// be there after a process was killed, and is no content.
func IsOurs(name string) bool { panic("stub") }

// MkdirAll makes a directory and its missing parents, and syncs the parents of
// those that it made.
func MkdirAll(path string) error { panic("stub") }

// Lock locks the file of that name below the root against other processes and
// other callers in this one, and waits for it as long as the context lasts.
func Lock(ctx context.Context, root *os.Root, name string) (unlock func() error, err error) {
	panic("stub")
}
