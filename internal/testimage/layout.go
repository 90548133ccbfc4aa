package testimage

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Named is an entry of a layout's index.json.
type Named struct {
	Name string // org.opencontainers.image.ref.name; empty for none
	Desc ocispec.Descriptor
}

// WriteLayout writes all blobs of the store into an OCI layout whose index.json
// has the named entries.
func (s *Store) WriteLayout(dir string, names ...Named) error {
	for _, d := range s.Digests() {
		path := filepath.Join(dir, ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
		if err := write(path, s.Get(d)); err != nil {
			return err
		}
	}
	index := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{},
	}
	for _, n := range names {
		desc := n.Desc
		if n.Name != "" {
			desc.Annotations = map[string]string{ocispec.AnnotationRefName: n.Name}
			maps.Copy(desc.Annotations, n.Desc.Annotations)
		}
		index.Manifests = append(index.Manifests, desc)
	}
	data, err := json.Marshal(index)
	if err != nil {
		return fmt.Errorf("encoding index.json: %w", err)
	}
	if err := write(filepath.Join(dir, ocispec.ImageIndexFile), data); err != nil {
		return err
	}
	return write(filepath.Join(dir, ocispec.ImageLayoutFile), []byte(`{"imageLayoutVersion":"1.0.0"}`))
}

func write(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
