package copy

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// How often the advance of a node is told.
const tick = 100 * time.Millisecond

// tracker makes events of what happens and sends them from one goroutine, so that
// a slow listener holds nothing up.
type tracker struct {
	send func(Event)

	mu     sync.Mutex
	wake   sync.Cond
	queue  []Event
	active map[*Op]*atomic.Int64 // bytes read so far
	total  Event                 // Done, Total, Finished, Count
	closed bool
	failed bool
	gone   chan struct{}
}

// newTracker starts a tracker; send may be nil.
func newTracker(plan *Plan, send func(Event)) *tracker {
	t := &tracker{send: send, active: map[*Op]*atomic.Int64{}, gone: make(chan struct{})}
	t.wake.L = &t.mu
	t.count(plan.Ops)
	if send == nil {
		close(t.gone)
		return t
	}
	t.push(Event{Kind: EventPlanned})
	go t.loop()
	return t
}

// count adds nodes to the totals.
func (t *tracker) count(ops []Op) {
	for _, op := range ops {
		t.total.Count++
		if size := max(op.Node.Desc.Size, 0); t.total.Total <= math.MaxInt64-size { // sizes are claims
			t.total.Total += size
		}
	}
}

// grow tells of nodes that have been found since.
func (t *tracker) grow(ops []Op) {
	if len(ops) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count(ops)
	t.pushLocked(Event{Kind: EventGrown})
}

// push queues an event with the totals as they are; the caller holds no lock.
func (t *tracker) push(e Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pushLocked(e)
}

func (t *tracker) pushLocked(e Event) {
	if t.send == nil {
		return
	}
	e.Done, e.Total, e.Finished, e.Count = t.total.Done, t.total.Total, t.total.Finished, t.total.Count
	t.queue = append(t.queue, e)
	t.wake.Signal()
}

// eventOf describes a node.
func eventOf(kind EventKind, op *Op) Event {
	d := op.Node.Desc
	return Event{Kind: kind, Digest: d.Digest, MediaType: d.MediaType, Role: string(op.Node.Role), Platform: op.Platform, Size: d.Size}
}

// started tells that a node's turn has come.
func (t *tracker) started(op *Op) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.active[op] = new(atomic.Int64)
	t.pushLocked(eventOf(EventStarted, op))
}

// restart returns the count of a node's bytes, set to the offset at which it is
// read now.
func (t *tracker) restart(op *Op, from int64) *atomic.Int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	moved := t.active[op]
	if moved == nil {
		moved = new(atomic.Int64) // a cancelled node that nobody waits for
	}
	moved.Store(from)
	return moved
}

// finished tells what became of a node.
func (t *tracker) finished(op *Op, o outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.active, op)
	t.total.Finished++
	t.total.Done += max(op.Node.Desc.Size, 0)
	e := eventOf(EventFinished, op)
	e.Action, e.Reason, e.Moved = o.action, o.reason, max(e.Size, 0)
	t.pushLocked(e)
}

// committed tells that the names have moved.
func (t *tracker) committed() { t.push(Event{Kind: EventCommitted}) }

// close ends the tracker. What is left is sent before, unless the run failed: then
// nobody shall wait for a slow listener.
func (t *tracker) close(err error) {
	t.mu.Lock()
	t.closed = true
	if err != nil {
		t.queue, t.failed = nil, true
	}
	t.wake.Signal()
	t.mu.Unlock()
	<-t.gone
}

// loop sends events until the tracker is closed and nothing is left.
func (t *tracker) loop() {
	defer close(t.gone)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	over := make(chan struct{})
	defer close(over)
	go func() {
		for {
			select {
			case <-ticker.C:
				t.advance()
			case <-over:
				return
			}
		}
	}()
	for {
		t.mu.Lock()
		for len(t.queue) == 0 && !t.closed {
			t.wake.Wait()
		}
		events := t.queue
		t.queue = nil
		t.mu.Unlock()
		if len(events) == 0 {
			return
		}
		for _, e := range events {
			if t.abandoned() {
				return
			}
			t.send(e)
		}
	}
}

// abandoned reports whether the tracker was closed by a failure.
func (t *tracker) abandoned() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed && t.failed
}

// advance tells how far the nodes on their way have come, unless the listener has
// not heard yet of what was before.
func (t *tracker) advance() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) > 0 {
		return
	}
	var done int64
	for _, moved := range t.active {
		done += moved.Load()
	}
	for op, moved := range t.active {
		e := eventOf(EventAdvanced, op)
		e.Moved = moved.Load()
		t.pushLocked(e)
		t.queue[len(t.queue)-1].Done += done
	}
}
