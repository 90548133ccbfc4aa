package store

import "github.com/opencontainers/go-digest"

// Surveyor is a NameReader that can look at all visible blobs at once: who asks for many of
// them finds out by a type assertion whether it is one.
type Surveyor interface {
	// Survey reads what is noted of all visible blobs, which takes some tenths of a
	// microsecond and some dozens of bytes for each, and returns what then is as Blob
	// for less. It is to be used as long as the reader, by one goroutine. More blobs
	// than the engine can hold so are ErrResourceExhausted.
	Survey() (Survey, error)
}

// Survey is what is visible at a moment.
type Survey interface {
	// Size returns the size of a visible blob, or ErrNotFound.
	Size(d digest.Digest) (int64, error)
}
