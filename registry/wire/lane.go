package wire

import (
	"container/list"
	"context"
	"sync"
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
		*l.climb = climb{}
	}
}

// success raises the limit a little, by one for as many successes as there are
// places, if all places are taken.
func (l *lane) success() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.climb == nil && l.full() {
		l.limit = min(l.most, l.limit+1/l.limit)
		l.give()
	}
}

// moved counts bytes of bodies, and once a second lets climb decide.
func (l *lane) moved(n int) {
	if l.climb == nil {
		return
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit = min(l.most, max(1, l.limit+l.climb.moved(n, now, l.full())))
	l.give()
}

// full reports whether another place would be used.
func (l *lane) full() bool { return l.queue.Len() > 0 }

// climb finds out how many transfers at once are worth it: one more is tried each
// second, and taken back if it brought less than a twentieth more bytes.
type climb struct {
	began  time.Time // of the window
	bytes  int64     // in it
	before float64   // bytes a second in the window before
	raised bool      // at the end of it
	rest   int       // windows to go without trying
}

const (
	climbWindow = time.Second
	climbRest   = 10
)

// moved counts n bytes and returns by how much the limit is to change. With more
// demand than places, full is true.
func (c *climb) moved(n int, now time.Time, full bool) float64 {
	if c.began.IsZero() {
		c.began = now
	}
	c.bytes += int64(n)
	took := now.Sub(c.began)
	if took < climbWindow {
		return 0
	}
	if took >= 2*climbWindow { // nothing moved for a while, which says nothing
		*c = climb{began: now, rest: c.rest}
		return 0
	}
	rate := float64(c.bytes) / took.Seconds()
	before, raised := c.before, c.raised
	c.began, c.bytes, c.before, c.raised = now, 0, rate, false
	switch {
	case !full:
		return 0 // the rate says nothing of what more places would do
	case raised && rate < before*1.05:
		c.rest = climbRest
		return -1
	case c.rest > 0:
		c.rest--
		return 0
	}
	c.raised = true
	return 1
}
