package durable

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/dhowhq/dhow/internal/verify"
)

// Draft is a new file that is written piece by piece and has no name before Publish.
// One goroutine uses it at a time, and only inside of a job (see Do): what a cancelled
// call leaves behind goes on there. One that is not published is removed by Discard, or
// by Close of its Writer.
type Draft struct {
	w   *Writer
	tmp *temp
}

// Draft begins a file that shall have that name. It must be called inside of a job.
func (w *Writer) Draft(name string) (*Draft, error) {
	dir, err := w.open()
	if err != nil {
		return nil, err
	}
	if err := w.makeDir(path.Dir(name)); err != nil {
		return nil, err
	}
	tmp, err := w.create(dir, name)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drafts[tmp] = true
	return &Draft{w: w, tmp: tmp}, nil
}

// Size returns how many bytes have been written.
func (d *Draft) Size() int64 { return d.tmp.size }

// Write appends bytes. After an error some of them may have been.
func (d *Draft) Write(p []byte) (int, error) {
	before := d.tmp.size
	err := d.tmp.write(p)
	if err != nil {
		err = fmt.Errorf("writing %s: %w", d.tmp.name, cause(err))
	}
	return int(d.tmp.size - before), err
}

// Append appends what open returns, which has the digest and the size that check knows.
// After an error some of it may have been: see Cut. Errors are those of Put.
func (d *Draft) Append(ctx context.Context, check *verify.Verifier, open func(context.Context) (io.ReadCloser, error)) error {
	return d.w.fill(ctx, d.tmp, check, open)
}

// CopyFrom appends the next n bytes of a file, which must have them.
func (d *Draft) CopyFrom(ctx context.Context, src *os.File, n int64) error {
	for n > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		copied, err := d.tmp.file.ReadFrom(io.LimitReader(src, min(n, writeBackWindow)))
		d.tmp.grown(copied)
		n -= copied
		if err == nil && copied == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("writing %s: %w", d.tmp.name, err)
		}
	}
	return nil
}

// Stat describes the file, which keeps its identity when it is published.
func (d *Draft) Stat() (fs.FileInfo, error) { return d.tmp.file.Stat() }

// Cut takes away all but the first bytes.
func (d *Draft) Cut(size int64) error {
	err := d.tmp.file.Truncate(size)
	if err == nil {
		_, err = d.tmp.file.Seek(size, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", d.tmp.name, cause(err))
	}
	d.tmp.size, d.tmp.started = size, min(d.tmp.started, size)
	return nil
}

// Publish makes the file durable under its name, in the place of what has it. The Draft
// is of no further use, whether that succeeds or not.
func (d *Draft) Publish(ctx context.Context) error {
	d.forget()
	err := d.tmp.finish()
	if err == nil {
		err = ctx.Err() // the sync may take long
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", d.tmp.name, err), d.tmp.discard())
	}
	if err := d.w.publish(d.tmp); err != nil {
		return err
	}
	return d.w.syncDir(d.w.root, path.Dir(d.tmp.name))
}

// Discard removes the file.
func (d *Draft) Discard() error {
	d.forget()
	return d.tmp.discard()
}

func (d *Draft) forget() {
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	delete(d.w.drafts, d.tmp)
}
