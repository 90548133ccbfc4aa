package blobfile

import (
	"context"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// Walk calls f with the regular files that are in the place of a blob, in the order of
// their digests, from the one after the given one on; empty: from the first. An error of
// f ends it and is returned. Blobs that come or go meanwhile may be seen or not.
func (d *Dir) Walk(ctx context.Context, after digest.Digest, f func(blob digest.Digest, size int64) error) error {
	return errdefs.ErrNotImplemented
}

// Stray is something that has no place in the directories of a Dir.
type Stray struct {
	Path string // below the root, with slashes
	What string // what is wrong with it, as "a FIFO, not a regular file"
	// Blob is the digest, if the path is a blob's: SetAside heals it.
	Blob digest.Digest
}

// Strays calls f with what is below blobs/ and ingest/ and was not made by this package.
// An error of f ends it and is returned.
func (d *Dir) Strays(ctx context.Context, f func(Stray) error) error { return errdefs.ErrNotImplemented }
