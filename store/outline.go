package store

import (
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Outliner is a NameReader that looks at once at all that is below a target: who asks for
// much of it finds out by a type assertion whether it is one.
type Outliner interface {
	// Outline returns what is known below the target of a record. It is to be used as
	// long as the reader, by one goroutine. That of a target that has very much below it,
	// or has changed in the last moments together with many others, may not be noted: it
	// is ErrNotFound, and each blob has to be looked up.
	Outline(target digest.Digest) (Outline, error)
}

// Outline is what is known of the digests below a target: itself, and the children of the
// visible lists and manifests that lists lead to as such. It is the quickest for who asks in
// the order of the documents, breadth first.
type Outline interface {
	// Alone reports whether only one record points at the target.
	Alone() bool
	// Size returns the size of a blob, or ErrNotFound for what is not visible, and for
	// what is not below the target.
	Size(d digest.Digest) (int64, error)
	// Facts is that of NameReader for the documents below the target, and for the configs of
	// manifests; what is a document though it is called a config may lack what its own
	// config says. Those of anything else are ErrNotFound, or there.
	Facts(d digest.Digest) (Facts, error)
	// Platform returns that of Facts, for less.
	Platform(d digest.Digest) (*ocispec.Platform, error)
	// Small is that of SmallReader, for what is below the target.
	Small(d digest.Digest) ([]byte, error)
}
