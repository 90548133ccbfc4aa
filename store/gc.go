package store

import (
	"context"
	"time"
)

// GC collects what nobody needs: blobs that are not below a name, a dangling record, a
// lease that is not over, or an open reader. A document whose subject stays is needed
// too, with what is below it.
type GC interface {
	// Collect does one step, which holds up no writer for longer than 50 ms. Its cost
	// follows what it examines: what has lost something that needed it, not what there
	// is.
	Collect(ctx context.Context) (Collected, error)
}

// Collected is what a step of a collection did.
type Collected struct {
	Examined int   // blobs, leases and partial blobs
	Blobs    int   // that are gone
	Bytes    int64 // of them
	Leases   int   // that were over
	Partial  int   // partial blobs that were given up
	// More tells that there is more to examine.
	More bool
	// Longest is the longest time for which writers had to wait.
	Longest time.Duration
}

// Add adds what another step did, after which there is more to examine or not.
func (c *Collected) Add(step Collected) {
	c.Examined += step.Examined
	c.Blobs += step.Blobs
	c.Bytes += step.Bytes
	c.Leases += step.Leases
	c.Partial += step.Partial
	c.More = step.More
	c.Longest = max(c.Longest, step.Longest)
}

// Collect collects all that there is to collect.
func Collect(ctx context.Context, gc GC) (Collected, error) {
	var sum Collected
	for {
		step, err := gc.Collect(ctx)
		sum.Add(step)
		if err != nil || !step.More {
			return sum, err
		}
	}
}
