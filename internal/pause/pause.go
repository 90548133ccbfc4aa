// Package pause waits as long as a context lets it.
package pause

import (
	"context"
	"time"
)

// For waits that long, or until the context ends, whose cause it returns then.
func For(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
