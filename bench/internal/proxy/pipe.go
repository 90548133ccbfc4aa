package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	chunkSize = 64 << 10
	// queued chunks are what is on its way: 64 MiB, more than 3 GB/s with a round trip of 40 ms.
	queued = 1024
)

var chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// pipe is one direction of a connection.
type pipe struct {
	delay    time.Duration
	earliest time.Time // nothing counts as sent before it
	limit    *limiter
}

// chunk is what was read at once, and when it is due at the other side.
type chunk struct {
	buf *[chunkSize]byte
	n   int
	due time.Time
}

// run passes bytes from one connection to the other until the first one ends, and then ends
// the other's input. What was read is on its way while more is read: the delay costs no bandwidth.
func (p pipe) run(ctx context.Context, from, to net.Conn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	way := make(chan chunk, queued)
	var wg sync.WaitGroup
	var readErr error
	wg.Go(func() {
		defer close(way)
		readErr = p.read(ctx, from, way)
	})
	writeErr := p.write(ctx, way, to)
	if writeErr != nil {
		cancel()
		_ = from.Close() // ends the read; the connection is of no use any more
	}
	wg.Wait()
	return errors.Join(readErr, writeErr)
}

func (p pipe) read(ctx context.Context, from net.Conn, way chan<- chunk) error {
	for {
		buf := chunks.Get().(*[chunkSize]byte)
		n, err := from.Read(buf[:])
		now := time.Now()
		if now.Before(p.earliest) {
			now = p.earliest
		}
		// Without n this is the end, which takes as long as what was sent before it.
		sent := p.limit.reserve(now, n)
		select {
		case way <- chunk{buf: buf, n: n, due: sent.Add(p.delay)}:
		case <-ctx.Done():
			return ctx.Err()
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		// The sender is slowed down, and with it what it reads from: a limit has no large buffers.
		if p.limit != nil {
			if err := sleepUntil(ctx, sent); err != nil {
				return err
			}
		}
	}
}

func (p pipe) write(ctx context.Context, way <-chan chunk, to net.Conn) error {
	for c := range way {
		if err := sleepUntil(ctx, c.due); err != nil {
			return err
		}
		if c.n > 0 {
			if _, err := to.Write(c.buf[:c.n]); err != nil {
				return err
			}
		}
		chunks.Put(c.buf)
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return to.Close()
}

func sleepUntil(ctx context.Context, t time.Time) error {
	wait := time.Until(t)
	if wait <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
