package wire

import (
	"context"
	"sync"
	"time"
)

// patience is how long an answer may take to begin when all of the request was sent.
// Connections are shared by traffic that has more of it and less, so that it is not
// that of a http.Transport.
type patience struct {
	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

// begin begins the wait, or begins it anew when a request was sent once more. When it is
// over the attempt is cancelled with a *silentError.
func (p *patience) begin(t Traffic, cancel context.CancelCauseFunc) {
	wait := headerTimeout
	if t == Upload {
		wait = commitTimeout
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.over:
	case p.timer != nil:
		p.timer.Reset(wait)
	default:
		p.timer = time.AfterFunc(wait, func() { cancel(&silentError{}) })
	}
}

// end ends the wait: there is an answer, or there will be none.
func (p *patience) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	if p.timer != nil {
		p.timer.Stop()
	}
}

// silentError is that an answer has not begun in time.
type silentError struct{}

func (*silentError) Error() string { return "timeout awaiting response headers" }

// Is makes it a context.DeadlineExceeded.
func (*silentError) Is(target error) bool { return target == context.DeadlineExceeded }

// Timeout implements net.Error's.
func (*silentError) Timeout() bool { return true }
