package image

import (
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// Compression is that of the layers of an instance.
type Compression string

// The compressions between which clients choose by the list.
const (
	Gzip Compression = "gzip"
	Zstd Compression = "zstd"
)

// CloneInstance adds, for every entry with digest d, a copy that points at to: the
// same image with its layers compressed otherwise. A copy is to its entry as Update
// would make it, so that it has the same platform unless to has another one.
//
// A zstd copy is marked by AnnotationZstd, a gzip one is not. Entries so marked come
// after all others, old ones too, and otherwise the order stays with the copies at
// the end: clients that do not know the mark take the first entry that fits.
//
// Errors are those of Update, ErrAlreadyExists where the list has an entry with the
// digest of to, ErrInvalidArgument for an unknown compression, and ErrNotImplemented
// for zstd in a Docker list.
func (l *List) CloneInstance(d digest.Digest, to ocispec.Descriptor, compression Compression) (*List, error) {
	if err := l.checkClone(d, to, compression); err != nil {
		return nil, fmt.Errorf("cloning an entry of a list: %w", err)
	}
	type entry struct {
		raw  []byte
		zstd bool
	}
	var all, clones []entry
	for _, e := range l.entries {
		all = append(all, entry{e.raw, e.desc.Annotations[AnnotationZstd] == "true"})
		if e.desc.Digest != d {
			continue
		}
		clone, err := cloneEntry(e, to, compression)
		if err != nil {
			return nil, fmt.Errorf("cloning entry %s of a list: %w", d, err)
		}
		clones = append(clones, entry{clone, compression == Zstd})
	}
	all = append(all, clones...)
	slices.SortStableFunc(all, func(a, b entry) int {
		switch {
		case a.zstd == b.zstd:
			return 0
		case b.zstd:
			return -1
		}
		return 1
	})
	raw := make([][]byte, len(all))
	for i, e := range all {
		raw[i] = e.raw
	}
	list, err := l.remade(l.members, raw)
	if err != nil {
		return nil, fmt.Errorf("cloning entry %s of a list: %w", d, err)
	}
	return list, nil
}

func (l *List) checkClone(d digest.Digest, to ocispec.Descriptor, compression Compression) error {
	present := l.digests()
	switch {
	case compression != Gzip && compression != Zstd:
		return fmt.Errorf("compression %s is unknown: %w", strictjson.Quote(compression), errdefs.ErrInvalidArgument)
	case compression == Zstd && l.mediaType == MediaTypeDockerList:
		return fmt.Errorf("zstd is not supported for Docker images: %w", errdefs.ErrNotImplemented)
	case !present[d]:
		return noEntry(d)
	case present[to.Digest]:
		return fmt.Errorf("the list has an entry %s: %w", to.Digest, errdefs.ErrAlreadyExists)
	}
	return l.checkEntry(to)
}

// cloneEntry returns the JSON of a copy of the entry that points at to.
func cloneEntry(e listEntry, to ocispec.Descriptor, compression Compression) ([]byte, error) {
	o, err := splitObject(e.raw)
	if err != nil {
		return nil, err
	}
	if to.Annotations == nil {
		to.Annotations = e.desc.Annotations
	}
	to.Annotations = cloneAnnotations(to.Annotations)
	if compression == Zstd {
		to.Annotations[AnnotationZstd] = "true"
	} else {
		delete(to.Annotations, AnnotationZstd)
	}
	err = pointAt(&o, e.desc, to)
	return o.bytes(), err
}
