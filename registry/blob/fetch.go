package blob

import (
	"context"
	"errors"
	"fmt"
	"io"

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
	return nil
}

// fetch is one download into a file.
type fetch struct {
	src   *source
	file  File
	check *verify.Verifier // has seen the beginning of the file
	buf   []byte
}

func (f *fetch) run(ctx context.Context, from int64) error {
	if err := f.hash(ctx, from); err != nil {
		return err
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	first, several, err := f.src.begin(inner, from)
	if err != nil {
		return err
	}
	if several {
		err := f.ranges(inner, cancel, first)
		if err == nil {
			return f.check.Finish()
		}
		if !errors.Is(err, errNoRanges) {
			return err
		}
		first = newStream(ctx, f.src, f.check.Seen(), f.src.desc.Size)
		first.whole = true
	}
	defer first.close()
	return f.stream(first)
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

// stream writes and hashes what is left as it comes.
func (f *fetch) stream(s *stream) error {
	for {
		n, err := s.Read(f.buf)
		if _, err := f.file.WriteAt(f.buf[:n], f.check.Seen()); err != nil {
			return err
		}
		if _, err := f.check.Write(f.buf[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return f.check.Finish()
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
// error the verifier has seen a beginning of the file that is whole. cancel ends ctx,
// which is that of the first range's request.
func (f *fetch) ranges(ctx context.Context, cancel context.CancelFunc, first *stream) error {
	opts := f.src.repo.opts
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(opts.Ranges)
	queue := make(chan *filePiece, ahead*opts.Ranges)
	bufs := make(chan []byte, opts.Ranges)
	go func() {
		defer close(queue)
		for n, s := 0, first; s != nil; n, s = n+1, f.src.after(within, s, n+1) {
			p := &filePiece{stream: s, done: make(chan struct{})}
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

// after returns the range after that of s, the nth one, or nil if there is none.
func (s *source) after(ctx context.Context, before *stream, n int) *stream {
	if before.end == s.desc.Size {
		return nil
	}
	out := newStream(ctx, s, before.end, min(before.end+s.repo.opts.rangeSize(n), s.desc.Size))
	out.only = true
	return out
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
