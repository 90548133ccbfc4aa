package store

import (
	"context"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
)

// Blobs are the bytes of a store.
type Blobs interface { //nolint:interfacebloat // who needs less of it declares that
	// Stat returns a visible blob, or ErrNotFound. A blob that is believed to be there
	// has the length that was noted; whether its bytes are right is known since they
	// were last verified.
	Stat(ctx context.Context, d digest.Digest) (Blob, error)

	// Open returns the bytes of a visible blob from an offset on, and keeps them from
	// being collected until it is closed. Bytes that are not the blob's end in
	// ErrDataLoss in the place of io.EOF, from whichever offset they are read. An
	// offset that is negative or beyond the size is ErrInvalidArgument.
	Open(ctx context.Context, d digest.Digest, from int64) (io.ReadCloser, error)

	// OpenAt returns a visible blob for reading anywhere, and keeps it likewise. It
	// has been verified when OpenAt returns, unless that was done since this store was
	// opened and the file has not changed.
	OpenAt(ctx context.Context, d digest.Digest) (ReaderAt, error)

	// Facts returns what is known of a manifest, list or image config, without reading
	// it, or ErrNotFound for any other blob and for what is not there.
	Facts(ctx context.Context, d digest.Digest) (Facts, error)

	// Walk calls f with each visible blob in the order of their digests, from the one
	// after the given one on; empty: from the first. An error of f ends it. Blobs that
	// come or go meanwhile may be seen or not.
	Walk(ctx context.Context, after digest.Digest, f func(Blob) error) error

	// Begin begins to write blobs under a lease, which must exist.
	Begin(ctx context.Context, lease string) (Batch, error)

	// Partial lists what was written of blobs that are not complete.
	Partial(ctx context.Context) ([]Partial, error)

	// Abort forgets what was written under a ref. One that is being written is
	// ErrUnavailable, none ErrNotFound.
	Abort(ctx context.Context, ref string) error
}

// Blob is a visible blob.
type Blob struct {
	Digest  digest.Digest
	Size    int64
	Created time.Time // when it became visible
}

// ReaderAt reads a blob anywhere.
type ReaderAt interface {
	io.ReaderAt
	io.Closer
	// Size is the blob's, in bytes.
	Size() int64
}

// Opener opens the bytes of a blob from an offset on.
type Opener = func(ctx context.Context, from int64) (io.ReadCloser, error)

// Batch writes blobs that become visible together: their cost is one group of syncs
// and one transaction. A Batch may be used concurrently but for Close.
type Batch interface {
	// Put writes a blob, unless it is visible and can be believed, or is on its way in
	// another batch of this store: then it waits for its bytes, which are of both
	// batches from then on, whichever is published first. What an earlier Put of the
	// digest has left is kept, and open called with its length. A blob of another
	// digest or size is ErrDataLoss and leaves nothing. The role says how the bytes
	// are to be understood: those of manifests and lists, and image configs, must
	// decode, and their facts are noted.
	Put(ctx context.Context, desc ocispec.Descriptor, role image.Role, open Opener) (Put, error)

	// Writer writes a blob as it comes, under a ref of the caller's, of which one at a
	// time may be open: another one is ErrUnavailable. What was written under the ref
	// before is kept.
	Writer(ctx context.Context, ref string) (Writer, error)

	// Publish makes visible and durable what was written in the batch, and moves names
	// with it, all or nothing: after an error it can be repeated. The batch can be used
	// on. The lease holds what was published, and what Put has found visible, until it
	// ends; nothing of either is collected before.
	Publish(ctx context.Context, moves ...Move) ([]Moved, error)

	// Close ends the batch. What was not published is not visible, and complete blobs
	// are kept as partial ones are: a repeated Put finds them.
	Close() error
}

// Put says what became of a blob.
type Put string

// The outcomes of Batch.Put.
const (
	Written Put = "written" // all of it, or what was missing
	Reused  Put = "reused"  // it was visible
)

// Writer writes one blob. It is not safe for concurrent use.
type Writer interface {
	io.Writer
	// Offset is how many bytes there are.
	Offset() int64
	// Reset forgets them.
	Reset() error
	// Digest returns that of the bytes so far, by an algorithm.
	Digest(algorithm digest.Algorithm) (digest.Digest, error)
	// Commit makes the bytes a blob of the batch, with a role as in Put. A digest or a
	// size that they do not have is ErrDataLoss; a negative size is not checked. The
	// Writer is closed.
	Commit(ctx context.Context, desc ocispec.Descriptor, role image.Role) error
	// Close keeps what was written for the next Writer of the ref.
	Close() error
}

// Partial is a blob that is not complete.
type Partial struct {
	// Ref is that of the Writer; what a Put has left has the digest of its blob.
	Ref     string
	Offset  int64 // bytes that are there
	Started time.Time
	Updated time.Time
}

// Facts are what is known of a document. They follow from its bytes alone, but for
// Platform and Created of a manifest, which are its config's. Their slices and what they
// point at are shared, and must not be changed.
type Facts struct {
	MediaType string
	Size      int64
	// Platform is an image's, as its config has it; nil where there is none.
	Platform *ocispec.Platform
	// Created is when an image was; zero where it is not said.
	Created time.Time
	// Config is the digest of a manifest's config; else empty.
	Config digest.Digest
	// Edges are the descriptors in a manifest or list, in document order.
	Edges []image.Edge
	// Subject is what the document refers to; empty for most.
	Subject digest.Digest
	// ArtifactType is the document's; empty for an image.
	ArtifactType string
	// Parent is the config digest of the image that a config says that it was built
	// upon (by the label org.mobyproject.image.parent of classic builds); empty for
	// most.
	Parent digest.Digest
}
