package blob

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/registry/wire"
)

// stream reads the bytes [at, end) of a blob, over as many answers as it takes. One
// goroutine uses it at a time.
type stream struct {
	ctx     context.Context //nolint:containedctx // that of the reader, which Open was given
	src     *source
	at, end int64
	part    *part // nil: it has to be asked for
	// only is set for one range of several: all of the blob is then no answer.
	only bool
	// whole is set when the registry does not answer with ranges.
	whole bool

	began int64 // where the answer that is read, or was read last, began
	broke int64 // where it broke off last
	tries int   // in a row that began there
	cause error // of the last break
}

func newStream(ctx context.Context, src *source, at, end int64) *stream {
	return &stream{ctx: ctx, src: src, at: at, end: end, broke: -1}
}

// Read implements io.Reader. An error but io.EOF is final.
func (s *stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if err := s.ready(); err != nil {
			return 0, err
		}
		n, err := s.part.Read(p[:min(int64(len(p)), max(s.end-s.at, 1))])
		s.at += int64(n)
		switch {
		case err == nil:
		case errors.Is(err, io.EOF): // of this answer; there may have to be another one
			s.close()
		case errdefs.IsDataLoss(err):
			return n, err
		default:
			s.interrupt(err)
		}
		if n > 0 {
			return n, nil
		}
	}
}

// ready returns nil when there is a part to read from, and io.EOF when all was read.
func (s *stream) ready() error {
	for s.part == nil {
		if s.at == s.end {
			return io.EOF
		}
		if most := s.src.repo.opts.Retries; s.tries > most {
			var kind error = errdefs.ErrUnavailable
			if errors.Is(s.cause, errShort) {
				kind = errdefs.ErrDataLoss // the registry does not know of more
			}
			return fmt.Errorf("%s ended at byte %d of %d: %w: %w", triesInARow(most), s.at, s.src.desc.Size, s.cause, kind)
		}
		if err := s.src.repo.pause(s.ctx, s.tries); err != nil {
			return err
		}
		if err := s.connect(); err != nil {
			return err
		}
	}
	return nil
}

// connect asks for what is still to be read.
func (s *stream) connect() error {
	start, end := s.at, s.end
	if s.whole {
		start, end = 0, s.src.desc.Size
	}
	p, err := s.src.ask(s.ctx, start, end)
	s.began = s.at
	switch {
	case errors.Is(err, errNoRanges) && !s.only && !s.whole:
		s.whole = true
		return nil
	case err != nil && errors.Is(err, errNoRanges) && s.whole:
		return fmt.Errorf("%w: %w", err, errdefs.ErrUnavailable)
	case err != nil:
		return err
	case p.at == s.at:
		s.part = p
		return nil
	case s.only:
		_ = p.body.Close() // all of the blob is too much to read on
		return fmt.Errorf("bytes %d to %d: status 200: %w", s.at, s.end-1, errNoRanges)
	}
	s.part = p
	return s.skip()
}

// skip reads over what was read before. The digest of the whole says whether it was
// the same.
func (s *stream) skip() error {
	if _, err := io.CopyN(io.Discard, s.part, s.at-s.part.at); err != nil {
		if errdefs.IsDataLoss(err) {
			return err
		}
		s.interrupt(err)
	}
	return s.ctx.Err()
}

// interrupt gives an answer up that broke off.
func (s *stream) interrupt(cause error) {
	if s.broke != s.at && !s.trickled(cause) {
		s.tries = 0
	}
	s.broke = s.at
	s.tries++
	s.cause = cause
	s.close()
}

// trickled reports whether all that came of an answer was too little for a window, so
// that it is no progress: at a byte now and then it would go on for years.
func (s *stream) trickled(cause error) bool {
	stalled, ok := errors.AsType[*wire.StalledError](cause)
	return ok && s.at-s.began <= stalled.Bytes
}

// close closes the answer that is being read.
func (s *stream) close() {
	if s.part != nil {
		_ = s.part.body.Close() // it was read, or is given up
		s.part = nil
	}
}
