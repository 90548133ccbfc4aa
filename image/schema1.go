package image

import (
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/strictjson"
)

var (
	schema1Fields = strictjson.NewFields("schemaVersion", "mediaType", "name", "tag", "architecture",
		"fsLayers", "history", "signatures", "config", "layers", "manifests")
	schema1LayerFields = strictjson.NewFields("blobSum")
	schema1LineFields  = strictjson.NewFields("v1Compatibility")
	schema1V1Fields    = strictjson.NewFields("id", "parent")
)

// Schema1 is a Docker schema 1 manifest, signed or not. It is immutable. Nobody
// should make any more of them, but they are still read.
type Schema1 struct {
	mediaType    string
	raw          []byte
	name         string
	tag          string
	architecture string
	layers       []digest.Digest // the newest first, as in the document
}

// MediaType is MediaTypeDockerSchema1 or MediaTypeDockerSchema1Signed.
func (s *Schema1) MediaType() string { return s.mediaType }

// Bytes are the exact bytes, signatures included; they must not be changed. Their
// digest is not the manifest's if it is signed: see DigestOf.
func (s *Schema1) Bytes() []byte { return s.raw }

// Name is the repository that the manifest says it is of: a claim.
func (s *Schema1) Name() string { return s.name }

// Tag is the tag that the manifest says it has: a claim.
func (s *Schema1) Tag() string { return s.tag }

// Architecture is that of the image, as stored.
func (s *Schema1) Architecture() string { return s.architecture }

// Edges are the layers, the base first: gzip-compressed tars whose size is not
// known, which is -1. A layer that the manifest has more than once, as the empty
// one, is there as often. There is no config.
func (s *Schema1) Edges() []Edge {
	edges := make([]Edge, len(s.layers))
	for i := range edges {
		desc := ocispec.Descriptor{
			MediaType: MediaTypeDockerLayerGzip, Digest: s.layers[len(s.layers)-1-i], Size: -1,
		}
		edges[i] = Edge{Desc: desc, Role: RoleLayer, Index: i}
	}
	return edges
}

// Subject is nil: schema 1 has none.
func (s *Schema1) Subject() *ocispec.Descriptor { return nil }

// ArtifactType is empty: schema 1 has only images.
func (s *Schema1) ArtifactType() string { return "" }

// Annotations are empty: schema 1 has none.
func (s *Schema1) Annotations() map[string]string { return map[string]string{} }

// v1Image is what is checked of a line of schema 1 history.
type v1Image struct{ id, parent string }

// schema1Reader reads a schema 1 manifest.
type schema1Reader struct {
	doc      Schema1
	declared Declared
	max      int // layers allowed
	version  bool
	history  []v1Image
	jws      jwsReader
}

