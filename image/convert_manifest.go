package image

import (
	"fmt"
	"math"
	"slices"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// Converted is a manifest in its other form.
type Converted struct {
	Manifest *Manifest
	// Config is the content of the new manifest's config where that had to be made
	// anew; nil where it is still the one that was given.
	Config []byte
	// Lost says what was not carried over, a sentence each.
	Lost []string
}

// Convert returns an image's manifest as an OCI or schema 2 manifest. config is the
// content of its config, and checked to be. A manifest that has the type already is
// returned as it is, and config is not looked at.
//
// Layers keep their content, so that their media types only change name. Members
// that neither form knows stay.
//
// To schema 2, the config's bytes stay too. Lost are annotations, and what else
// schema 2 descriptors do not have: artifact types and embedded data.
//
// To OCI, the config's bytes stay where they are valid by OCI's JSON schema for
// configs, as most are. Otherwise it is made anew without the members that are not:
// nulls, for most. Its digest then is of the algorithm of the old one.
//
// ErrNotImplemented is returned for what has no other form: an artifact, a
// conversion to schema 1; to schema 2, a manifest with a subject or artifact type,
// and layers that are zstd, encrypted or of an unknown type; to OCI, unknown layers
// too, a manifest without layers, and a config that lacks what OCI requires of it.
// ErrDataLoss is returned for a config that is not the manifest's, and
// ErrInvalidArgument for a mediaType that is not that of a manifest.
func (m *Manifest) Convert(mediaType string, config []byte) (Converted, error) {
	var c *conversion
	switch mediaType {
	case m.mediaType:
		return Converted{Manifest: m}, nil
	case MediaTypeDockerManifest:
		c = &conversion{manifest: mediaType, config: MediaTypeDockerConfig, layer: dockerLayer,
			beyond: []string{"annotations", "artifactType", "data"}}
	case ocispec.MediaTypeImageManifest:
		c = &conversion{manifest: mediaType, config: ocispec.MediaTypeImageConfig, layer: ociLayer,
			document: ociManifestShape(), content: ociConfigShape()}
	case MediaTypeDockerSchema1, MediaTypeDockerSchema1Signed:
		return Converted{}, fmt.Errorf("converting a manifest to schema 1: %w", errdefs.ErrNotImplemented)
	default:
		return Converted{}, fmt.Errorf("converting a manifest: %s is not the media type of a manifest: %w",
			strictjson.Quote(mediaType), errdefs.ErrInvalidArgument)
	}
	converted, err := c.convert(m, config)
	if err != nil {
		return Converted{}, fmt.Errorf("converting a manifest to %s: %w", mediaType, err)
	}
	return converted, nil
}

// conversion is the making of a manifest in another form.
type conversion struct {
	manifest, config string                                 // the media types
	layer            func(mediaType string) (string, error) // that of a layer, by its old one
	beyond           []string                               // members of descriptors that the form does not have
	document         *shape                                 // by the form's schema; nil: it has none
	content          *shape                                 // of the config, likewise
	lost             losses
}

func (c *conversion) convert(m *Manifest, config []byte) (Converted, error) {
	if err := c.admit(m); err != nil {
		return Converted{}, err
	}
	if err := VerifyBytes(config, m.config); err != nil {
		return Converted{}, fmt.Errorf("config: %w", err)
	}
	doc := object{members: slices.Clone(m.members)}
	doc.setAfter("schemaVersion", "mediaType", encodeJSON(c.manifest))
	c.lost.drop("the manifest", &doc, "artifactType", "subject", "annotations")
	remade, err := c.convertConfig(&doc, m, config)
	if err != nil {
		return Converted{}, err
	}
	if err := c.convertLayers(&doc, m); err != nil {
		return Converted{}, err
	}
	raw, _, err := c.fit("the manifest", doc.bytes(), c.document, math.MaxInt)
	if err != nil {
		return Converted{}, err
	}
	made, err := decodeManifest(raw, c.manifest, Declared{}, limitsAfter(m.raw, 1+len(m.layers)))
	if err != nil {
		return Converted{}, err
	}
	return Converted{Manifest: made, Config: remade, Lost: c.lost.all}, nil
}

// admit refuses a manifest that says what the other form cannot.
func (c *conversion) admit(m *Manifest) error {
	switch {
	case !m.IsImage():
		return fmt.Errorf("it is an artifact, not an image: its config has media type %s: %w",
			strictjson.Quote(m.config.MediaType), errdefs.ErrNotImplemented)
	case m.subject != nil:
		return fmt.Errorf("it has the subject %s, and a Docker manifest cannot refer to one: %w", m.subject.Digest, errdefs.ErrNotImplemented)
	case m.artifactType != "":
		return fmt.Errorf("it has the artifact type %s, and a Docker manifest cannot have one: %w",
			strictjson.Quote(m.artifactType), errdefs.ErrNotImplemented)
	}
	return nil
}

// convertConfig edits the descriptor of the config. It returns the config's content
// where that is made anew.
func (c *conversion) convertConfig(doc *object, m *Manifest, config []byte) ([]byte, error) {
	o, err := splitObject(doc.get("config"))
	if err != nil {
		return nil, err
	}
	to := ocispec.Descriptor{MediaType: c.config, Digest: m.config.Digest, Size: m.config.Size}
	var made []byte
	if c.content != nil {
		if made, err = c.remakeConfig(config); err != nil {
			return nil, err
		}
	}
	if made != nil {
		to.Digest, to.Size = m.config.Digest.Algorithm().FromBytes(made), int64(len(made))
	}
	c.lost.drop("the config's descriptor", &o, c.beyond...)
	if err := pointAt(&o, m.config, to); err != nil {
		return nil, err
	}
	doc.set("config", o.bytes())
	return made, nil
}

// remakeConfig returns the config as it fits, or nil where it does as it is.
func (c *conversion) remakeConfig(config []byte) ([]byte, error) {
	made, changed, err := c.fit("the config", config, c.content, defaultDescriptors)
	if err != nil {
		return nil, err
	}
	// What readers may stumble over is no use to convert.
	if _, err := DecodeConfig(made, Limits{ConfigBytes: int64(len(made))}); err != nil {
		return nil, err
	}
	if !changed {
		return nil, nil
	}
	return made, nil
}

// convertLayers edits the descriptors of the layers.
func (c *conversion) convertLayers(doc *object, m *Manifest) error {
	var layers [][]byte
	if len(m.layers) > 0 {
		var err error
		if layers, err = splitArray(doc.get("layers")); err != nil {
			return fmt.Errorf("layers: %w", err)
		}
	}
	for i, layer := range m.layers {
		where := fmt.Sprintf("layer %d (%s)", i, layer.Digest)
		mediaType, err := c.layer(layer.MediaType)
		if err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
		o, err := splitObject(layers[i])
		if err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
		o.setText("mediaType", layer.MediaType, mediaType)
		c.lost.drop(where, &o, c.beyond...)
		layers[i] = o.bytes()
	}
	doc.set("layers", joinArray(layers))
	return nil
}

// fit returns JSON as it fits the shape, compact, and whether that is not what it
// was; a nil shape fits all.
func (c *conversion) fit(who string, raw []byte, s *shape, items int) (fit []byte, changed bool, err error) {
	if s == nil {
		fit, err = compact(raw)
		return fit, false, err
	}
	fitted, err := fitTo(raw, s, items)
	if err != nil {
		return nil, false, fmt.Errorf("%s %w", who, err)
	}
	c.lost.cut(who, fitted)
	fit, err = compact(fitted.json)
	return fit, fitted.changes > 0, err
}
