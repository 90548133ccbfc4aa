package wire

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/dhowhq/dhow/internal/pause"
)

// govern waits for a place on the host, and keeps it until the answer was read.
type govern struct{ next step }

func (g *govern) do(x *exchange) (*http.Response, error) {
	began := time.Now()
	if err := x.lane().acquire(x.req.Context()); err != nil {
		return nil, fmt.Errorf("while waiting for one of the places on %s: %w", x.target, err)
	}
	x.waited += time.Since(began)
	resp, err := g.next.do(x)
	if err != nil {
		x.lane().release()
		return nil, err
	}
	atEnd(resp, func(error) { x.lane().release() })
	return resp, nil
}

// lane returns the places that the exchange waits for.
func (x *exchange) lane() *lane { return x.host.lanes[x.traffic] }

// pause keeps attempts from the host for that time from now.
func (h *host) pause(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if until := time.Now().Add(d); until.After(h.paused) {
		h.paused = until
	}
}

// left returns how long the host's pause goes on.
func (h *host) left() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Until(h.paused)
}

// ready waits until the host is not paused.
func (h *host) ready(ctx context.Context) error {
	for {
		left := h.left()
		if left <= 0 {
			return nil
		}
		if err := sleep(ctx, left); err != nil {
			return err
		}
	}
}

// sleep waits, unless the context ends before or is known to.
func sleep(ctx context.Context, d time.Duration) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return fmt.Errorf("a wait of %s would not end before the deadline: %w", d.Round(time.Millisecond), context.DeadlineExceeded)
	}
	return pause.For(ctx, d)
}
