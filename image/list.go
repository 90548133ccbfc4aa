package image

import (
	"fmt"
	"math"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/platform"
)

// NewList returns a list without entries, of the type of an OCI index or a Docker
// list; any other media type is ErrInvalidArgument.
func NewList(mediaType string) (*List, error) {
	if !IsList(mediaType) {
		return nil, fmt.Errorf("new list: %s is not the media type of a list: %w", strictjson.Quote(mediaType), errdefs.ErrInvalidArgument)
	}
	empty := List{mediaType: mediaType}
	list, err := empty.remade([]member{
		{"schemaVersion", []byte("2")},
		{"mediaType", encodeJSON(mediaType)},
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("new list: %w", err)
	}
	return list, nil
}

// Descriptor describes Bytes: media type, digest and size, nothing else. The digest
// is of the algorithm that WithAlgorithm set, sha256 otherwise.
func (l *List) Descriptor() ocispec.Descriptor {
	alg := l.alg
	if alg == "" {
		alg = digest.SHA256
	}
	return ocispec.Descriptor{MediaType: l.mediaType, Digest: alg.FromBytes(l.raw), Size: int64(len(l.raw))}
}

// WithAlgorithm returns the list with another digest algorithm for Descriptor,
// which the lists edited from it inherit: a document does not say by which
// algorithm it is known. An unknown one is ErrNotImplemented.
func (l *List) WithAlgorithm(alg digest.Algorithm) (*List, error) {
	if _, known := hexWidth(alg); !known {
		return nil, fmt.Errorf("digest algorithm %s is unknown: %w", strictjson.Quote(alg), errdefs.ErrNotImplemented)
	}
	other := *l
	other.alg = alg
	return &other, nil
}

// Choose returns the entry that best serves the operation on the asked platform;
// nil asks for none. Which rule applies, and the error where no entry serves, are
// those of platform.Select.
func (l *List) Choose(op platform.Operation, asked *ocispec.Platform, opts platform.Options) (ocispec.Descriptor, error) {
	instances := l.Instances()
	best, err := platform.Select(op, asked, instances, opts)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("choosing from a list: %w", err)
	}
	return instances[best[0]], nil
}

// remade returns the list with these members and entries instead.
func (l *List) remade(members []member, entries [][]byte) (*List, error) {
	doc := object{members: slices.Clone(members)}
	doc.set("manifests", joinArray(entries))
	return l.from(doc.bytes(), l.mediaType)
}

// from returns what an edit of l made. It is decoded as any other document, so that
// no edit can make one that Decode refuses.
func (l *List) from(raw []byte, mediaType string) (*List, error) {
	raw, err := compact(raw)
	if err != nil {
		return nil, err
	}
	list, err := decodeList(raw, mediaType, Declared{}, limitsAfter(l.raw, len(l.entries)))
	if err != nil {
		return nil, err
	}
	list.alg = l.alg
	return list, nil
}

// limitsAfter returns the limits for what is made of a document with that many
// descriptors: the defaults, but none where the document is beyond one already.
// Then its reader has raised it, and sees to the rest.
func limitsAfter(raw []byte, descriptors int) Limits {
	lim := Limits{JSONDepth: math.MaxInt}
	if len(raw) > defaultDocumentBytes {
		lim.DocumentBytes = math.MaxInt64
	}
	if descriptors > defaultDescriptors {
		lim.Descriptors = math.MaxInt
	}
	return lim.WithDefaults()
}

// rawEntries returns the JSON of all entries.
func (l *List) rawEntries() [][]byte {
	all := make([][]byte, len(l.entries))
	for i, entry := range l.entries {
		all[i] = entry.raw
	}
	return all
}

// digests returns the digests that entries have.
func (l *List) digests() map[digest.Digest]bool {
	all := make(map[digest.Digest]bool, len(l.entries))
	for _, entry := range l.entries {
		all[entry.desc.Digest] = true
	}
	return all
}

// noEntry returns the error for a digest that no entry has.
func noEntry(d digest.Digest) error {
	return fmt.Errorf("list has no instance %s: %w", strictjson.Quote(d), errdefs.ErrNotFound)
}
