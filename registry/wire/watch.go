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
	timer  *time.Timer
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
		w.timer = time.AfterFunc(w.rate.Window-w.waited, w.expire)
	} else {
		w.timer.Reset(w.rate.Window - w.waited)
	}
}

// end ends a wait that brought n bytes. It does nothing if none goes on.
func (w *watch) end(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over || w.began.IsZero() {
		return
	}
	w.timer.Stop()
	w.waited += time.Since(w.began)
	w.began = time.Time{}
	w.moved += int64(n)
	// A window ends when it has brought what it had to, however early.
	if w.moved >= w.need() {
		w.waited, w.moved = 0, 0
	} else if w.waited >= w.rate.Window {
		w.stall()
	}
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

func (w *watch) expire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	// The wait may have ended, and another one begun, while the timer fired.
	if !w.over && !w.began.IsZero() && w.waited+time.Since(w.began) >= w.rate.Window {
		w.stall()
	}
}

func (w *watch) stall() {
	w.over = true
	w.stalled(&StalledError{Sending: w.sending, Bytes: w.moved, Window: w.rate.Window})
}

// need is how many bytes a window has to bring.
func (w *watch) need() int64 {
	return int64(float64(w.rate.Bytes) * w.rate.Window.Seconds())
}
