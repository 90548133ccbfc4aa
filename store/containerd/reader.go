package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc"

	"github.com/dhowhq/dhow/internal/verify"
)

// window is how much is asked for at once by who reads in order.
const window = 8 << 20

// reader reads a blob from its first byte to its last, and checks it.
type reader struct {
	s       *Store
	digest  digest.Digest
	size    int64
	opened  time.Time
	at      int64
	check   *verify.Verifier
	ctx     context.Context //nolint:containedctx // of the one who opened it
	part    grpc.ServerStreamingClient[contentapi.ReadContentResponse]
	cancel  context.CancelFunc // of part
	began   int64              // where part began
	left    []byte             // that came and was not read
	err     error              // what every further Read returns
	release func() error
}

// newReader opens a blob of that size, which nothing but release keeps.
func (s *Store) newReader(ctx context.Context, d digest.Digest, size int64, release func() error) (*reader, error) {
	check, err := verify.New(d, size)
	if err != nil {
		return nil, errors.Join(err, release())
	}
	return &reader{s: s, digest: d, size: size, opened: time.Now(), check: check, ctx: ctx, cancel: func() {}, release: sync.OnceValue(release)}, nil
}

func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for r.err == nil && len(r.left) == 0 {
		r.err = r.next()
	}
	if len(r.left) == 0 {
		return 0, r.err
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// next gets some more bytes; io.EOF after the last, if all were right.
func (r *reader) next() error {
	if r.at == r.size {
		return r.finish()
	}
	if r.part == nil {
		ctx, cancel := context.WithCancel(r.ctx)
		part, err := r.s.content.Read(ctx, &contentapi.ReadContentRequest{
			Digest: r.digest.String(), Offset: r.at, Size: min(window, r.size-r.at),
		})
		if err != nil {
			cancel()
			return r.failed(err)
		}
		r.part, r.cancel, r.began = part, cancel, r.at
	}
	answer, err := r.part.Recv()
	if errors.Is(err, io.EOF) {
		r.part = nil
		r.cancel()
		if r.at == r.began {
			return r.bad(fmt.Errorf("%s ends after %d of %d bytes: %w", r.digest, r.at, r.size, errdefs.ErrDataLoss))
		}
		return nil
	}
	if err != nil {
		return r.failed(errgrpc.ToNative(err))
	}
	data := answer.GetData()
	if _, err := r.check.Write(data); err != nil {
		return r.bad(err)
	}
	r.left, r.at = data, r.at+int64(len(data))
	return nil
}

// failed tells whether the bytes could not be had because they are not what they
// should be: containerd finds out of range what is beyond the end of its file.
func (r *reader) failed(err error) error {
	err = fmt.Errorf("reading %s: %w", r.digest, err)
	if errdefs.IsOutOfRange(err) || errdefs.IsNotFound(err) {
		if _, there := r.s.rawInfo(r.ctx, r.digest); there == nil {
			return r.bad(fmt.Errorf("%w: %w", err, errdefs.ErrDataLoss))
		}
	}
	return err
}

// finish checks what was read.
func (r *reader) finish() error {
	if err := r.check.Finish(); err != nil {
		return r.bad(err)
	}
	r.s.docs.mark(r.digest, good)
	return io.EOF
}

// bad notes that the blob is damaged, so that the next Put heals it.
func (r *reader) bad(err error) error {
	r.s.noteDamage(r.ctx, r.digest, r.opened)
	return err
}

func (r *reader) Close() error {
	r.cancel()
	r.err = errors.New("the reader is closed")
	r.left = nil
	return r.release()
}

// readerAt reads a blob anywhere.
type readerAt struct {
	s       *Store
	ctx     context.Context //nolint:containedctx // of the one who opened it
	digest  digest.Digest
	size    int64
	release func() error
}

func (r *readerAt) Size() int64 { return r.size }

func (r *readerAt) Close() error { return r.release() }

func (r *readerAt) ReadAt(p []byte, from int64) (n int, err error) {
	if from < 0 {
		return 0, fmt.Errorf("offset %d of %s: %w", from, r.digest, errdefs.ErrInvalidArgument)
	}
	if from >= r.size {
		return 0, io.EOF
	}
	want := min(int64(len(p)), r.size-from)
	if want == 0 {
		return 0, nil
	}
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	part, err := r.s.content.Read(ctx, &contentapi.ReadContentRequest{Digest: r.digest.String(), Offset: from, Size: want})
	if err != nil {
		return 0, fmt.Errorf("reading %s: %w", r.digest, err)
	}
	for int64(n) < want {
		answer, err := part.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return n, fmt.Errorf("reading %s: %w", r.digest, errgrpc.ToNative(err))
		}
		n += copy(p[n:], answer.GetData())
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
