package containerd

import (
	"context"
	"time"
)

// patience is how long is waited for a daemon that does not answer.
const patience = 5 * time.Second

// insist makes a call that goes on when the context ends, for as long as patience lasts.
func insist(ctx context.Context, call func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return call(ctx)
}
