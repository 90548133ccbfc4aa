package embedded

import (
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

var _ store.Outliner = (*nameReader)(nil)

// Outline is that of store.Outliner.
func (r *nameReader) Outline(target digest.Digest) (store.Outline, error) {
	found, err := r.Tx.Outline(target)
	if err != nil {
		return nil, err
	}
	return &outline{found, r}, nil
}

// outline is a store.Outline.
type outline struct {
	*catalog.Outline
	r *nameReader
}

// Alone is that of store.Outline.
func (o *outline) Alone() bool { return o.Outline.Alone }

// Size is that of store.Outline.
func (o *outline) Size(d digest.Digest) (int64, error) {
	b, err := o.Blob(d)
	if err == nil && b.File() {
		err = o.r.s.checkFile(d, b.Size)
	}
	if err != nil {
		return 0, err
	}
	return b.Size, nil
}

// Small is that of store.Outline.
func (o *outline) Small(d digest.Digest) ([]byte, error) { return o.r.small(d, o.Blob) }
