package blobfile

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/containerd/errdefs"
)

// hashChunk is how much is read at once for hashing: little enough to stay in the cache
// of a core.
const hashChunk = 128 << 10

// hash has h see the bytes of a file between two offsets. A file that ends before is
// ErrDataLoss.
func (d *Dir) hash(ctx context.Context, h hash.Hash, file io.ReaderAt, from, to int64) error {
	buf := d.bufs.Get().(*[]byte)
	defer d.bufs.Put(buf)
	for from < to {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := file.ReadAt((*buf)[:min(hashChunk, to-from)], from)
		_, _ = h.Write((*buf)[:n]) // never fails
		from += int64(n)
		if errors.Is(err, io.EOF) && from < to {
			return fmt.Errorf("the file ends after %d of %d bytes: %w", from, to, errdefs.ErrDataLoss)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return told(err)
		}
	}
	return nil
}
