// Package testimage makes small, real, reproducible images in memory: layers are
// gzipped tars, configs carry their diff IDs, and all documents are valid. Tests
// and examples write them where they are needed.
package testimage

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
)

// Created is the creation time in every config.
const Created = "2024-05-06T07:08:09Z"

// Store holds blobs by digest. Its zero value is ready for use, and it is safe
// for concurrent use.
type Store struct {
	mu    sync.RWMutex
	blobs map[digest.Digest][]byte
	// Algorithm is that of all digests; empty means sha256.
	Algorithm digest.Algorithm
}

// Put adds a blob and returns its descriptor.
func (s *Store) Put(mediaType string, data []byte) ocispec.Descriptor {
	alg := s.Algorithm
	if alg == "" {
		alg = digest.Canonical
	}
	d := alg.FromBytes(data)
	s.Set(d, data)
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(data))}
}

// Set stores bytes under a digest, whether they match it or not.
func (s *Store) Set(d digest.Digest, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blobs == nil {
		s.blobs = map[digest.Digest][]byte{}
	}
	s.blobs[d] = data
}

// Delete forgets a blob.
func (s *Store) Delete(d digest.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.blobs, d)
}

// Get returns the bytes of a blob, or nil.
func (s *Store) Get(d digest.Digest) []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.blobs[d]
}

// Digests returns the digests of all blobs, sorted.
func (s *Store) Digests() []digest.Digest {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]digest.Digest, 0, len(s.blobs))
	for d := range s.blobs {
		all = append(all, d)
	}
	slices.Sort(all)
	return all
}

// Fetch returns the bytes of a descriptor, or errdefs.ErrNotFound.
func (s *Store) Fetch(_ context.Context, desc ocispec.Descriptor) ([]byte, error) {
	if data := s.Get(desc.Digest); data != nil {
		return data, nil
	}
	return nil, fmt.Errorf("blob %s: %w", desc.Digest, errdefs.ErrNotFound)
}

// Open returns a reader of a descriptor's bytes, as transport.Source does.
func (s *Store) Open(ctx context.Context, desc ocispec.Descriptor, from int64) (io.ReadCloser, error) {
	data, err := s.Fetch(ctx, desc)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(data[min(from, int64(len(data))):])), nil
}

// Opener returns what opens a descriptor's bytes, as a transport.Opener does.
func (s *Store) Opener(desc ocispec.Descriptor) func(ctx context.Context, from int64) (io.ReadCloser, error) {
	return func(ctx context.Context, from int64) (io.ReadCloser, error) { return s.Open(ctx, desc, from) }
}

// JSON adds a document and returns its descriptor.
func (s *Store) JSON(mediaType string, v any) ocispec.Descriptor {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // only tests call this, with values that can be encoded
	}
	return s.Put(mediaType, data)
}

// Layer adds a gzipped tar of one file with about size seeded random bytes, and
// returns its descriptor and diff ID.
func (s *Store) Layer(name string, size int) (ocispec.Descriptor, digest.Digest) {
	content := make([]byte, size)
	var seed [32]byte
	copy(seed[:], name)
	_, _ = rand.NewChaCha8(seed).Read(content)

	var raw bytes.Buffer
	w := tar.NewWriter(&raw)
	must(w.WriteHeader(&tar.Header{Name: "data/" + name, Mode: 0o644, Size: int64(size), Format: tar.FormatPAX}))
	must2(w.Write(content))
	must(w.Close())

	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.NoCompression) // random bytes do not get smaller
	must(err)
	must2(z.Write(raw.Bytes()))
	must(z.Close())
	return s.Put(ocispec.MediaTypeImageLayerGzip, packed.Bytes()), digest.FromBytes(raw.Bytes())
}

func must(err error) {
	if err != nil {
		panic(err) // writing to memory does not fail
	}
}

func must2(_ int, err error) { must(err) }

// Family chooses the media types of the documents.
type Family int

// The families.
const (
	OCI Family = iota
	Docker
)

// Image describes an image to be made.
type Image struct {
	Family   Family
	Platform ocispec.Platform
	// Layers is the number of layers; 0 means 1.
	Layers int
	// LayerSize is the size of a layer's file in bytes; 0 means 512.
	LayerSize int
	// Name makes the layers differ from those of other images of the platform.
	Name string
	// Annotations are those of the manifest; a Docker manifest has none.
	Annotations map[string]string
}

