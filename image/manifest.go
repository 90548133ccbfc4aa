package image

import (
	"fmt"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// Manifest is an OCI or a Docker schema 2 manifest, of an image or an artifact. It
// is immutable.
type Manifest struct {
	mediaType    string
	raw          []byte
	members      []member // in document order, with their raw values
	config       ocispec.Descriptor
	layers       []ocispec.Descriptor
	subject      *ocispec.Descriptor
	artifactType string
	annotations  map[string]string
}

// decodeManifest decodes an OCI or schema 2 manifest.
func decodeManifest(data []byte, mediaType string, declared Declared, lim Limits) (*Manifest, error) {
	var config *ocispec.Descriptor
	var layers []ocispec.Descriptor
	reader := bodyReader{declared: declared, own: []string{"config", "layers"}}
	reader.content = func(r *strictjson.Reader, name string) error {
		if name == "config" {
			desc, err := reader.descriptors.read(r)
			config = &desc
			return err
		}
		return r.Array(func(int) error {
			layer, err := reader.descriptors.read(r)
			layers = append(layers, layer)
			return err
		})
	}
	doc, err := reader.read(data, mediaType, lim)
	if err != nil {
		return nil, err
	}
	if config == nil {
		return nil, fmt.Errorf("config: is missing or null: %w", errdefs.ErrInvalidArgument)
	}
	for i, layer := range layers {
		if layer.Digest == config.Digest && isImageLayer(layer.MediaType) {
			return nil, fmt.Errorf("layers[%d]: is the config %s under the media type of an image layer: %w",
				i, layer.Digest, errdefs.ErrInvalidArgument)
		}
	}
	return &Manifest{
		mediaType: mediaType, raw: data, members: doc.members, config: *config, layers: layers,
		subject: doc.subject, artifactType: doc.artifactType, annotations: doc.annotations,
	}, nil
}

// MediaType is that of an OCI or a schema 2 manifest.
func (m *Manifest) MediaType() string { return m.mediaType }

// Bytes are the exact bytes; they must not be changed.
func (m *Manifest) Bytes() []byte { return m.raw }

// Edges are the config, then the layers in order. A digest that the manifest has
// more than once is there as often.
func (m *Manifest) Edges() []Edge {
	edges := make([]Edge, 0, 1+len(m.layers))
	edges = append(edges, Edge{Desc: cloneDescriptor(m.config), Role: RoleConfig})
	for i, layer := range m.layers {
		edges = append(edges, Edge{Desc: cloneDescriptor(layer), Role: RoleLayer, Index: i})
	}
	return edges
}

// Subject is the manifest that an OCI manifest refers to, or nil.
func (m *Manifest) Subject() *ocispec.Descriptor { return cloneSubject(m.subject) }

// ArtifactType is the manifest's own or, where it has none and is not an image,
// the media type of its config; empty for an image.
func (m *Manifest) ArtifactType() string {
	if m.artifactType == "" && !m.IsImage() {
		return m.config.MediaType
	}
	return m.artifactType
}

// Annotations are those of an OCI manifest itself; never nil.
func (m *Manifest) Annotations() map[string]string { return cloneAnnotations(m.annotations) }

// Config is the descriptor of the config.
func (m *Manifest) Config() ocispec.Descriptor { return cloneDescriptor(m.config) }

// Layers are the descriptors of the layers, the base first, or of an artifact's
// blobs.
func (m *Manifest) Layers() []ocispec.Descriptor {
	all := make([]ocispec.Descriptor, len(m.layers))
	for i, layer := range m.layers {
		all[i] = cloneDescriptor(layer)
	}
	return all
}

// IsImage reports whether the config's media type is that of an image config, OCI
// or Docker: if not, the manifest is an artifact.
func (m *Manifest) IsImage() bool { return isImageConfig(m.config.MediaType) }
