package store

import (
	"context"

	"github.com/opencontainers/go-digest"
)

// Dropper is a store from which a part of an image can be taken. Who asks finds out by a
// type assertion whether a store is one.
type Dropper interface {
	// Drop takes manifests and lists below a target out of sight, although lists refer to
	// them, so that what they alone need is collected. A part that comes again has its
	// place below those lists. It is all or none: one that is not below the target of a
	// record, or not visible, is ErrNotFound; one that is a target itself, or below that of
	// another record, that a lease holds, itself or by a list that is not the target, or
	// that is being read or written, is ErrFailedPrecondition, and the error names it and
	// what needs it. No parts are no error.
	Drop(ctx context.Context, target digest.Digest, parts ...digest.Digest) error
}
