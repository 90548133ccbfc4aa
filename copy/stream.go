package copy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/durable"
)

// stream opens one node's bytes for the destination and counts what is read.
type stream struct {
	run    *runner
	op     *Op
	absent atomic.Bool // the source said that it does not have them
	again  atomic.Bool // it was opened before: what was read ahead may be why
	// drained is called when all bytes have been read.
	drained func()
}

// open is a transport.Opener.
func (s *stream) open(ctx context.Context, from int64) (io.ReadCloser, error) {
	moved := s.run.track.restart(s.op, from)
	if data := s.op.Data; data != nil {
		if from > int64(len(data)) {
			return nil, fmt.Errorf("offset %d in %d bytes: %w", from, len(data), errdefs.ErrOutOfRange)
		}
		return &counter{ReadCloser: io.NopCloser(bytes.NewReader(data[from:])), moved: moved, drained: s.drained}, nil
	}
	if first := !s.again.Swap(true); first && from == 0 {
		if data := s.run.ahead.take(ctx, s.op); data != nil {
			return &counter{ReadCloser: io.NopCloser(bytes.NewReader(data)), moved: moved, drained: s.drained}, nil
		}
	}
	r, err := s.run.src.Open(ctx, s.op.From, from)
	if err != nil {
		s.absent.Store(errdefs.IsNotFound(err))
		return nil, fmt.Errorf("at the source: %w", err)
	}
	c := counter{ReadCloser: r, moved: moved, drained: s.drained}
	switch from := r.(type) {
	case *os.File:
		return &fileCounter{counter: c, from: file{from}}, nil
	case durable.FileCopier:
		return &fileCounter{counter: c, from: from}, nil
	}
	return &c, nil
}

// file is a durable.FileCopier.
type file struct{ *os.File }

func (f file) CopyTo(dst *os.File, n int64) (int64, error) {
	return dst.ReadFrom(io.LimitReader(f.File, n))
}

// counter counts the bytes that are read, and says of errors that they are the
// source's.
type counter struct {
	io.ReadCloser
	moved   *atomic.Int64
	drained func()
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.moved.Add(int64(n))
	switch {
	case errors.Is(err, io.EOF):
		c.drained()
	case err != nil:
		err = fmt.Errorf("at the source: %w", err)
	}
	return n, err
}

// fileCounter is a counter of what comes from a file, which a destination may have
// copied to a file of its own by the kernel.
type fileCounter struct {
	counter
	from durable.FileCopier
}

// CopyTo appends the next n bytes, or what is left if that is less, to a file.
func (c *fileCounter) CopyTo(dst *os.File, n int64) (int64, error) {
	n, err := c.from.CopyTo(dst, n)
	c.moved.Add(n)
	if err != nil {
		err = fmt.Errorf("copying from file to file: %w", err)
	}
	return n, err
}

// isForeign reports whether a layer's type says that it is not to be
// distributed: registries need not have it.
func isForeign(mediaType string) bool {
	return strings.Contains(mediaType, ".nondistributable.") || strings.Contains(mediaType, ".foreign.")
}
