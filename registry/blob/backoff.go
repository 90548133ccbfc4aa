package blob

import (
	"context"
	"time"
)

// maxTries is how often in a row something is tried that makes no progress.
const maxTries = 5

// firstWait is how long the second try of such a row waits.
const firstWait = 100 * time.Millisecond

// pause waits before the next of the tries that made no progress: not at all before
// the first, then a first time and twice as long each time. What a registry asks us to
// wait for is waited for below.
func (r *Repository) pause(ctx context.Context, try int) error {
	if try <= 1 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(r.wait << (try - 2))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
