package image

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/strictjson"
)

var descriptorFields = strictjson.NewFields(
	"mediaType", "digest", "size", "urls", "annotations", "data", "platform", "artifactType")

// "features" is of Docker lists alone.
var platformFields = strictjson.NewFields(
	"architecture", "os", "os.version", "os.features", "variant", "features")

// descriptorReader reads the descriptors of one document.
type descriptorReader struct {
	max   int // descriptors allowed
	count int
	sizes map[digest.Digest]int64
}

// read reads the descriptor that is next.
func (d *descriptorReader) read(r *strictjson.Reader) (ocispec.Descriptor, error) {
	var desc ocispec.Descriptor
	if d.count++; d.count > d.max {
		return desc, r.Errorf(errdefs.ErrResourceExhausted, "is one descriptor more than the %d allowed", d.max)
	}
	desc.Size = -1
	var data *string
	err := r.Record(descriptorFields, func(name string) (err error) {
		switch name {
		case "mediaType":
			desc.MediaType, err = readMediaType(r)
		case "digest":
			desc.Digest, err = readDigest(r)
		case "size":
			desc.Size, err = r.Int64()
		case "urls":
			desc.URLs, err = readStrings(r, d.max)
		case "annotations":
			desc.Annotations, err = r.StringMap()
		case "data":
			var text string
			text, err = r.String()
			data = &text
		case "platform":
			desc.Platform, err = readPlatform(r, d.max)
		case "artifactType":
			desc.ArtifactType, err = readOptionalMediaType(r)
		}
		return err
	})
	if err != nil {
		return desc, err
	}
	switch {
	case desc.MediaType == "":
		return desc, r.Missing("mediaType")
	case desc.Digest == "":
		return desc, r.Missing("digest")
	case desc.Size < 0:
		return desc, r.Missing("size")
	}
	if data != nil {
		if desc.Data, err = embedded(r, *data, desc); err != nil {
			return desc, err
		}
	}
	return desc, d.checkSize(r, desc)
}

// checkSize checks that a size can be true: the empty content, and no other, is of
// size 0, and one digest has one size.
func (d *descriptorReader) checkSize(r *strictjson.Reader, desc ocispec.Descriptor) error {
	if (desc.Size == 0) != isEmptyDigest(desc.Digest) {
		return r.Errorf(errdefs.ErrInvalidArgument, "has size %d and digest %s: size 0 and the digest of no bytes go together", desc.Size, desc.Digest)
	}
	before, seen := d.sizes[desc.Digest]
	if seen && before != desc.Size {
		return r.Errorf(errdefs.ErrInvalidArgument, "has digest %s with size %d, but before with size %d", desc.Digest, desc.Size, before)
	}
	if d.sizes == nil {
		d.sizes = map[digest.Digest]int64{}
	}
	d.sizes[desc.Digest] = desc.Size
	return nil
}

// embedded decodes a descriptor's data field and checks it against the rest.
func embedded(r *strictjson.Reader, text string, desc ocispec.Descriptor) ([]byte, error) {
	if desc.Size > maxDataBytes || len(text) > base64.StdEncoding.EncodedLen(maxDataBytes) {
		return nil, r.Errorf(errdefs.ErrResourceExhausted, "has more embedded data than the %d bytes allowed", maxDataBytes)
	}
	data, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, r.Errorf(errdefs.ErrDataLoss, "has embedded data that is not base64: %v", err)
	}
	// Only the bytes as such: what is embedded has no other digest.
	if err := VerifyBytes(data, ocispec.Descriptor{Digest: desc.Digest, Size: desc.Size}); err != nil {
		return nil, fmt.Errorf("%s.data: %w", r.Path(), err)
	}
	return data, nil
}

func readMediaType(r *strictjson.Reader) (string, error) {
	s, err := r.String()
	if err == nil && !isMediaType(s) {
		err = r.Errorf(errdefs.ErrInvalidArgument, "is %s, which is not a media type", strictjson.Quote(s))
	}
	return s, err
}

// readOptionalMediaType takes an empty media type for none.
func readOptionalMediaType(r *strictjson.Reader) (string, error) {
	s, err := r.String()
	if err == nil && s != "" && !isMediaType(s) {
		err = r.Errorf(errdefs.ErrInvalidArgument, "is %s, which is not a media type", strictjson.Quote(s))
	}
	return s, err
}

func readDigest(r *strictjson.Reader) (digest.Digest, error) {
	s, err := r.String()
	if err != nil {
		return "", err
	}
	d, err := ParseDigest(s)
	if errors.Is(err, errdefs.ErrNotImplemented) {
		return "", r.Errorf(errdefs.ErrNotImplemented, "is %s, whose algorithm is unknown", strictjson.Quote(s))
	}
	if err != nil {
		return "", r.Errorf(errdefs.ErrInvalidArgument, "is %s, which is not a digest", strictjson.Quote(s))
	}
	return d, nil
}

// readStrings reads a list of at most so many strings.
func readStrings(r *strictjson.Reader, limit int) ([]string, error) {
	all := []string{}
	err := boundedArray(r, limit, func(int) error {
		s, err := r.String()
		all = append(all, s)
		return err
	})
	return all, err
}

// beyond returns the error for the first of several values beyond a limit.
func beyond(r *strictjson.Reader, limit int) error {
	return r.Errorf(errdefs.ErrResourceExhausted, "is one more than the %d allowed", limit)
}

// boundedArray reads an array of at most so many elements.
func boundedArray(r *strictjson.Reader, limit int, element func(i int) error) error {
	return r.Array(func(i int) error {
		if i == limit {
			return beyond(r, limit)
		}
		return element(i)
	})
}

func readPlatform(r *strictjson.Reader, limit int) (*ocispec.Platform, error) {
	var p ocispec.Platform
	err := r.Record(platformFields, func(name string) (err error) {
		switch name {
		case "architecture":
			p.Architecture, err = r.String()
		case "os":
			p.OS, err = r.String()
		case "os.version":
			p.OSVersion, err = r.String()
		case "os.features":
			p.OSFeatures, err = readStrings(r, limit)
		case "variant":
			p.Variant, err = r.String()
		}
		return err
	})
	return &p, err
}

// cloneDescriptor returns a copy that shares no memory with desc.
func cloneDescriptor(desc ocispec.Descriptor) ocispec.Descriptor {
	desc.URLs = slices.Clone(desc.URLs)
	desc.Data = slices.Clone(desc.Data)
	desc.Annotations = maps.Clone(desc.Annotations)
	if desc.Platform != nil {
		p := *desc.Platform
		p.OSFeatures = slices.Clone(p.OSFeatures)
		desc.Platform = &p
	}
	return desc
}

// cloneSubject is cloneDescriptor for what may be absent.
func cloneSubject(desc *ocispec.Descriptor) *ocispec.Descriptor {
	if desc == nil {
		return nil
	}
	c := cloneDescriptor(*desc)
	return &c
}

// cloneAnnotations returns a copy that is never nil.
func cloneAnnotations(annotations map[string]string) map[string]string {
	if annotations == nil {
		return map[string]string{}
	}
	return maps.Clone(annotations)
}