// decodeSchema1 decodes a schema 1 manifest.
func decodeSchema1(data []byte, mediaType string, declared Declared, lim Limits) (*Schema1, error) {
	s := schema1Reader{doc: Schema1{mediaType: mediaType, raw: data}, declared: declared, max: lim.Descriptors}
	err := strictjson.Read(data, lim.document(), func(r *strictjson.Reader) error {
		if err := s.jws.object(r, s.member); err != nil {
			return err
		}
		if !s.version {
			return r.Missing("schemaVersion")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := checkHistory(s.history, len(s.doc.layers)); err != nil {
		return nil, err
	}
	if mediaType == MediaTypeDockerSchema1Signed {
		_, err = s.jws.payload(data)
	} else if s.jws.signatures > 0 {
		err = fmt.Errorf("signatures: a manifest of this type has none: %w", errdefs.ErrInvalidArgument)
	}
	if err != nil {
		return nil, err
	}
	return &s.doc, nil
}

// member reads the value of one top-level member, which is not null.
func (s *schema1Reader) member(r *strictjson.Reader, name string) (err error) {
	switch name {
	case "schemaVersion":
		s.version = true
		var version int64
		if version, err = r.Int64(); err == nil && version != 1 {
			err = r.Errorf(errdefs.ErrInvalidArgument, "is %d where 1 is wanted", version)
		}
	case "mediaType":
		err = checkMediaType(r, s.doc.mediaType, s.declared)
	case "name":
		s.doc.name, err = r.String()
	case "tag":
		s.doc.tag, err = r.String()
	case "architecture":
		s.doc.architecture, err = r.String()
	case "fsLayers":
		err = boundedArray(r, s.max, func(int) error { return s.layer(r) })
	case "history":
		err = boundedArray(r, s.max, func(int) error { return s.line(r) })
	case "config", "layers", "manifests":
		err = ambiguous(r, name)
	}
	return err
}

// layer reads an element of fsLayers.
func (s *schema1Reader) layer(r *strictjson.Reader) error {
	var blob digest.Digest
	err := r.Record(schema1LayerFields, func(name string) (err error) {
		if name == "blobSum" {
			blob, err = readDigest(r)
		}
		return err
	})
	if err == nil && blob == "" {
		err = r.Missing("blobSum")
	}
	s.doc.layers = append(s.doc.layers, blob)
	return err
}

// line reads an element of history.
func (s *schema1Reader) line(r *strictjson.Reader) error {
	var line v1Image
	err := r.Record(schema1LineFields, func(name string) error {
		if name != "v1Compatibility" {
			return nil
		}
		text, err := r.String()
		if err != nil {
			return err
		}
		if line, err = readV1Image(text); err != nil {
			err = fmt.Errorf("%s: %w", r.Path(), err)
		}
		return err
	})
	if err == nil && line.id == "" {
		err = r.Missing("v1Compatibility")
	}
	s.history = append(s.history, line)
	return err
}

// readV1Image reads the JSON that a history line holds as a string.
func readV1Image(text string) (v1Image, error) {
	var line v1Image
	err := strictjson.Read([]byte(text), strictjson.Limits{}, func(r *strictjson.Reader) error {
		err := r.Record(schema1V1Fields, func(name string) (err error) {
			switch name {
			case "id":
				line.id, err = readV1ID(r)
			case "parent":
				line.parent, err = readV1ID(r)
			}
			return err
		})
		if err == nil && line.id == "" {
			err = r.Missing("id")
		}
		return err
	})
	return line, err
}

// readV1ID reads the ID of a schema 1 layer: 64 lower-case hex characters, or
// nothing.
func readV1ID(r *strictjson.Reader) (string, error) {
	id, err := r.String()
	if err == nil && id != "" && (len(id) != 64 || !isHex(id)) {
		err = r.Errorf(errdefs.ErrInvalidArgument, "is %s, which is not 64 lower-case hex characters", strictjson.Quote(id))
	}
	return id, err
}

// checkHistory checks that the history describes so many layers and is one chain
// from the newest to the base. The same ID in adjacent lines is one image twice.
func checkHistory(history []v1Image, layers int) error {
	if len(history) != layers || layers == 0 {
		return fmt.Errorf("history: has %d lines for %d fsLayers: %w", len(history), layers, errdefs.ErrInvalidArgument)
	}
	seen := make(map[string]struct{}, len(history))
	for i, line := range history {
		if i > 0 && line.id == history[i-1].id {
			continue
		}
		if _, again := seen[line.id]; again {
			return fmt.Errorf("history[%d]: has the ID %s of an earlier line: %w", i, line.id, errdefs.ErrInvalidArgument)
		}
		seen[line.id] = struct{}{}
		if i > 0 && history[i-1].parent != line.id {
			return fmt.Errorf("history[%d]: has the parent %q where the next line is %s: %w",
				i-1, history[i-1].parent, line.id, errdefs.ErrInvalidArgument)
		}
	}
	if last := len(history) - 1; history[last].parent != "" {
		return fmt.Errorf("history[%d]: has the parent %s, but is the base: %w", last, history[last].parent, errdefs.ErrInvalidArgument)
	}
	return nil
}
