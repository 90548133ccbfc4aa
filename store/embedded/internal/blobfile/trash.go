package blobfile

import (
	"context"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// Trash takes whatever is in the place of blobs out of sight; that there is nothing is no
// error. It renames and syncs nothing, and so may be called under a lock: the order to
// keep is to commit that the blobs are gone, then Trash, then Empty. After a power
// failure before Empty they may be there again, and are what Walk finds and nobody knows.
// With an error others of the blobs may have gone or not.
func (d *Dir) Trash(blobs []digest.Digest) error { return errdefs.ErrNotImplemented }

// Empty makes durable what Trash has done, and unlinks what is in the trash. It returns
// how many files that were, and their bytes, also beside an error.
func (d *Dir) Empty(ctx context.Context) (n int, bytes int64, err error) {
	return 0, 0, errdefs.ErrNotImplemented
}
