package blob

import (
	"context"
	"fmt"
	"time"

	"github.com/dhowhq/dhow/internal/pause"
)

// maxTries is how often in a row something is tried that makes no progress, unless the
// Options say otherwise.
const maxTries = 5

// triesInARow names so many tries after a break.
func triesInARow(n int) string {
	if n == 0 {
		return "the only try"
	}
	return fmt.Sprintf("%d tries in a row", n)
}

// firstWait is how long the second try of such a row waits.
const firstWait = 100 * time.Millisecond

// pause waits before the next of the tries that made no progress: not at all before
// the first, then a first time and twice as long each time, up to half a minute. What a
// registry asks us to wait for is waited for below.
func (r *Repository) pause(ctx context.Context, try int) error {
	if try <= 1 {
		return context.Cause(ctx)
	}
	const doubled = 8
	return pause.For(ctx, r.wait<<min(try-2, doubled))
}
