package blob

import (
	"context"
	"time"
)

const (
	// slabSize is what memory is given out by.
	slabSize = 128 << 10
	// patience is how long a range that has no room keeps its connection. Another
	// download may be waiting for it, and the room may wait for that one.
	patience = time.Second
)

// Window is the memory in which ranges wait for those before them. It is safe for
// use by several goroutines at once. What it has given out once it keeps.
type Window struct {
	slabs chan []byte // nil where it was not needed yet
}

// NewWindow returns a window of that many bytes, of 128 KiB at least. Beyond it each
// range that is read has 128 KiB of its own, with which it gets on if nothing is left.
func NewWindow(size int64) *Window {
	n := max(size/slabSize, 1)
	w := &Window{slabs: make(chan []byte, n)}
	for range n {
		w.slabs <- nil
	}
	return w
}

// slab is memory, the bytes in it that were not read, and where it goes back to.
type slab struct {
	memory []byte
	rest   []byte
	home   chan []byte
}

func (s *slab) release() { s.home <- s.memory }

// take waits for memory of own, a window of the range that it is for, or of w. When
// it has to wait for longer than patience, it calls idle once.
func (w *Window) take(ctx context.Context, own chan []byte, idle func()) (*slab, error) {
	if s := w.try(own); s != nil {
		return s, nil
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	for {
		select {
		case b := <-own:
			return newSlab(b, own), nil
		case b := <-w.slabs:
			return newSlab(b, w.slabs), nil
		case <-t.C:
			idle()
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// try returns memory if there is some now, that of the range first.
func (w *Window) try(own chan []byte) *slab {
	for _, home := range []chan []byte{own, w.slabs} {
		select {
		case b := <-home:
			return newSlab(b, home)
		default:
		}
	}
	return nil
}

func newSlab(b []byte, home chan []byte) *slab {
	if b == nil {
		b = make([]byte, slabSize)
	}
	return &slab{memory: b, home: home}
}
