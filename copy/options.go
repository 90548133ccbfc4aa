package copy

import (
	"fmt"
	"log/slog"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/platform"
)

// Mode says which part of a list is copied. A single image is always copied
// whole, whatever the mode.
type Mode int

// The modes.
const (
	// Default is All where the destination can hold a list, else One.
	Default Mode = iota
	// All copies the list and every instance.
	All
	// One copies one instance, chosen by Selection.Platforms[0] or, if there is
	// none, for the host; it becomes the image, and the list stays behind.
	One
	// Some copies the list and the instances that Selection.Platforms and
	// Selection.Instances name, with their attestations.
	Some
	// IndexOnly copies the list alone.
	IndexOnly
)

// Absent says what becomes of the instances of a list that are not copied.
type Absent int

// The ways to treat absent instances.
const (
	// AbsentDefault is Keep, but an instance that was to be copied and that the
	// source does not have is an error.
	AbsentDefault Absent = iota
	// Keep leaves them in the list, whose bytes and digest stay as they are: the
	// list is sparse. Instances that the source does not have are kept likewise.
	Keep
	// Strip takes them out of the list, which changes its digest.
	Strip
)

// Selection says what is copied of a list.
type Selection struct {
	Mode      Mode
	Platforms []ocispec.Platform
	Instances []digest.Digest
	// Choose, if not nil, goes with Some: it says which entries of the list, and of the
	// lists in it, are copied as well, by their positions in document order. Each has
	// the platform that its list gives it.
	Choose func(entries []ocispec.Descriptor) ([]int, error)
	Absent Absent
	// Match changes how platforms are chosen.
	Match platform.Options
}

// Format is a family of manifest types.
type Format string

// The formats.
const (
	// AsIs keeps every document's type.
	AsIs Format = ""
	// OCI converts manifests and lists to OCI manifests and indexes.
	OCI Format = "oci"
	// Docker converts them to Docker schema 2 manifests and lists.
	Docker Format = "v2s2"
)

// Options are the choices of a copy. The zero value copies all that belongs to
// the image, byte for byte.
type Options struct {
	Selection Selection
	Format    Format
	// DropAttestations leaves out attestations that have no form in Format.
	DropAttestations bool
	// PreserveDigests makes every change of a manifest or list an error.
	PreserveDigests bool
	// RemoveSignatures leaves simple signatures behind, and the digest tags and
	// referrers that are signatures.
	RemoveSignatures bool
	// NoReferrers leaves out the manifests that refer to what is copied.
	NoReferrers bool
	// NoDigestTags leaves out the tags sha256-<hex>.sig, .att and .sbom.
	NoDigestTags bool
	// Parallel is the number of nodes moved at once; 0 means 16. At most a quarter of
	// them, rounded up, are blobs of 4 MiB or more. To a transport.Sequential it is 1.
	Parallel int
	// Limits bound the documents that are read.
	Limits image.Limits
	// Events, if not nil, is called with each event, in order and never from two
	// goroutines at once. A slow Events does not slow the copy down; what it has not
	// taken when the copy fails it does not get.
	Events func(Event)
	// Logger takes what may help to find a fault; nil means none.
	Logger *slog.Logger
}

// mayEdit reports whether documents may be written in another form than they have.
func (o Options) mayEdit() bool { return o.Format != AsIs || o.Selection.Absent == Strip }

// wholeAsIs reports whether all of an image is copied, as it is.
func (o Options) wholeAsIs() bool {
	return !o.mayEdit() && (o.Selection.Mode == Default || o.Selection.Mode == All)
}

// wantReferrers reports whether the referrers of documents are asked for: what may be edited
// must be known to be signed.
func (o Options) wantReferrers() bool { return !o.NoReferrers || o.mayEdit() }

// wantTags is the same for digest tags.
func (o Options) wantTags() bool { return !o.NoDigestTags || o.mayEdit() }

// wantAttached reports whether either is.
func (o Options) wantAttached() bool { return o.wantReferrers() || o.wantTags() }

// log is the logger, never nil.
func (o Options) log() *slog.Logger {
	if o.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Logger
}

// check refuses options that contradict one another.
func (o Options) check() error {
	s := o.Selection
	switch {
	case s.Mode < Default || s.Mode > IndexOnly:
		return fmt.Errorf("unknown selection mode %d: %w", s.Mode, errdefs.ErrInvalidArgument)
	case s.Mode == One && len(s.Platforms) > 1:
		return fmt.Errorf("one instance cannot be chosen for %d platforms: %w", len(s.Platforms), errdefs.ErrInvalidArgument)
	case s.Mode == Some && len(s.Platforms)+len(s.Instances) == 0 && s.Choose == nil:
		return fmt.Errorf("no platform and no instance to copy: %w", errdefs.ErrInvalidArgument)
	case s.Mode != One && s.Mode != Some && len(s.Platforms) > 0, s.Mode != Some && (len(s.Instances) > 0 || s.Choose != nil):
		return fmt.Errorf("platforms and instances go with a selection of some: %w", errdefs.ErrInvalidArgument)
	case s.Mode == IndexOnly && s.Absent == Strip:
		return fmt.Errorf("a list alone cannot be stripped of all its instances: %w", errdefs.ErrInvalidArgument)
	case o.Format != AsIs && o.Format != OCI && o.Format != Docker:
		return fmt.Errorf("unknown format %q (there are: oci, v2s2): %w", o.Format, errdefs.ErrInvalidArgument)
	case o.Parallel < 0:
		return fmt.Errorf("parallel %d: %w", o.Parallel, errdefs.ErrInvalidArgument)
	}
	for _, d := range s.Instances {
		if _, err := image.ParseDigest(d.String()); err != nil {
			return fmt.Errorf("instance to copy: %w", err)
		}
	}
	return nil
}
