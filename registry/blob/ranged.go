package blob

import (
	"context"
	"errors"
	"io"
	"sync"
)

// ranged reads a blob by several ranges at once and gives their bytes out in order.
// What a range has ahead of its turn is in the window; one whose turn it is needs no
// more than the memory of its own, so that a full window holds nobody up.
type ranged struct {
	src    *source
	outer  context.Context //nolint:containedctx // that of the reader
	ctx    context.Context //nolint:containedctx // that of the ranges, ended by stop
	cancel context.CancelFunc
	wait   sync.WaitGroup

	many   int      // ranges at once
	ranges []*piece // that were begun, in order
	begun  int      // how many ever were
	next   int64    // where the next one begins
	at     int64    // what was given out
	now    *slab    // that is being given out
	spare  []chan []byte
	// last is the one stream that the rest is read from where ranges do not work.
	last *stream
}

// piece is one range on its way.
type piece struct {
	stream *stream
	own    chan []byte // of one slab
	slabs  chan *slab  // closed at the end; it has room for all of them
	err    error       // why it ended early; to be read when slabs is closed
}

// newRanged returns a reader of the bytes from an offset on, by so many ranges at once,
// which the registry is known to answer with.
func newRanged(ctx context.Context, src *source, from int64, many int) *ranged {
	r := &ranged{src: src, outer: ctx, many: many, at: from, next: from}
	r.ctx, r.cancel = context.WithCancel(ctx)
	r.fill()
	return r
}

// rangeSize returns the size of the nth range, if so many are read at once. The first
// ones are smaller, so that they do not all end at once, which would need twice the
// memory.
func (o Options) rangeSize(n, many int) int64 {
	if n < many {
		return max(o.RangeSize*int64(n+1)/int64(many), 1)
	}
	return o.RangeSize
}

// rangeAt returns the nth range, which begins at an offset.
func (s *source) rangeAt(ctx context.Context, at int64, n, many int) *stream {
	out := newStream(ctx, s, at, min(at+s.repo.opts.rangeSize(n, many), s.desc.Size))
	out.only = true
	return out
}

// fill begins ranges until as many as are wanted are on their way.
func (r *ranged) fill() {
	for len(r.ranges) < r.many && r.next < r.src.desc.Size {
		r.begin(r.src.rangeAt(r.ctx, r.next, r.begun, r.many))
	}
}

func (r *ranged) begin(s *stream) {
	p := &piece{stream: s, slabs: make(chan *slab, (s.end-s.at)/slabSize+1)}
	if n := len(r.spare); n > 0 {
		p.own, r.spare = r.spare[n-1], r.spare[:n-1]
	} else {
		p.own = make(chan []byte, 1)
		p.own <- nil
	}
	r.ranges = append(r.ranges, p)
	r.begun++
	r.next = s.end
	r.wait.Go(func() { p.run(r.ctx, r.src.repo.opts.Window) })
}

// run reads the range.
func (p *piece) run(ctx context.Context, w *Window) {
	defer close(p.slabs)
	defer p.stream.close()
	for {
		s, err := w.take(ctx, p.own, p.stream.close)
		if err != nil {
			p.err = err
			return
		}
		n, err := readFull(p.stream, s.memory)
		if n == 0 {
			s.release()
		} else {
			s.rest = s.memory[:n]
			p.slabs <- s
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			p.err = err
			return
		}
	}
}

// readFull reads until p is full, or an error, which may be io.EOF after some bytes.
func readFull(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = r.Read(p[n:])
		n += m
	}
	return n, err
}

// Read implements io.Reader.
func (r *ranged) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if r.last != nil {
		return r.last.Read(p)
	}
	if r.now == nil {
		if err := r.advance(); err != nil {
			return 0, err
		}
		if r.last != nil {
			return r.last.Read(p)
		}
	}
	n := copy(p, r.now.rest)
	r.took(n)
	return n, nil
}

// took notes that n bytes of the slab were given out.
func (r *ranged) took(n int) {
	r.at += int64(n)
	if r.now.rest = r.now.rest[n:]; len(r.now.rest) == 0 {
		r.now.release()
		r.now = nil
	}
}

// advance waits for the next slab, or begins to read from one stream.
func (r *ranged) advance() error {
	for len(r.ranges) > 0 {
		p := r.ranges[0]
		select {
		case s, ok := <-p.slabs:
			if ok {
				r.now = s
				return nil
			}
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		}
		if errors.Is(p.err, errNoRanges) {
			r.degrade()
			return nil
		}
		if p.err != nil {
			return p.err
		}
		r.ranges = r.ranges[1:]
		r.spare = append(r.spare, p.own)
		r.fill()
	}
	return io.EOF
}

// degrade has the rest come as one stream.
func (r *ranged) degrade() {
	r.stop()
	r.last = newStream(r.outer, r.src, r.at, r.src.desc.Size)
	r.last.whole = true
}

// stop ends the ranges and gives their memory back.
func (r *ranged) stop() {
	r.cancel()
	r.wait.Wait()
	if r.now != nil {
		r.now.release()
		r.now = nil
	}
	for _, p := range r.ranges {
		for s := range p.slabs {
			s.release()
		}
	}
	r.ranges = nil
}

// close ends all requests.
func (r *ranged) close() {
	r.stop()
	if r.last != nil {
		r.last.close()
	}
}
