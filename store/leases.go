package store

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"
)

// Leases keep blobs that no name keeps: from the first byte until the name, or for as
// long as somebody wants.
type Leases interface {
	// Lease makes a lease. An ID that there is already is ErrAlreadyExists; an empty one
	// is chosen. It is over when it is released or has expired, and a lease with a
	// Process also when the machine was booted or that process has ended.
	Lease(ctx context.Context, l Lease) (Lease, error)
	// Extend moves the end of a lease.
	Extend(ctx context.Context, id string, until time.Time) error
	// Hold has a lease hold blobs and what is below them. Those that are not there are
	// held when they come.
	Hold(ctx context.Context, id string, blobs ...digest.Digest) error
	// Held returns what Hold and batches have given a lease, in order.
	Held(ctx context.Context, id string) ([]digest.Digest, error)
	// Release ends a lease. One that there is not is ErrNotFound.
	Release(ctx context.Context, id string) error
	// Leases returns those that are not over, in the order of their IDs.
	Leases(ctx context.Context) ([]Lease, error)
}

// Lease is a lease.
type Lease struct {
	ID      string
	Labels  map[string]string
	Created time.Time
	// Until is when it expires; zero: never.
	Until time.Time
	// Process ties the lease to the process that makes it.
	Process bool
}
