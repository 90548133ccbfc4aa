package image

import (
	"fmt"
	"math"
	"slices"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// Convert returns the list as an OCI index or Docker list, and a sentence on each
// thing that the new form could not say. A list that has the type already is
// returned as it is.
//
// Entries keep their order and what they point at: where those documents are
// converted too, UpdateAll comes first. An index cannot say a platform's Docker
// "features". A Docker list has no artifact type, subject or annotations, and its
// entries no annotations, artifact type, URLs or data; they can be of the media type
// of any manifest, so that an OCI manifest without a schema 2 form can stay, or of a
// nested Docker list. Members that neither form knows stay.
//
// ErrNotImplemented is returned for what has no place in a Docker list: an entry
// without a platform, a nested OCI index, or any other media type; and for a list
// that as an index would not be valid by OCI's JSON schema. A mediaType that is not
// that of a list is ErrInvalidArgument.
func (l *List) Convert(mediaType string) (*List, []string, error) {
	var list *List
	var lost losses
	var err error
	switch mediaType {
	case l.mediaType:
		return l, nil, nil
	case MediaTypeDockerList:
		list, err = l.toDocker(&lost)
	case ocispec.MediaTypeImageIndex:
		list, err = l.toOCI(&lost)
	default:
		err = fmt.Errorf("%s is not the media type of a list: %w", strictjson.Quote(mediaType), errdefs.ErrInvalidArgument)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("converting a list of type %s: %w", l.mediaType, err)
	}
	return list, lost.all, nil
}

func (l *List) toDocker(lost *losses) (*List, error) {
	raw, err := l.converted(MediaTypeDockerList, lost, func(entry listEntry, o *object, where string) error {
		if err := checkDockerTarget(entry.desc); err != nil {
			return err
		}
		if err := checkDockerPlatform(entry.desc); err != nil {
			return err
		}
		if of, attests := AttestationOf(entry.desc); attests {
			lost.add("%s lost the mark of an attestation of %s", where, strictjson.Quote(of))
		}
		lost.drop(where, o, "annotations", "artifactType", "urls", "data")
		return nil
	})
	if err != nil {
		return nil, err
	}
	return l.from(raw, MediaTypeDockerList)
}

func (l *List) toOCI(lost *losses) (*List, error) {
	raw, err := l.converted(ocispec.MediaTypeImageIndex, lost, func(entry listEntry, o *object, where string) error {
		if entry.desc.Platform == nil {
			return nil
		}
		platform, err := splitObject(o.get("platform"))
		if err != nil {
			return err
		}
		lost.drop(where+"'s platform", &platform, "features")
		if platform.changed {
			o.set("platform", platform.bytes())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	fit, err := fitTo(raw, ociIndexShape(), math.MaxInt)
	if err != nil {
		return nil, fmt.Errorf("the list %w", err)
	}
	lost.cut("the list", fit)
	return l.from(fit.json, ocispec.MediaTypeImageIndex)
}

// converted returns the JSON of the list under another media type, after edit was
// called for each entry, which where names.
func (l *List) converted(mediaType string, lost *losses, edit func(entry listEntry, o *object, where string) error) ([]byte, error) {
	doc := object{members: slices.Clone(l.members)}
	doc.setAfter("schemaVersion", "mediaType", encodeJSON(mediaType))
	lost.drop("the list", &doc, "artifactType", "subject", "annotations")
	entries := make([][]byte, len(l.entries))
	for i, entry := range l.entries {
		where := fmt.Sprintf("entry %d (%s)", i, entry.desc.Digest)
		o, err := splitObject(entry.raw)
		if err == nil {
			err = edit(entry, &o, where)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		entries[i] = o.bytes()
	}
	doc.set("manifests", joinArray(entries))
	return doc.bytes(), nil
}
