package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/transport"
)

// content is the blob that is sent. It is opened when a request first reads of it, and
// again only to send bytes once more that were read before. One body reads at a time.
type content struct {
	ctx  context.Context //nolint:containedctx // that of Push
	desc ocispec.Descriptor
	from transport.Opener
	hash *marks // nil: the registry verifies, or it is verified

	in   io.ReadCloser // nil where it is not open
	at   int64         // of in, and of hash
	read int64         // the highest that at ever was
	one  [1]byte
	err  error // final: of the source, or errdefs.ErrDataLoss
}

// fail notes that the content cannot be had.
func (c *content) fail(err error) error {
	c.err = err
	return err
}

// seek brings the content to a byte that is not beyond those that were read. Where
// that means to go back, the bytes from the mark before it are read and hashed again.
func (c *content) seek(to int64) error {
	if c.in != nil && c.at == to {
		return nil
	}
	c.close()
	start := to
	if c.hash != nil {
		var err error
		if start, err = c.hash.back(to); err != nil {
			return c.fail(err)
		}
	}
	in, err := c.from(c.ctx, start)
	if err != nil {
		return c.fail(err)
	}
	c.in, c.at = in, start
	if start == to {
		return nil
	}
	if _, err := io.CopyN(c.hash, in, to-start); err != nil {
		return c.short(err)
	}
	c.at = to
	return nil
}

// keep reads all of the content into memory that has room for it, so that it is opened
// and verified no more.
func (c *content) keep(m room) error {
	if err := c.seek(0); err != nil {
		return err
	}
	if err := m.fill(c); err != nil {
		return err
	}
	c.close()
	c.from, c.hash, c.at = m.open, nil, 0
	return nil
}

// short returns the error for content that ended early, or whose reader failed.
func (c *content) short(err error) error {
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("size is less than %d bytes: %w", c.desc.Size, errdefs.ErrDataLoss)
	}
	return c.fail(err)
}

// Read reads on and hashes. What completes the content is given out only when all of
// it is what the descriptor says, so that a registry never gets all of something else.
func (c *content) Read(p []byte) (int, error) {
	n, err := c.in.Read(p[:min(int64(len(p)), c.desc.Size-c.at)])
	if c.hash != nil {
		if _, err := c.hash.Write(p[:n]); err != nil {
			return 0, c.fail(err)
		}
	}
	c.at += int64(n)
	c.read = max(c.read, c.at)
	if c.at == c.desc.Size {
		if err := c.complete(err); err != nil {
			return 0, err
		}
		return n, nil
	}
	if err != nil {
		return n, c.short(err)
	}
	return n, nil
}

// complete checks the content when the last byte was read, with the error that came
// with it.
func (c *content) complete(err error) error {
	for err == nil {
		var n int
		if n, err = c.in.Read(c.one[:]); n > 0 {
			return c.fail(fmt.Errorf("size is more than %d bytes: %w", c.desc.Size, errdefs.ErrDataLoss))
		}
	}
	if !errors.Is(err, io.EOF) {
		return c.fail(err)
	}
	if c.hash != nil {
		if err := c.hash.Finish(); err != nil {
			return c.fail(err)
		}
	}
	return nil
}

// empty checks content of no bytes, for which no request has a body.
func (c *content) empty() error {
	if err := c.seek(0); err != nil {
		return err
	}
	return c.complete(nil)
}

func (c *content) close() {
	if c.in != nil {
		_ = c.in.Close() // it is only read
		c.in = nil
	}
}

// body is the bytes [at, end) of the content as one request sends them.
type body struct {
	content *content
	at, end int64
	idle    chan struct{} // closed when it reads no more

	mu     sync.Mutex
	busy   bool
	closed bool
}

func (c *content) body(start, end int64) *body {
	return &body{content: c, at: start, end: end, idle: make(chan struct{})}
}

var errBodyClosed = errors.New("the request's body is closed")

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return 0, errBodyClosed
	}
	b.busy = true
	b.mu.Unlock()
	n, err := b.next(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy = false
	if b.closed {
		close(b.idle)
	}
	return n, err
}

func (b *body) next(p []byte) (int, error) {
	if b.at == b.end {
		return 0, io.EOF
	}
	if b.content.err != nil {
		return 0, b.content.err
	}
	if err := b.content.seek(b.at); err != nil {
		return 0, err
	}
	n, err := b.content.Read(p[:min(int64(len(p)), b.end-b.at)])
	b.at += int64(n)
	return n, err
}

// Close implements io.Closer. It does not wait for a Read that goes on, and may be
// called more than once.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed = true
		if !b.busy {
			close(b.idle)
		}
	}
	return nil
}

// settle closes the body and waits until it reads no more: a client may answer before
// it has let go of it.
func (b *body) settle(ctx context.Context) error {
	if err := b.Close(); err != nil {
		return err
	}
	select {
	case <-b.idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
