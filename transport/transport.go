// Package transport says what a place is from which images are read and into
// which they are written. The packages below it are such places: transport/oci,
// transport/dir and so on. A place implements Source, Destination or both, and
// says what more it can do by implementing the capability interfaces of this
// package, which the copy engine finds by type assertion.
//
// Everything that moves is a descriptor and its bytes. A Source says which
// descriptor a reference means and opens any descriptor of its graph; a
// Destination takes nodes one by one, children before parents, and moves names
// at the end, in Commit. No name points at anything before all of it is there.
package transport

import (
	"context"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
)

// Source is a place that an image is read from. Its methods may be called
// concurrently, except Close.
type Source interface {
	// Root returns the descriptor that the reference means: a list or a
	// manifest, with media type, digest and size, and never with an unchecked
	// digest. A reference that names nothing is errdefs.ErrNotFound; one that
	// could mean several things is errdefs.ErrInvalidArgument and lists them.
	Root(ctx context.Context) (ocispec.Descriptor, error)

	// Open returns the bytes of desc from the offset on; 0 is the beginning.
	// Only the digest, and for a place that keeps them apart the media type, are
	// used to find it; a size of -1 is not known. Content that is not there is
	// errdefs.ErrNotFound. The bytes are not verified: whoever reads them to the
	// end does that (see Fetch and Verify). Where they are those of a file, the
	// reader may be an *os.File.
	Open(ctx context.Context, desc ocispec.Descriptor, from int64) (io.ReadCloser, error)

	// Close releases what the source holds. Readers that are still open may fail.
	Close() error
}

// Opener opens the bytes of one node at an offset, as often as it is called. It may
// be called concurrently, and also when a Put that was cancelled has returned.
type Opener func(ctx context.Context, from int64) (io.ReadCloser, error)

// Node is one vertex of an image's graph on its way into a Destination.
type Node struct {
	// Desc names the bytes. The digest may be empty and the size -1 only where
	// the destination offers to find them out.
	Desc ocispec.Descriptor
	// Role is what the node is to its parent.
	Role image.Role
	// Parent is the manifest or list whose child the node is first met as;
	// empty for a root.
	Parent digest.Digest
	// Subject is the digest that the graph of the node belongs to, if it is that of
	// a referrer or of a digest tag; else empty.
	Subject digest.Digest
	// Index is the node's position among its parent's children of that role,
	// from 0.
	Index int
}

// Outcome says how a node came to be at the destination.
type Outcome struct {
	// Action is Copied, Reused or Mounted.
	Action Action
	// Verifier is who has checked the bytes that were copied against the descriptor.
	Verifier Verifier
	// Note is a remark for the receipt; usually empty.
	Note string
}

// Verifier says who has checked the bytes of a node against its descriptor.
type Verifier string

// The verifiers.
const (
	// Put has: it has seen all the bytes and hashed them.
	VerifiedHere Verifier = ""
	// The server behind the destination has, which was told the digest. Only the size
	// was checked on the way there.
	VerifiedAtDestination Verifier = "destination"
)

// Action is the verb of an Outcome.
type Action string

// The actions of an Outcome.
const (
	Copied  Action = "copied"  // the bytes were moved
	Reused  Action = "reused"  // they were there already, and verified
	Mounted Action = "mounted" // the place took them from another name of its own
)

// TypeRefusedError is the error of a Put or Commit where the place does not take
// documents of a type, so that the image may be tried again in another form.
type TypeRefusedError struct {
	MediaType string
	Err       error // what the place said
}

// Error returns what was refused and what the place said.
func (e *TypeRefusedError) Error() string {
	return fmt.Sprintf("type %q was refused: %v", e.MediaType, e.Err)
}

// Unwrap returns what the place said.
func (e *TypeRefusedError) Unwrap() error { return e.Err }

// Naming is one name to be moved by Commit.
type Naming struct {
	// Name is the name to move. Empty stands for what the destination's own
	// reference says, which may be no name at all.
	Name string
	// Desc is what the name shall point at: a list or a manifest that was Put.
	Desc ocispec.Descriptor
	// Subject is set for a referrer that is kept beside the image it belongs to:
	// then no name moves, but Desc must stay reachable from Subject.
	Subject digest.Digest
	// Within is the top-level list of which Desc was an instance at the source,
	// if only that instance was copied; else empty.
	Within digest.Digest
}

