package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/internal/durable"
)

// receiptFile is a file that a receipt goes to. It is prepared before the copy, so
// that nothing is moved if it cannot be had. A nil one takes nothing.
type receiptFile struct {
	name   string
	stream *os.File // a pipe or device to write to; or nil
	// These replace a regular file; or they are nil.
	dir    *os.Root
	writer *durable.Writer
}

// createReceipt prepares to write a receipt to a file; an empty name, and - for
// standard output, give nil.
func (a *app) createReceipt(ctx context.Context, name string) (*receiptFile, error) {
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
		err = f.prepare(ctx, a.log)
	}
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	return f, nil
}

// prepare makes sure that a file can be written in the directory.
func (f *receiptFile) prepare(ctx context.Context, log *slog.Logger) (err error) {
	if f.dir, err = os.OpenRoot(filepath.Dir(f.name)); err != nil {
		return err
	}
	f.writer = durable.NewWriter(f.dir, durable.Options{Logger: log})
	if err := f.writer.Prepare(ctx); err != nil {
		return errors.Join(err, f.close())
	}
	return nil
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
		err = f.writer.Replace(ctx, filepath.Base(f.name), b.Bytes())
	}
	return err
}

// close gives the file up; what was written is there.
func (f *receiptFile) close() error {
	switch {
	case f == nil:
		return nil
	case f.stream != nil:
		return f.stream.Close()
	default:
		return errors.Join(f.writer.Close(), f.dir.Close())
	}
}
