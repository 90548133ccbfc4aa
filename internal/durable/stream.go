package durable

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/dhowhq/dhow/internal/verify"
)

const (
	// chunkSize is that of the two buffers of a running Put: what a core hashes
	// while the other one writes. Larger ones leave its cache and gain nothing.
	chunkSize = 256 << 10

	// writeBackWindow is after how many bytes the kernel is told to begin to write
	// them to disk, so that little is left to do for the sync at the end.
	writeBackWindow = 8 << 20

	// maxEmptyReads is how many reads in a row may return nothing and no error.
	maxEmptyReads = 100
)

// fill writes what open returns into the file, and checks it. The error names
// the file.
func (w *Writer) fill(ctx context.Context, tmp *temp, check *verify.Verifier, open func(context.Context) (io.ReadCloser, error)) error {
	src, err := open(ctx)
	if err != nil {
		return fmt.Errorf("writing %s: %w", tmp.name, err)
	}
	if from, ok := src.(FileCopier); ok {
		err = w.copyFile(ctx, tmp, check, from)
	} else {
		err = w.copy(ctx, tmp, check, src)
	}
	if err := errors.Join(err, src.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", tmp.name, err)
	}
	return nil
}

// FileCopier is a source that is a file itself: the kernel copies its bytes for
// half of the work of reading and writing them.
type FileCopier interface {
	// CopyTo appends the next n bytes, or what is left if that is less, to a file.
	CopyTo(dst *os.File, n int64) (int64, error)
}

// copyFile copies from file to file and checks what has arrived, window by
// window: what is hashed is what was written, whatever happens to the source.
func (w *Writer) copyFile(ctx context.Context, tmp *temp, check *verify.Verifier, src FileCopier) error {
	buf := w.buffers.Get().(*[]byte)
	defer w.buffers.Put(buf)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		begin, want := tmp.size, int64(check.Room(writeBackWindow))
		n, err := src.CopyTo(tmp.file, want)
		if err != nil {
			return err
		}
		arrived := io.NewSectionReader(tmp.file, begin, n)
		if _, err := io.CopyBuffer(check, struct{ io.Reader }{arrived}, *buf); err != nil {
			return err
		}
		tmp.grown(n)
		if n < want {
			return check.Finish()
		}
	}
}

type chunk struct {
	buf *[]byte
	n   int
}

// copy reads and hashes in one goroutine and writes in another, so that one file
// keeps two cores busy. It returns when both have ended.
func (w *Writer) copy(ctx context.Context, tmp *temp, check *verify.Verifier, src io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	chunks := make(chan chunk) // no room: one chunk is read, one is written
	var readErr error
	go func() {
		defer close(chunks)
		readErr = w.read(ctx, check, src, chunks)
	}()
	var writeErr error
	for c := range chunks {
		if writeErr == nil {
			writeErr = tmp.write((*c.buf)[:c.n])
		}
		w.buffers.Put(c.buf)
		if writeErr != nil {
			cancel()
		}
	}
	if writeErr != nil {
		return writeErr
	}
	if readErr != nil {
		return readErr
	}
	return check.Finish()
}

// read sends all of src, and stops at the first byte that is too many.
func (w *Writer) read(ctx context.Context, check *verify.Verifier, src io.Reader, to chan<- chunk) error {
	for {
		buf := w.buffers.Get().(*[]byte)
		n, err := readChunk(ctx, src, (*buf)[:check.Room(len(*buf))])
		end := errors.Is(err, io.EOF)
		if err == nil || end {
			_, err = check.Write((*buf)[:n])
		}
		if err != nil {
			w.buffers.Put(buf)
			return err
		}
		select {
		case to <- chunk{buf, n}:
		case <-ctx.Done():
			w.buffers.Put(buf)
			return ctx.Err()
		}
		if end {
			return nil
		}
	}
}

// readChunk fills the buffer; it returns io.EOF, and what was read, at the end.
func readChunk(ctx context.Context, src io.Reader, buf []byte) (n int, err error) {
	for empty := 0; n < len(buf) && err == nil; {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		var m int
		m, err = src.Read(buf[n:])
		n += m
		if m > 0 {
			empty = 0
		} else if empty++; empty > maxEmptyReads {
			err = io.ErrNoProgress
		}
	}
	return n, err
}
