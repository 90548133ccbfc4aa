package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/durable"
)

// staged is a stream that was copied to a private temporary file. Closing it removes the file;
// where a file can be removed while it is open, it has no name from the beginning, so that a
// killed process leaves nothing.
type staged struct {
	*os.File
	size int64
	path string // empty if it has no name
}

// stage copies a stream up to its end, and returns it at its beginning. More than
// Options.MaxStaged bytes are errdefs.ErrResourceExhausted. It returns when the context ends,
// though a reader that does not return then is left behind.
func stage(ctx context.Context, r io.Reader, opts Options) (*staged, error) {
	s, err := newStaged(opts.TempDir)
	if err != nil {
		return nil, err
	}
	done := make(chan error)
	go func() {
		err := s.fill(ctx, r, opts.MaxStaged)
		select {
		case done <- err:
		case <-ctx.Done():
			_ = s.Close() // nobody wants it
		}
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func newStaged(dir string) (*staged, error) {
	f, err := os.CreateTemp(dir, "dhow-")
	if err != nil {
		return nil, fmt.Errorf("making a temporary file: %w", err)
	}
	s := &staged{File: f}
	if err := os.Remove(f.Name()); err != nil {
		s.path = f.Name() // it can be removed only when it is closed
	}
	return s, nil
}

// fill copies the stream, and goes back to the beginning.
func (s *staged) fill(ctx context.Context, r io.Reader, limit int64) error {
	err := new(durable.Pump).Copy(ctx, r, &bound{limit: limit}, func(p []byte) error {
		n, err := s.Write(p)
		s.size += int64(n)
		if err != nil {
			err = fmt.Errorf("writing a temporary file: %w", err)
		}
		return err
	})
	if err == nil {
		_, err = s.Seek(0, io.SeekStart)
	}
	return err
}

// Close closes and removes the file.
func (s *staged) Close() error {
	err := s.File.Close()
	if s.path != "" {
		err = errors.Join(err, os.Remove(s.path))
	}
	return err
}

// bound is a durable.Checker that fails when too many bytes are seen.
type bound struct{ limit, seen int64 }

func (b *bound) Write(p []byte) (int, error) {
	b.seen += int64(len(p))
	if b.seen > b.limit {
		return 0, fmt.Errorf("it has more than %d bytes: %w", b.limit, errdefs.ErrResourceExhausted)
	}
	return len(p), nil
}

func (b *bound) Room(n int) int { return int(min(int64(n), b.limit-b.seen+1)) }
