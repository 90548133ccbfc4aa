package blobfile

import (
	"context"
	"io"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// Stat returns the size of a blob and when its file was written, or ErrNotFound. What is
// no regular file is ErrDataLoss.
func (d *Dir) Stat(blob digest.Digest) (size int64, modified time.Time, err error) {
	return 0, time.Time{}, errdefs.ErrNotImplemented
}

// Open returns the bytes of a blob of that size from an offset on, or ErrNotFound. All
// bytes are hashed, also those before the offset: damaged ones end in ErrDataLoss in
// the place of the last bytes and of io.EOF. A blob of another size, or that is no
// regular file, is ErrDataLoss at once. An offset that is negative or beyond the size is
// ErrInvalidArgument. The context is that of Open alone.
//
// The reader has the method CopyTo of durable.FileCopier: who uses it has to verify what
// has arrived.
func (d *Dir) Open(ctx context.Context, blob digest.Digest, size, from int64) (io.ReadCloser, error) {
	return nil, errdefs.ErrNotImplemented
}

// ReaderAt reads a blob anywhere. It may be used concurrently.
type ReaderAt struct{}

// OpenAt returns a blob of that size for reading anywhere; for errors see Open. It was
// verified before, by this Dir, and its file has not changed since (device, inode, size
// and times are the same), or OpenAt does it now.
func (d *Dir) OpenAt(ctx context.Context, blob digest.Digest, size int64) (*ReaderAt, error) {
	return nil, errdefs.ErrNotImplemented
}

// ReadAt is that of io.ReaderAt. A file that has become shorter is ErrDataLoss.
func (r *ReaderAt) ReadAt(p []byte, off int64) (int, error) { return 0, errdefs.ErrNotImplemented }

// Size is the blob's, in bytes.
func (r *ReaderAt) Size() int64 { return 0 }

// Close ends the reading.
func (r *ReaderAt) Close() error { return errdefs.ErrNotImplemented }

// Verify reads a blob and checks size and digest: ErrDataLoss, ErrNotFound, or nil.
func (d *Dir) Verify(ctx context.Context, blob digest.Digest, size int64) error {
	return errdefs.ErrNotImplemented
}

// SetAside moves whatever is in the place of a blob to bad/, or returns ErrNotFound.
func (d *Dir) SetAside(blob digest.Digest) error { return errdefs.ErrNotImplemented }
