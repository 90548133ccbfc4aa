package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Open returns the bytes of a blob from the offset on, as transport.Source has it:
// they are not verified, but never more than the descriptor's size. It has asked the
// registry when it returns. A blob that is larger than Options.RangesAbove, and of
// which more than one range is left, is read by several ranges at once. Reading goes
// on after a break, at the byte where it broke off, until five tries in a row bring
// nothing. A size of -1 costs one more request, which asks for it.
//
// Reading fails with the kinds of errors that Open has, and with errdefs.ErrDataLoss
// where the registry says that the blob is of another size, or sends more. Close may
// be called during a Read, which it ends. An offset that is negative or beyond the
// size is errdefs.ErrInvalidArgument.
func (r *Repository) Open(ctx context.Context, desc ocispec.Descriptor, from int64) (io.ReadCloser, error) {
	desc, err := r.sized(ctx, desc)
	if err != nil {
		return nil, err
	}
	src, err := r.source(desc, from)
	if err != nil {
		return nil, err
	}
	return src.open(ctx, from)
}

// open returns a reader of the blob from the offset on.
func (s *source) open(ctx context.Context, from int64) (io.ReadCloser, error) {
	out := &reader{src: s}
	ctx, out.cancel = context.WithCancel(ctx)
	var err error
	if out.in, err = s.begin(ctx, from); err != nil {
		out.cancel()
		return nil, s.failed(err)
	}
	return out, nil
}

// source returns the blob, of which the bytes from the offset on are wanted.
func (r *Repository) source(desc ocispec.Descriptor, from int64) (*source, error) {
	d, err := check(desc)
	if err != nil {
		return nil, err
	}
	if from < 0 || from > desc.Size {
		return nil, fmt.Errorf("blob %s: byte %d of %d: %w", d, from, desc.Size, errdefs.ErrInvalidArgument)
	}
	desc.Digest = d
	return &source{repo: r, desc: desc}, nil
}

// failed says what an error is about.
func (s *source) failed(err error) error {
	if s.foreign != nil {
		return fmt.Errorf("reading blob %s of %s from %s: %w", s.desc.Digest, s.repo, quoteURL(s.foreign), err)
	}
	return fmt.Errorf("reading blob %s of %s: %w", s.desc.Digest, s.repo, err)
}

// input is what a reader reads from.
type input interface {
	io.Reader
	close()
}

// reader is what Open returns.
type reader struct {
	src    *source
	cancel context.CancelFunc
	mu     sync.Mutex
	in     input
	closed bool
	err    error // that reading ended with
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, r.src.failed(errClosed)
	}
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.in.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = r.src.failed(err)
	}
	r.err = err
	return n, err
}

var errClosed = errors.New("the reader is closed")

// Close implements io.Closer. It never fails.
func (r *reader) Close() error {
	r.cancel() // ends a Read
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.closed = true
		r.in.close()
	}
	return nil
}
