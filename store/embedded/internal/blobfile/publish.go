package blobfile

import (
	"context"

	"github.com/containerd/errdefs"
)

// Publish makes verified content durable under its digests, all or nothing, and ends its
// Ingests. First the bytes are synced, then the files renamed, then each directory is
// synced once, and so is every directory above that may be new. A blob that is there
// already is replaced; whatever else is in its place is set aside.
//
// With an error nothing is visible that was not before, when what the call has begun has
// ended. Files whose sync has failed are removed, and their Ingests have ended: the
// kernel may have dropped their bytes, and would not say so again. All others are as
// before. Content that was not verified is ErrFailedPrecondition.
func (d *Dir) Publish(ctx context.Context, files []*Ingest) error { return errdefs.ErrNotImplemented }
