package archive

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/durable"
	"github.com/dhowhq/dhow/internal/verify"
)

// sink is what an archive is written to. But for run and close its methods are called
// inside of a job, by one at a time. close is called when no job runs, or, of a file, at any
// time.
type sink interface {
	output
	// run runs a job and waits for it as long as the context lasts. The job goes on after
	// that.
	run(ctx context.Context, job func() error) error
	// publish makes the archive visible.
	publish(ctx context.Context) error
	// resume goes on after a publish, with the first bytes of what was published.
	resume(ctx context.Context, size int64) error
	// close ends all; an archive that was not published is gone.
	close() error
}

// output is that to which bytes are appended.
type output interface {
	// begin makes it ready to be written to.
	begin() error
	// Write appends bytes.
	io.Writer
	// add appends content, which check knows, and closes its reader.
	add(ctx context.Context, content io.ReadCloser, check *verify.Verifier) error
	// cut takes away what was written beyond a size. Where that cannot be done, the error
	// is errdefs.ErrFailedPrecondition.
	cut(size int64) error
}

// stream is a sink that is read elsewhere, by whoever has the other end of a pipe.
type stream struct {
	open func() (io.WriteCloser, error) // may wait for the other end
	pump durable.Pump

	w       io.WriteCloser // nil before begin
	written int64
	closed  bool
}

// newStream returns a sink that writes to w, which stays open.
func newStream(w io.Writer) *stream {
	return &stream{open: func() (io.WriteCloser, error) { return keepOpen{w}, nil }}
}

type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }

func (s *stream) run(ctx context.Context, job func() error) error {
	done := make(chan error, 1)
	go func() { done <- job() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *stream) begin() error {
	if s.w != nil {
		return nil
	}
	w, err := s.open()
	if err != nil {
		return err
	}
	s.w = w
	return nil
}

func (s *stream) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.written += int64(n)
	return n, err
}

func (s *stream) add(ctx context.Context, content io.ReadCloser, check *verify.Verifier) error {
	err := s.pump.Copy(ctx, content, check, func(p []byte) error {
		_, err := s.Write(p)
		return err
	})
	if err == nil {
		err = check.Finish()
	}
	return errors.Join(err, content.Close())
}

func (s *stream) cut(size int64) error {
	if s.written == size {
		return nil
	}
	return fmt.Errorf("what has gone into a stream cannot be taken back: %w", errdefs.ErrFailedPrecondition)
}

// publish closes the stream, so that whoever reads it sees its end.
func (s *stream) publish(context.Context) error { return s.close() }

func (s *stream) resume(context.Context, int64) error {
	return fmt.Errorf("the stream has ended: %w", errdefs.ErrFailedPrecondition)
}

func (s *stream) close() error {
	if s.w == nil || s.closed {
		return nil
	}
	s.closed = true
	return s.w.Close()
}
