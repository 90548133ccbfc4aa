package copy

import (
	"bytes"
	"context"
	"io"
	"sync"

	"github.com/dhowhq/dhow/transport"
)

const (
	// aheadBlob is the size of the largest blob that is read ahead: of larger ones their
	// bytes take the time, and not that they are asked for.
	aheadBlob = 1 << 20

	// aheadBytes bounds what is held of them.
	aheadBytes = 16 << 20
)

// readAhead reads small blobs before their turn comes, where nodes are put one after the
// other: otherwise each would wait for the source once. What cannot be read is left to
// whoever needs it. A nil readAhead reads nothing.
type readAhead struct {
	ctx    context.Context //nolint:containedctx // that of the run
	cancel context.CancelFunc
	src    transport.Source

	all  sync.WaitGroup
	mu   sync.Mutex
	cond sync.Cond
	ops  []*Op                       // that nobody has begun to read ahead, in order
	past map[*Op]bool                // whose turn has come before that
	read map[NodeKey]*answer[[]byte] // begun
	held int64
	done bool // no more will be begun
}

func newReadAhead(ctx context.Context, src transport.Source) *readAhead {
	ctx, cancel := context.WithCancel(ctx)
	a := &readAhead{ctx: ctx, cancel: cancel, src: src, past: map[*Op]bool{}, read: map[NodeKey]*answer[[]byte]{}}
	a.cond.L = &a.mu
	for range atOnce {
		a.all.Go(a.work)
	}
	return a
}

// add adds operations that come after those that were added.
func (a *readAhead) add(ops []Op) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range ops {
		if size := ops[i].From.Size; ops[i].Data == nil && size >= 0 && size <= aheadBlob {
			a.ops = append(a.ops, &ops[i])
		}
	}
	a.cond.Broadcast()
}

// work reads one blob after the other.
func (a *readAhead) work() {
	for {
		op, w := a.next()
		if op == nil {
			return
		}
		w.value, w.err = a.fetch(op)
		close(w.done)
	}
}

// next waits for an operation whose bytes have room.
func (a *readAhead) next() (*Op, *answer[[]byte]) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for {
		for len(a.ops) > 0 && a.past[a.ops[0]] {
			a.ops = a.ops[1:]
		}
		if a.done || len(a.ops) > 0 && a.held+a.ops[0].From.Size <= aheadBytes {
			break
		}
		a.cond.Wait()
	}
	if a.done {
		return nil, nil
	}
	op := a.ops[0]
	a.ops = a.ops[1:]
	w := &answer[[]byte]{begun: true, done: make(chan struct{})}
	a.read[op.Key()] = w
	a.held += op.From.Size
	return op, w
}

// fetch reads a blob, and one byte more if there is one. Nothing is verified: the
// destination does that.
func (a *readAhead) fetch(op *Op) ([]byte, error) {
	r, err := a.src.Open(a.ctx, op.From, 0)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var buf bytes.Buffer
	buf.Grow(int(op.From.Size) + bytes.MinRead)
	_, err = io.Copy(&buf, io.LimitReader(r, op.From.Size+1))
	return buf.Bytes(), err
}

// take returns the bytes of a blob, if they have been read or are about to be; else nil,
// and nobody reads it ahead any more.
func (a *readAhead) take(ctx context.Context, op *Op) []byte {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	w := a.read[op.Key()]
	a.past[op] = w == nil
	a.mu.Unlock()
	if w == nil {
		return nil
	}
	data, err := w.wait(ctx)
	if err != nil {
		return nil
	}
	return data
}

// drop tells that a node is done: nobody needs its bytes any more.
func (a *readAhead) drop(op *Op) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.past[op] = true
	if a.read[op.Key()] != nil {
		delete(a.read, op.Key())
		a.held -= op.From.Size
	}
	a.cond.Broadcast()
}

// close ends what is under way, and waits for it.
func (a *readAhead) close() {
	if a == nil {
		return
	}
	a.cancel()
	a.mu.Lock()
	a.done = true
	a.cond.Broadcast()
	a.mu.Unlock()
	a.all.Wait()
}
