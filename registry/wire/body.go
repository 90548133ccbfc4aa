package wire

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxDrained   = 64 << 10 // bytes of a body that are read to keep its connection
	drainTime    = 50 * time.Millisecond
	maxHeld      = 4 << 20 // bytes of an answer to Control that are read ahead
	maxHeldError = maxErrorRead
)

// body is the body of an answer. It counts, watches the flow, and knows when it ends.
// One goroutine reads at a time; Close may be called during a Read.
type body struct {
	rc     io.ReadCloser
	watch  watch
	ctx    context.Context //nolint:containedctx // that of the attempt, which lives as long as its body
	cancel context.CancelCauseFunc
	moved  func(n int, now time.Time)
	clean  func(error) error
	left   atomic.Int64 // bytes still to come; below zero if that is not known
	busy   atomic.Bool  // a Read goes on

	mu    sync.Mutex
	ended bool
	err   error // that reading ended with, but for io.EOF
	after []func(error)
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.busy.Store(true)
	defer b.busy.Store(false)
	b.watch.begin()
	n, err := b.rc.Read(p)
	now := b.watch.end(n)
	if n > 0 {
		b.left.Add(-int64(n))
		b.moved(n, now)
	}
	if err == nil {
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		b.end(nil)
		return n, err
	}
	if stalled, ok := errors.AsType[*StalledError](context.Cause(b.ctx)); ok {
		err = stalled // rather than that the context was cancelled for it
	} else {
		err = b.clean(err)
	}
	b.end(err)
	return n, err
}

// Close implements io.Closer. A small rest of the body is read, if it comes at once,
// so that the connection can serve again.
func (b *body) Close() error {
	if left := b.left.Load(); left <= maxDrained && !b.busy.Load() && !b.over() {
		// The context ends a Read that waits.
		limit := time.AfterFunc(drainTime, func() { b.cancel(context.Canceled) })
		_, _ = io.CopyN(io.Discard, b.rc, maxDrained) // what cannot be read costs the connection
		limit.Stop()
	}
	err := b.rc.Close()
	b.end(nil)
	return err
}

func (b *body) over() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ended
}

// end ends the body, once.
func (b *body) end(err error) {
	b.mu.Lock()
	if b.ended {
		b.mu.Unlock()
		return
	}
	b.ended, b.err = true, err
	after := b.after
	b.after = nil
	b.mu.Unlock()
	b.watch.stop()
	for _, f := range after {
		f(err)
	}
	b.cancel(nil)
}

// atEnd implements ending.
func (b *body) atEnd(f func(error)) {
	b.mu.Lock()
	if !b.ended {
		b.after = append(b.after, f)
		b.mu.Unlock()
		return
	}
	err := b.err
	b.mu.Unlock()
	f(err)
}

// held is a body of which the beginning was read ahead.
type held struct {
	io.Reader
	*body
}

func (h *held) Read(p []byte) (int, error) { return h.Reader.Read(p) }

// hold reads the body of an answer, up to a limit, so that it is known to be whole
// before anybody acts on it. More than that is left to be read.
func hold(resp *http.Response) error {
	b, ok := resp.Body.(*body)
	if !ok {
		return nil // there is none
	}
	limit := int64(maxHeld)
	if resp.StatusCode >= 400 {
		limit = maxHeldError
	}
	data, err := readUpTo(b, limit, resp.ContentLength)
	switch {
	case err != nil:
		_ = b.Close()
		return err
	case b.over():
		resp.Body = &inMemory{data: data}
	default:
		resp.Body = &held{Reader: io.MultiReader(&inMemory{data: data}, b), body: b}
	}
	return nil
}

// readUpTo reads limit bytes, or all where there are less.
func readUpTo(r io.Reader, limit, announced int64) ([]byte, error) {
	size := int64(512)
	if announced >= 0 {
		size = min(announced, limit)
	}
	data := make([]byte, 0, size+1) // room to read the end
	for int64(len(data)) <= limit {
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		n, err := r.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if errors.Is(err, io.EOF) {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return data, nil
}

// inMemory is a body that was read.
type inMemory struct {
	data []byte
	at   int
}

func (m *inMemory) Read(p []byte) (int, error) {
	if m.at == len(m.data) {
		return 0, io.EOF
	}
	n := copy(p, m.data[m.at:])
	m.at += n
	return n, nil
}

func (m *inMemory) Close() error { m.at = len(m.data); return nil }
