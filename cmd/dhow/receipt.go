package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/internal/durable"
	"github.com/dhowhq/dhow/internal/openfile"
)

// outputFile is a file that the result of a command goes to. It is prepared before, so that
// nothing is done if it cannot be had. A nil one takes nothing.
type outputFile struct {
	name   string
	stream io.WriteCloser // a pipe, a device or an output of this process; or nil
	stdout bool           // it is standard output, whatever it is called
	// These replace a regular file; or they are nil.
	dir    *os.Root
	writer *durable.Writer
}

// errJSONAndReceipt refuses both on standard output.
var errJSONAndReceipt = fmt.Errorf("--json and --receipt both write to standard output: %w", errdefs.ErrInvalidArgument)

// createReceipt prepares to write a receipt to a file, or to standard output for -; an
// empty name gives nil.
func (a *app) createReceipt(ctx context.Context, name string) (*outputFile, error) {
	switch name {
	case "":
		return nil, nil //nolint:nilnil // nil is a file that takes nothing
	case "-":
		return a.standardOutput(), nil
	}
	f, err := a.createOutput(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	return f, nil
}

// standardOutput is the output that is standard output.
func (a *app) standardOutput() *outputFile {
	return &outputFile{stream: borrowed{a.stdout}, stdout: true}
}

// isStdout reports whether it is standard output.
func (f *outputFile) isStdout() bool { return f != nil && f.stdout }

// createOutput prepares to write to a file.
func (a *app) createOutput(ctx context.Context, name string) (*outputFile, error) {
	f := &outputFile{name: name}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = f.prepare(ctx, a.log)
	case err != nil:
	case ownOutput(info) != nil:
		own := ownOutput(info)
		f.stream, f.stdout = borrowed{own}, own == os.Stdout
	case info.IsDir():
		err = fmt.Errorf("%q is a directory", name)
	case !info.Mode().IsRegular():
		f.stream, err = openfile.Open(ctx, name, os.O_WRONLY)
	default:
		err = f.prepare(ctx, a.log)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// ownOutput returns standard output or standard error if that is the file, as it is for
// /dev/stdout; else nil. What was written there before must not be replaced.
func ownOutput(info fs.FileInfo) *os.File {
	for _, f := range []*os.File{os.Stdout, os.Stderr} {
		if own, err := f.Stat(); err == nil && os.SameFile(own, info) {
			return f
		}
	}
	return nil
}

// borrowed is an output that is not to be closed.
type borrowed struct{ io.Writer }

func (borrowed) Close() error { return nil }

// prepare makes sure that a file can be written in the directory. A link is followed: it
// is not what is replaced.
func (f *outputFile) prepare(ctx context.Context, log *slog.Logger) (err error) {
	if _, err := os.Lstat(f.name); err == nil {
		if f.name, err = filepath.EvalSymlinks(f.name); err != nil {
			return err
		}
	}
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
func (f *outputFile) write(ctx context.Context, r *copy.Receipt) error {
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

// fill has a function write the file, which obeys its context by itself but may leave a write
// behind: all of it or, to a regular file, nothing.
func (f *outputFile) fill(ctx context.Context, write func(io.Writer) error) error {
	if f.stream != nil {
		return write(f.stream)
	}
	var draft *durable.Draft
	err := f.writer.Do(context.WithoutCancel(ctx), func() (err error) {
		if draft, err = f.writer.Draft(filepath.Base(f.name)); err != nil {
			return err
		}
		lent := &lent{w: draft}
		err = write(lent)
		lent.takeBack()
		if err != nil {
			return errors.Join(err, draft.Discard())
		}
		return nil
	})
	if err != nil {
		return err
	}
	return f.writer.Do(ctx, func() error { return draft.Publish(ctx) }) // a sync may take long
}

// lent is a writer that can be taken back from whoever writes to it.
type lent struct {
	mu sync.Mutex
	w  io.Writer // nil when it was taken back
}

func (l *lent) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.w == nil {
		return 0, os.ErrClosed
	}
	return l.w.Write(p)
}

// takeBack waits for a write that goes on, and has all others fail.
func (l *lent) takeBack() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.w = nil
}

// close gives the file up; what was written is there.
func (f *outputFile) close() error {
	switch {
	case f == nil:
		return nil
	case f.stream != nil:
		return f.stream.Close()
	default:
		return errors.Join(f.writer.Close(), f.dir.Close())
	}
}
