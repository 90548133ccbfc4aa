package blob

import (
	"context"
	"errors"
	"io"
	"time"
)

// trial reads the beginning of a large blob as one range, and from how fast that comes
// decides how the rest is read: over one more request where a stream is as fast as
// anybody needs, or where enough other blobs are being read, and else by several ranges
// at once. They would only cost there.
type trial struct {
	ctx    context.Context //nolint:containedctx // that of the reader
	src    *source
	first  *stream
	waited time.Duration // for its bytes
	moved  int64
	rest   input // nil while it is not decided
}

// begin asks for the first bytes. What it returns reads all from there on.
func (s *source) begin(ctx context.Context, from int64) (input, error) {
	first, tried, err := s.try(ctx, from)
	switch {
	case err != nil:
		return nil, err
	case !tried:
		return first, nil
	}
	return &trial{ctx: ctx, src: s, first: first}, nil
}

// try asks for the first bytes: for a range of them if the blob is large, and else for
// all. tried reports whether the registry has answered with that range.
func (s *source) try(ctx context.Context, from int64) (first *stream, tried bool, err error) {
	opts, size := s.repo.opts, s.desc.Size
	first = newStream(ctx, s, from, size)
	if from == size && size > 0 {
		return first, false, nil // there is nothing to ask for
	}
	if opts.Ranges < 2 || size <= opts.RangesAbove || size-from <= opts.RangeSize {
		err = first.connect()
		return first, false, err
	}
	first.end = from + max(opts.RangeSize/2, 1)
	s.repo.large.Add(1)
	err = first.connect()
	if err == nil && first.part != nil && first.part.end <= first.end {
		return first, true, nil
	}
	s.repo.large.Add(-1)
	first.end = size
	return first, false, err
}

// Read implements io.Reader.
func (t *trial) Read(p []byte) (int, error) {
	if t.rest != nil {
		return t.rest.Read(p)
	}
	began := time.Now()
	n, err := t.first.Read(p)
	t.waited += time.Since(began)
	t.moved += int64(n)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	t.rest = t.decide()
	if n > 0 {
		return n, nil
	}
	return t.rest.Read(p)
}

func (t *trial) decide() input {
	n := t.src.ranges(t.moved, t.waited)
	if n < 2 {
		return newStream(t.ctx, t.src, t.first.end, t.src.desc.Size)
	}
	return newRanged(t.ctx, t.src, t.first.end, n)
}

func (t *trial) close() {
	t.src.repo.large.Add(-1)
	t.first.close()
	if t.rest != nil {
		t.rest.close()
	}
}

// ranges returns by how many ranges at once to go on when so many bytes took that time
// to come.
func (s *source) ranges(moved int64, waited time.Duration) int {
	opts, together := s.repo.opts, max(s.repo.large.Load(), 1)
	if opts.FastEnough > 0 && float64(moved)*float64(together) >= float64(opts.FastEnough)*waited.Seconds() {
		return 1 // the others are taken to be as fast
	}
	return opts.Ranges / int(together)
}
