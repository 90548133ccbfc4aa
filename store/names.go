package store

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Names are what the images of a store are called.
type Names interface {
	// View calls f with all names as they are at one moment. The reader is not to be
	// used after f, and f is not to write: it may hold up the file's growth, and so
	// should be quick.
	View(ctx context.Context, f func(NameReader) error) error

	// Move moves names, all or none, and returns for each what there was before. A
	// condition that does not hold is ErrFailedPrecondition, and a name that is given
	// twice ErrInvalidArgument. What a name pointed at before becomes dangling, unless
	// when all have moved another name points there; what it points at now is so no
	// more. To remove a name that there is not changes nothing.
	Move(ctx context.Context, moves ...Move) ([]Moved, error)
}

// NameReader looks names up. Every lookup is one seek by key for each record that it
// returns, however many names there are. No record is an empty slice.
type NameReader interface { //nolint:interfacebloat // one moment has to be seen by one reader
	// Get returns the record of a name, or ErrNotFound.
	Get(name string) (Record, error)
	// Target returns the records that point at a digest.
	Target(d digest.Digest) ([]Record, error)
	// Containing returns the records in whose graph of lists and manifests a digest
	// is: that of the target, of a list or manifest in it, visible or not, or of an
	// image config in it that is visible.
	Containing(d digest.Digest) ([]Record, error)
	// Prefix returns the digests by which Containing finds a record and whose hex
	// begins with the given characters, of which there are 1 to 64 from 0-9a-f (else
	// ErrInvalidArgument), in order and limit at most; 0 is no limit.
	Prefix(hex string, limit int) ([]digest.Digest, error)
	// Repository returns the records of a repository: a name without tag and digest.
	Repository(name string) ([]Record, error)
	// Children returns the config digests of the visible images that were built upon
	// the one with that config digest, as far as their configs say so.
	Children(config digest.Digest) ([]digest.Digest, error)
	// Referrers returns the digests of the visible manifests and lists whose subject is
	// that digest, in order. Whether the subject is there does not matter.
	Referrers(subject digest.Digest) ([]digest.Digest, error)
	// List returns up to limit records in the order of their names, dangling ones
	// first, from the one after the given key on; 0 is no limit.
	List(after string, limit int) ([]Record, error)
	// Blob returns a visible blob as it is at this moment: see Blobs.Stat. Bytes that have
	// been collected since are ErrNotFound.
	Blob(d digest.Digest) (Blob, error)
	// Facts returns what is known of a document at this moment: see Blobs.Facts.
	Facts(d digest.Digest) (Facts, error)
}

// Record is what a name points at.
type Record struct {
	// Name is the name in its normal form with a tag or digest, as
	// docker.io/library/busybox:latest; empty for a dangling record.
	Name    string
	Target  ocispec.Descriptor // the media type, digest and size of an index or manifest
	Labels  map[string]string
	Created time.Time // when the name, or the dangling record, was made
	Updated time.Time // when it last moved
}

// Dangling reports whether the record has no name any more.
func (r Record) Dangling() bool { return r.Name == "" }

// Key is what List goes on after: the name, or for a dangling record one of its own.
func (r Record) Key() string {
	if r.Name != "" {
		return r.Name
	}
	return "@" + string(r.Target.Digest)
}

// Move moves one name.
type Move struct {
	// Name is the name to move, in its normal form with a tag or digest; or the Key of
	// a dangling record, which can only be removed, or be made with a target of that
	// digest.
	Name string
	// To is what the name shall point at: its media type, digest and size. The digest
	// must be visible, else it is ErrNotFound, and known as a document of that type and
	// size, else it is ErrInvalidArgument. Zero removes the name.
	To ocispec.Descriptor
	// Labels are the record's from now on; nil keeps those that it has.
	Labels map[string]string
	// If is what the name must point at now.
	If Condition
	// Forget has what the name pointed at before not become dangling.
	Forget bool
}

// Condition is what a name must point at for it to move. The zero value is anything,
// or nothing.
type Condition struct {
	// Absent: there must be no such name.
	Absent bool
	// Digest is what the name must point at; empty: anything, or nothing.
	Digest digest.Digest
}

// Moved is what became of a Move.
type Moved struct {
	// Before is the record that was there; zero if there was none.
	Before Record
	// Dangling tells that what Before pointed at has become dangling.
	Dangling bool
}
