// Package store says what a local store of images is: blobs named by their digests,
// names that point at some of them, leases that keep what has no name yet, and the
// collection of what nobody needs. Engines are in the packages below; they pass the
// suite of package storetest, which is the rest of this contract.
//
// A blob is visible only when it is complete, verified and durable. A name moves only
// to what is visible, or to what is deliberately incomplete: a list of which only some
// platforms are there. What is below a name, a lease or an open reader is not
// collected.
//
// All methods may be called concurrently. Errors are of the kinds of
// containerd/errdefs: ErrNotFound, ErrAlreadyExists, ErrInvalidArgument, ErrDataLoss
// for bytes that are not what their digest says, ErrFailedPrecondition for a condition
// that does not hold and for a store that is open for reading only, ErrUnavailable for
// what is locked, ErrResourceExhausted for what is too large and for a full disk,
// ErrNotImplemented for what an engine cannot do. An operation whose context ends
// within it returns the context's error within 100 ms, and has happened or not.
package store

import "io"

// Store is what an engine offers. Those who use one take the part that they need.
type Store interface {
	Blobs
	Names
	Leases
	GC
	io.Closer
}