// Image adds an image and returns the descriptor of its manifest, with the
// platform as an index wants it.
func (s *Store) Image(im Image) ocispec.Descriptor {
	config := ocispec.Image{
		Platform: im.Platform,
		Config:   ocispec.ImageConfig{Env: []string{"PATH=/bin"}, Cmd: []string{"/data"}},
		RootFS:   ocispec.RootFS{Type: "layers"},
	}
	size := im.LayerSize
	if size == 0 {
		size = 512
	}
	var layers []ocispec.Descriptor
	for i := range max(im.Layers, 1) {
		name := fmt.Sprintf("%s%s%s%s%d", im.Name, im.Platform.OS, im.Platform.Architecture, im.Platform.Variant, i)
		desc, diffID := s.Layer(name, size)
		if im.Family == Docker {
			desc.MediaType = image.MediaTypeDockerLayerGzip
		}
		layers = append(layers, desc)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, diffID)
		config.History = append(config.History, ocispec.History{CreatedBy: "layer " + name})
	}
	configType, manifestType := ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageManifest
	if im.Family == Docker {
		configType, manifestType = image.MediaTypeDockerConfig, image.MediaTypeDockerManifest
	}
	desc := s.JSON(manifestType, ocispec.Manifest{
		Versioned:   specs.Versioned{SchemaVersion: 2},
		MediaType:   manifestType,
		Config:      s.JSON(configType, config),
		Layers:      layers,
		Annotations: im.Annotations,
	})
	p := im.Platform
	desc.Platform = &p
	return desc
}

// Index adds an OCI index of the entries and returns its descriptor.
func (s *Store) Index(entries ...ocispec.Descriptor) ocispec.Descriptor {
	if entries == nil {
		entries = []ocispec.Descriptor{}
	}
	return s.JSON(ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: entries,
	})
}

// List adds a Docker manifest list of the entries and returns its descriptor.
func (s *Store) List(entries ...ocispec.Descriptor) ocispec.Descriptor {
	return s.JSON(image.MediaTypeDockerList, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: image.MediaTypeDockerList,
		Manifests: entries,
	})
}

// Attestation adds a manifest as BuildKit makes them, with one in-toto layer that
// attests the instance, and returns its entry for the index.
func (s *Store) Attestation(of ocispec.Descriptor) ocispec.Descriptor {
	statement := s.Put("application/vnd.in-toto+json",
		fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v0.1","subject":[{"digest":{%q:%q}}]}`, of.Digest.Algorithm(), of.Digest.Encoded()))
	config := s.JSON(ocispec.MediaTypeImageConfig, ocispec.Image{
		Platform: ocispec.Platform{OS: "unknown", Architecture: "unknown"},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{statement.Digest}},
	})
	desc := s.JSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    config,
		Layers:    []ocispec.Descriptor{statement},
	})
	desc.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	desc.Annotations = map[string]string{
		image.AnnotationReferenceType:   image.ReferenceTypeAttestation,
		image.AnnotationReferenceDigest: of.Digest.String(),
	}
	return desc
}

// Referrer adds an artifact manifest that refers to the subject and returns its
// descriptor, with the artifact type.
func (s *Store) Referrer(subject ocispec.Descriptor, artifactType, payload string) ocispec.Descriptor {
	desc := s.JSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: artifactType,
		Config:       s.Put(ocispec.MediaTypeEmptyJSON, []byte("{}")),
		Layers:       []ocispec.Descriptor{s.Put("application/octet-stream", []byte(payload))},
		Subject:      &ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
	})
	desc.ArtifactType = artifactType
	return desc
}

// CosignTag adds a manifest as cosign attaches it to an image by a tag, and
// returns the tag and the manifest's descriptor. kind is sig, att or sbom.
func (s *Store) CosignTag(of ocispec.Descriptor, kind string) (string, ocispec.Descriptor) {
	return fmt.Sprintf("%s-%s.%s", of.Digest.Algorithm(), of.Digest.Encoded(), kind), s.CosignPayloadOf(of.Digest)
}

// CosignPayloadOf adds a manifest whose only layer is a payload, as cosign signs
// it, about that digest.
func (s *Store) CosignPayloadOf(d digest.Digest) ocispec.Descriptor {
	payload := s.Put("application/vnd.dev.cosign.simplesigning.v1+json",
		fmt.Appendf(nil, `{"critical":{"image":{"docker-manifest-digest":%q}}}`, d))
	return s.JSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config: s.JSON(ocispec.MediaTypeImageConfig, ocispec.Image{
			RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{payload.Digest}},
		}),
		Layers: []ocispec.Descriptor{payload},
	})
}
