package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/dhowhq/dhow/internal/verify"
)

// File is where FetchTo writes, and reads what it wrote. An *os.File is one.
type File interface {
	io.ReaderAt
	io.WriterAt
}

// fileBuffer is the size of the buffer that each range is written from, and of that
// which the file is read with.
const fileBuffer = 256 << 10

// FetchTo writes the bytes of a blob from the offset on into a file, where the bytes
// before the offset are already, and verifies all of them. It reads as Open does, but
// ranges are written where they belong as they come, and hashed in order from the
// file. Bytes that do not match are errdefs.ErrDataLoss. After an error the file has
// bytes of which nothing is known. The file is neither synced, nor truncated, nor
// closed.
func (r *Repository) FetchTo(ctx context.Context, desc ocispec.Descriptor, file File, from int64) error {
	src, err := r.source(desc, from)
	if err != nil {
		return err
	}
	check, err := verify.New(src.desc.Digest, src.desc.Size)
	if err != nil {
		return err
	}
	f := &fetch{src: src, file: file, check: check, buf: make([]byte, fileBuffer)}
	if err := f.run(ctx, from); err != nil {
		return src.failed(err)
	}
	return check.Finish()
}

// fetch is one download into a file.
type fetch struct {
	src   *source
	file  File
	check *verify.Verifier // has seen the beginning of the file
	buf   []byte

	moved  int64 // by streams
	waited time.Duration
}

func (f *fetch) run(ctx context.Context, from int64) error {
	if err := f.hash(ctx, from); err != nil {
		return err
	}
	first, tried, err := f.src.try(ctx, from)
	if err != nil {
		return err
	}
	if !tried {
		return f.stream(first)
	}
	defer f.src.repo.large.Add(-1)
	if err := f.stream(first); err != nil {
		return err
	}
	rest := newStream(ctx, f.src, first.end, f.src.desc.Size)
	if n := f.src.ranges(f.moved, f.waited); n > 1 {
		err := f.ranges(ctx, first.end, n)
		if !errors.Is(err, errNoRanges) {
			return err
		}
		rest = newStream(ctx, f.src, f.check.Seen(), f.src.desc.Size)
		rest.whole = true
	}
	return f.stream(rest)
}

// hash reads the file up to a byte that was written.
func (f *fetch) hash(ctx context.Context, to int64) error {
	for f.check.Seen() < to {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n := min(to-f.check.Seen(), int64(len(f.buf)))
		if m, err := f.file.ReadAt(f.buf[:n], f.check.Seen()); int64(m) < n {
			return fmt.Errorf("reading what was written: %d of %d bytes at %d: %w", m, n, f.check.Seen(), err)
		}
		if _, err := f.check.Write(f.buf[:n]); err != nil {
			return err
		}
	}
	return nil
}

// stream writes and hashes what a stream has as it comes.
func (f *fetch) stream(s *stream) error {
	defer s.close()
	for {
		began := time.Now()
		n, err := s.Read(f.buf)
		f.waited += time.Since(began)
		f.moved += int64(n)
		if _, err := f.file.WriteAt(f.buf[:n], f.check.Seen()); err != nil {
			return err
		}
		if _, err := f.check.Write(f.buf[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// filePiece is one range that is written to the file.
type filePiece struct {
	stream *stream
	done   chan struct{} // closed when all of it is written
}

// ahead is how many ranges, as a multiple of those that are read at once, may be
// written before one that is slower.
const ahead = 4

// ranges reads the rest by several ranges at once, and hashes behind them. After an
// error the verifier has seen a beginning of the file that is whole.
func (f *fetch) ranges(ctx context.Context, from int64, many int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(many)
	queue := make(chan *filePiece, ahead*many)
	bufs := make(chan []byte, many)
	go func() {
		defer close(queue)
		for n, at := 0, from; at < f.src.desc.Size; n++ {
			p := &filePiece{stream: f.src.rangeAt(within, at, n, many), done: make(chan struct{})}
			at = p.stream.end
			group.Go(func() error { return p.run(f.file, bufs) })
			select {
			case queue <- p:
			case <-within.Done():
				return
			}
		}
	}()
	var failed error
	for p := range queue {
		if failed == nil {
			if failed = f.follow(within, p); failed != nil {
				cancel()
			}
		}
	}
	if err := group.Wait(); failed == nil {
		failed = err
	}
	return failed
}

// follow waits until a range is written, and hashes it.
func (f *fetch) follow(ctx context.Context, p *filePiece) error {
	select {
	case <-p.done:
		return f.hash(ctx, p.stream.end)
	case <-ctx.Done():
		return context.Cause(ctx) // for the group's, what ended it
	}
}

// run writes the range where it belongs.
func (p *filePiece) run(file File, bufs chan []byte) error {
	defer p.stream.close()
	var buf []byte
	select {
	case buf = <-bufs:
	default:
		buf = make([]byte, fileBuffer)
	}
	defer func() { bufs <- buf }()
	for {
		at := p.stream.at
		n, err := p.stream.Read(buf)
		if _, err := file.WriteAt(buf[:n], at); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			close(p.done)
			return nil
		}
		if err != nil {
			return err
		}
	}
}
