package wire

import (
	"container/list"
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// lane is the places that a host has for one kind of traffic. They are given in the
// order in which they were asked for. How many there are moves with what is seen:
// additive increase, multiplicative decrease, as TCP does with its window.
type lane struct {
	mu    sync.Mutex
	limit float64
	most  float64
	busy  int
	queue list.List // of chan struct{}, closed when the place is given
	cuts  int       // how often the limit was cut
	climb *climb    // nil for traffic without bodies, which grows with every success

	bytes atomic.Int64 // that moved since next was set
	next  atomic.Int64 // when climb decides again, in nanoseconds since 1970
}

func newLane(l Limit, c *climb) *lane {
	return &lane{limit: float64(l.Start), most: float64(l.Max), climb: c}
}

// acquire waits for a place.
func (l *lane) acquire(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	l.mu.Lock()
	if l.queue.Len() == 0 && l.busy < int(l.limit) {
		l.busy++
		l.mu.Unlock()
		return nil
	}
	given := make(chan struct{})
	at := l.queue.PushBack(given)
	l.mu.Unlock()
	select {
	case <-given:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-given: // at the same moment: somebody else shall have it
		l.busy--
		l.give()
	default:
		l.queue.Remove(at)
	}
	return context.Cause(ctx)
}

// release gives a place back.
func (l *lane) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy--
	l.give()
}

// give gives the free places to those who wait longest.
func (l *lane) give() {
	for l.busy < int(l.limit) {
		first := l.queue.Front()
		if first == nil {
			return
		}
		l.queue.Remove(first)
		l.busy++
		close(first.Value.(chan struct{})) //nolint:forcetypeassert // only acquire pushes
	}
}

// epoch returns what overload wants to know of an attempt that begins now.
func (l *lane) epoch() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cuts
}

// overload cuts the limit by half, but once only for the attempts that were under way
// together.
func (l *lane) overload(epoch int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch != l.cuts {
		return
	}
	l.cuts++
	l.limit = max(1, l.limit/2)
	if l.climb != nil {
		*l.climb = climb{rest: climbRest}
	}
}

// success raises the limit a little, by one for as many successes as there are
// places, if somebody waits for one.
func (l *lane) success() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.climb == nil && l.queue.Len() > 0 {
		l.limit = min(l.most, l.limit+1/l.limit)
		l.give()
	}
}

// moved counts bytes of bodies that moved until now, and once a second lets climb
// decide.
func (l *lane) moved(n int, now time.Time) {
	if l.climb == nil {
		return
	}
	l.bytes.Add(int64(n))
	if now.UnixNano() < l.next.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.UnixNano() < l.next.Load() { // another one was first
		return
	}
	l.next.Store(now.Add(climbWindow).UnixNano())
	bytes := l.bytes.Swap(0)
	if l.queue.Len() == 0 {
		*l.climb = climb{rest: l.climb.rest} // no more would be used, so nothing is learned
		return
	}
	l.limit = min(l.most, max(1, l.limit+l.climb.window(bytes, now, l.limit, l.most)))
	l.give()
}

// climb finds out how many transfers at once are worth it: a quarter more are tried
// for a second, and taken back if they brought less than half of what as many more
// should bring.
type climb struct {
	began time.Time // of the window
	want  float64   // bytes a second that the window has to bring, for what was added to stay
	added float64   // to the limit before the window; zero if nothing was
	rest  int       // windows to go without trying
}

const (
	climbWindow = time.Second
	climbRest   = 10
)

// window ends the window that brought these bytes, begins another one, and returns by
// how much the limit is to change.
func (c *climb) window(bytes int64, now time.Time, limit, most float64) float64 {
	last := *c
	*c = climb{began: now, rest: last.rest}
	took := now.Sub(last.began)
	if took >= 2*climbWindow {
		return 0 // nothing moved for a while, which says nothing
	}
	rate := float64(bytes) / took.Seconds()
	switch {
	case last.added > 0 && rate < last.want:
		c.rest = climbRest
		return -last.added
	case c.rest > 0:
		c.rest--
		return 0
	}
	c.added = min(max(1, limit/4), most-limit)
	c.want = rate * (1 + c.added/limit/2)
	return c.added
}
