package embedded

import (
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

var _ store.SmallReader = (*nameReader)(nil)

// Small is that of store.SmallReader.
func (r *nameReader) Small(d digest.Digest) ([]byte, error) { return r.small(d, r.Tx.Blob) }

// small is Small of a blob that is looked up somewhere.
func (r *nameReader) small(d digest.Digest, look func(digest.Digest) (catalog.Blob, error)) ([]byte, error) {
	blob, err := look(d)
	if err == nil && blob.File() {
		err = fmt.Errorf("blob %s is in a file: %w", d, errdefs.ErrNotImplemented)
	}
	if err != nil {
		return nil, err
	}
	c := content{Blob: blob}
	if c.data, err = r.Bytes(blob); err == nil {
		err = c.check(d)
	}
	if err != nil {
		return nil, err
	}
	return c.data, nil
}

// lookIn looks up a blob and the bytes of it that are in the database.
func lookIn(tx *catalog.Tx, d digest.Digest) (c content, err error) {
	if c.Blob, err = tx.Blob(d); err == nil && !c.File() {
		c.data, err = tx.Bytes(c.Blob)
	}
	return c, err
}

// check checks that bytes that are in the database are the blob's.
func (c content) check(d digest.Digest) error {
	if int64(len(c.data)) != c.Size || d.Algorithm().FromBytes(c.data) != d {
		return fmt.Errorf("blob %s: its bytes in the database are damaged: %w", d, errdefs.ErrDataLoss)
	}
	return nil
}
