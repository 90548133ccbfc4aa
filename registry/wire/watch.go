package wire

import (
	"sync"
	"time"
)

// watch measures how much comes in the time that is spent waiting for it, and calls
// stalled when that is too little. Time that the other side of us takes, in writing
// to a disk or in reading from another registry, is nobody's fault and does not count.
type watch struct {
	rate    Rate
	stalled func(error)
	sending bool

	mu     sync.Mutex
	timer  *time.Timer   // fires when, or before, a window of waiting can be over
	began  time.Time     // of the wait that goes on; zero if none does
	waited time.Duration // in this window, before began
	moved  int64         // in this window
	over   bool
}

// begin begins a wait. No wait goes on yet.
func (w *watch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	w.began = time.Now()
	if w.timer == nil {
		w.timer = time.AfterFunc(w.rate.Window, w.look)
	}
}

// end ends a wait that brought n bytes, and returns when. It does nothing if none
// goes on.
func (w *watch) end(n int) (now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now = time.Now()
	if w.over || w.began.IsZero() {
		return now
	}
	w.waited += now.Sub(w.began)
	w.began = time.Time{}
	w.moved += int64(n)
	// A window ends when it has brought what it had to, however early.
	if w.moved >= w.need() {
		w.waited, w.moved = 0, 0
	} else if w.waited >= w.rate.Window {
		w.stall()
	}
	return now
}

// stop ends the watch.
func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	if w.timer != nil {
		w.timer.Stop()
	}
}

// look is called by the timer, which is set for the earliest time at which a window
// can be over: to set it for each wait would cost more than the wait.
func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	waited := w.waited
	if !w.began.IsZero() {
		waited += time.Since(w.began)
	}
	if waited >= w.rate.Window {
		w.stall()
		return
	}
	w.timer.Reset(w.rate.Window - waited)
}

func (w *watch) stall() {
	w.over = true
	w.timer.Stop()
	w.stalled(&StalledError{Sending: w.sending, Bytes: w.moved, Window: w.rate.Window})
}

// need is how many bytes a window has to bring.
func (w *watch) need() int64 {
	return int64(float64(w.rate.Bytes) * w.rate.Window.Seconds())
}
