package testimage

import (
	"archive/tar"
	"bytes"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Plain adds an OCI image with a layer for each of the contents and returns the
// descriptor of its manifest, with the platform as an index wants it. Its layers
// are not compressed, so that golden files may hold its digests: those of Image
// are other ones with another compressor.
func (s *Store) Plain(platform ocispec.Platform, contents ...string) ocispec.Descriptor {
	config := ocispec.Image{
		Platform: platform,
		Config:   ocispec.ImageConfig{Cmd: []string{"/file"}, Labels: map[string]string{"maker": "testimage"}},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{}},
	}
	layers := []ocispec.Descriptor{}
	for _, content := range contents {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		must(w.WriteHeader(&tar.Header{Name: "file", Mode: 0o644, Size: int64(len(content)), Format: tar.FormatUSTAR}))
		must2(w.Write([]byte(content)))
		must(w.Close())
		layer := s.Put(ocispec.MediaTypeImageLayer, b.Bytes())
		layers = append(layers, layer)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, layer.Digest)
	}
	desc := s.JSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    s.JSON(ocispec.MediaTypeImageConfig, config),
		Layers:    layers,
	})
	desc.Platform = &platform
	return desc
}
