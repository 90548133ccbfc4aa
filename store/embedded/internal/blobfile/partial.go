package blobfile

import (
	"context"
	"time"

	"github.com/containerd/errdefs"
)

// Partial is content that was not published.
type Partial struct {
	Ref     string
	Offset  int64 // bytes that are there
	Started time.Time
	Updated time.Time
}

// Partial lists what was written and not published, be its Ingest open or not, in the
// order of the refs. What has lost its ref, by a power failure say, is not listed: an
// Ingest of that ref finds it, and Expire takes it.
func (d *Dir) Partial(ctx context.Context) ([]Partial, error) { return nil, errdefs.ErrNotImplemented }

// Abort removes what was written under a ref. One that is open is ErrUnavailable, none
// ErrNotFound.
func (d *Dir) Abort(ctx context.Context, ref string) error { return errdefs.ErrNotImplemented }

// Expire removes what was last written to before a time and is not open: limit pieces of
// content at most, 0 is no limit. It returns how many, and their bytes, also beside an
// error.
func (d *Dir) Expire(ctx context.Context, before time.Time, limit int) (n int, bytes int64, err error) {
	return 0, 0, errdefs.ErrNotImplemented
}