// Destination is a place that an image is written to. Put may be called
// concurrently; Commit and Close may not.
type Destination interface {
	// Put makes the bytes of the node present. It verifies them against the
	// descriptor before they count, or has a server do that, which the Outcome says;
	// bytes that do not match are errdefs.ErrDataLoss and leave nothing behind. A type
	// that the place does not take is a *TypeRefusedError. It is idempotent, may call
	// open more than once and at any offset, and closes what it opened. The
	// caller puts children before parents.
	Put(ctx context.Context, node Node, open Opener) (Outcome, error)

	// Commit makes everything that was Put durable, and then moves the names, all
	// of them or none. Only here do names move. It returns a note for each thing
	// that the place could not keep as it was asked to (a name, say), and may be
	// called again.
	Commit(ctx context.Context, names []Naming) (notes []string, err error)

	// Close gives the destination up. Without Commit no name has moved, and what
	// was Put may be gone.
	Close() error
}

// Accepts says what a Destination can hold. The zero value can hold everything.
type Accepts struct {
	// Types are the media types of manifests and lists that it takes, most wanted
	// first; empty: any.
	Types []string
	// NoLists is the reason why it cannot hold lists; empty if it can.
	NoLists string
	// NoSignatures is the reason why it cannot hold simple signatures; empty if
	// it can.
	NoSignatures string
	// NoForeign is the reason why it is not given layers whose licence forbids to
	// hand them on, and which are had from their URLs; empty if it is.
	NoForeign string
	// Pinned is the digest that the destination's reference demands; empty if
	// none.
	Pinned digest.Digest
}

// Acceptor is a Destination that cannot hold everything. A Destination without
// it holds every type and lists, but signatures only if it is a SignatureWriter.
type Acceptor interface {
	// Accepts says what the destination can hold. It asks nobody and is the same
	// at every call.
	Accepts() Accepts
}

// Sequential is a Destination in which the order of what is Put stays visible, or that takes
// one node at a time, as an archive does: nodes are put one after the other, in the order of
// the plan, which is the same for the same image.
type Sequential interface {
	// Sequential does nothing; that there is such a method tells.
	Sequential()
}

// Presence is a Destination that can say what it holds already.
type Presence interface {
	// Has reports whether the node's bytes are there, verified, so that they need
	// not be Put. Damaged bytes are Absent: a Put heals them.
	Has(ctx context.Context, node Node) (Have, error)
}

// Have is the answer of Presence.
type Have int

// The answers of Presence.
const (
	// Absent: the bytes are not there, or asking costs as much as sending.
	Absent Have = iota
	// Present: these bytes are there; what they point at may be missing.
	Present
	// Complete: they are there, and so is everything they point at.
	Complete
)

// Readable is a Destination that gives back what it has, so that what an image needs
// to be decided about is not read from the source if it is there.
type Readable interface {
	// Read returns the bytes of a manifest, list or config, verified. What the place
	// does not have with the descriptor's digest and size, or only with more than limit
	// bytes, is errdefs.ErrNotFound. After any error the source is read.
	Read(ctx context.Context, desc ocispec.Descriptor, limit int64) ([]byte, error)
}

// Namer is a Destination that can say what its names point at now.
type Namer interface {
	// Named returns what Commit would replace under that name (empty: the name of
	// the destination's reference), or errdefs.ErrNotFound.
	Named(ctx context.Context, name string) (ocispec.Descriptor, error)
}

// Referrers is a Source that knows which manifests refer to a subject.
type Referrers interface {
	// Referrers returns the descriptors of the manifests and lists whose subject
	// is the given digest, each once, in a stable order; none is an empty slice. With
	// errdefs.ErrResourceExhausted it returns those that it has found, of too many.
	// The caller checks that the documents really say so.
	Referrers(ctx context.Context, subject digest.Digest) ([]ocispec.Descriptor, error)
}

// Elsewhere is a Source that can have the same bytes from several servers.
type Elsewhere interface {
	// Distrust is told that the bytes that were opened for a descriptor are not those
	// of its digest. It reports whether Open has them from another server from now on.
	Distrust(desc ocispec.Descriptor) bool
}

// Lister is a Source that has names beside the one that it was opened with.
type Lister interface {
	// Names calls yield with each name of the place until it returns false.
	Names(ctx context.Context, yield func(name string) bool) error
	// Resolve returns what a name points at, or errdefs.ErrNotFound.
	Resolve(ctx context.Context, name string) (ocispec.Descriptor, error)
}

// Signature is one simple signature as an opaque blob: an OpenPGP message, or a
// NUL byte, a format identifier, a newline and the signature in that format.
type Signature []byte

// SignatureReader is a Source that keeps signatures beside manifests.
type SignatureReader interface {
	// Signatures returns the signatures of the manifest or list with that digest,
	// in order; none is an empty slice.
	Signatures(ctx context.Context, manifest digest.Digest) ([]Signature, error)
}

// SignatureWriter is a Destination that keeps signatures beside manifests.
type SignatureWriter interface {
	// PutSignatures sets the signatures of a manifest or list that was Put; they
	// become visible by Commit.
	PutSignatures(ctx context.Context, manifest digest.Digest, sigs []Signature) error
}
