package store

import "github.com/opencontainers/go-digest"

// SmallReader is a NameReader that reads small blobs as they are at its moment. Who wants
// bytes finds out by a type assertion whether it is one.
type SmallReader interface {
	// Small returns the bytes of a visible blob, which are the caller's. A blob that is
	// not kept with the names is ErrNotImplemented, and has to be opened; one that is
	// damaged is ErrDataLoss, and what is not there ErrNotFound.
	Small(d digest.Digest) ([]byte, error)
}
