package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/internal/durable"
)

// receiptFile is a file that a receipt goes to. It is opened before the copy, so
// that nothing is moved if it cannot be had. A nil one takes nothing.
type receiptFile struct {
	name   string
	dir    *os.Root // to replace a regular file in; or nil
	stream *os.File // a pipe or device to write to; or nil
}

// createReceipt prepares to write a receipt to a file; an empty name, and - for
// standard output, give nil.
func createReceipt(name string) (*receiptFile, error) {
	if name == "" || name == "-" {
		return nil, nil //nolint:nilnil // nil is a file that takes nothing
	}
	f := &receiptFile{name: name}
	info, err := os.Stat(name)
	switch {
	case err == nil && info.IsDir():
		err = fmt.Errorf("%q is a directory", name)
	case err == nil && !info.Mode().IsRegular():
		f.stream, err = os.OpenFile(name, os.O_WRONLY, 0)
	case err == nil || errors.Is(err, fs.ErrNotExist):
		f.dir, err = os.OpenRoot(filepath.Dir(name))
	}
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	return f, nil
}

// write writes the receipt: all of it or, to a regular file, nothing.
func (f *receiptFile) write(ctx context.Context, r *copy.Receipt) error {
	if f == nil {
		return nil
	}
	var b bytes.Buffer
	err := text.JSON(&b, r)
	switch {
	case err != nil:
	case f.stream != nil:
		_, err = f.stream.Write(b.Bytes())
	default:
		w := durable.NewWriter(f.dir, durable.Options{})
		err = errors.Join(w.Replace(ctx, filepath.Base(f.name), b.Bytes()), w.Close())
	}
	if err != nil {
		return fmt.Errorf("writing the receipt %q: %w", f.name, err)
	}
	return nil
}

// close gives the file up; what was written is there.
func (f *receiptFile) close() error {
	switch {
	case f == nil:
		return nil
	case f.stream != nil:
		return f.stream.Close()
	default:
		return f.dir.Close()
	}
}
