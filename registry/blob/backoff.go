package blob

import (
	"context"
	"time"
)

// maxTries is how often in a row something is tried that makes no progress.
const maxTries = 5

// pause waits before the next of the tries that made no progress: not at all before
// the first, then 50 ms and twice as much each time. What a registry asks us to wait
// for is waited for below.
func pause(ctx context.Context, try int) error {
	if try <= 1 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(25 * time.Millisecond << (try - 1))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
