package archive

import (
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/transport"
)

// facts are what a Writer remembers of a node: it cannot read again what it has written. All
// are nil for most nodes.
type facts struct {
	document *document
	config   *config
}

// document is a manifest or list.
type document struct {
	artifactType string
	refers       bool                 // it has a subject
	entries      []ocispec.Descriptor // of a list
	config       ocispec.Descriptor   // of an image, else empty
	layers       []ocispec.Descriptor // of an image
}

// config is that of an image.
type config struct {
	platform ocispec.Platform
	layers   int
}

// factsOf looks into a node. A document must be one; a config that is none is only not known.
func factsOf(node transport.Node, data []byte, opts Options) (facts, error) {
	switch {
	case isDocument(node.Role):
		doc, err := image.Decode(data, image.Declared{Descriptor: node.Desc.MediaType}, opts.Limits)
		if err != nil {
			return facts{}, fmt.Errorf("%s: %w", node.Desc.Digest, err)
		}
		return facts{document: documentOf(doc)}, nil
	case node.Role == image.RoleConfig && isImageConfig(node.Desc.MediaType):
		c, err := image.DecodeConfig(data, opts.Limits)
		if err != nil {
			opts.Logger.Warn("a config cannot be read; manifest.json will not have its image", "digest", node.Desc.Digest, "error", err)
			return facts{}, nil
		}
		return facts{config: &config{c.Platform, len(c.DiffIDs)}}, nil
	}
	return facts{}, nil
}

func documentOf(doc image.Document) *document {
	d := &document{artifactType: doc.ArtifactType(), refers: doc.Subject() != nil}
	switch doc := doc.(type) {
	case *image.List:
		d.entries = doc.Instances()
		for i := range d.entries {
			d.entries[i].Data = nil // may be large
		}
	case *image.Manifest:
		if doc.IsImage() {
			d.config, d.layers = doc.Config(), doc.Layers()
		}
	}
	return d
}

func isImageConfig(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageConfig || mediaType == image.MediaTypeDockerConfig
}

// note remembers a node that is in the archive.
func (w *Writer) note(desc ocispec.Descriptor, f facts) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.blobs[desc.Digest] = desc.Size
	if f.document != nil {
		w.documents[desc.Digest] = *f.document
	}
	if f.config != nil {
		w.configs[desc.Digest] = *f.config
	}
}
