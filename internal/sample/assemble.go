package main

import (
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
)

const (
	mediaTypeInToto = "application/vnd.in-toto+json"
	mediaTypeSPDX   = "application/spdx+json"
	predicateSLSA   = "https://slsa.dev/provenance/v0.2"
)

// assemble makes the image of the programs, with an attestation for the first two
// of them, and an SBOM that refers to it.
func assemble(store *testimage.Store, programs []program) (root, sbom ocispec.Descriptor, err error) {
	var entries, attestations []ocispec.Descriptor
	for i, p := range programs {
		entry, err := addImage(store, p)
		if err != nil {
			return root, sbom, err
		}
		entries = append(entries, entry)
		if i < 2 {
			attestation, err := addAttestation(store, entry)
			if err != nil {
				return root, sbom, err
			}
			attestations = append(attestations, attestation)
		}
	}
	root = store.Index(append(entries, attestations...)...)
	sbom, err = addSBOM(store, root)
	return root, sbom, err
}

// addImage puts the image of one platform into the store.
func addImage(store *testimage.Store, p program) (ocispec.Descriptor, error) {
	layers, err := addLayers(store, p)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	created := built()
	config := ocispec.Image{
		Created:  &created,
		Platform: p.platform,
		Config: ocispec.ImageConfig{
			Entrypoint: []string{"/hello"},
			User:       "1000:1000",
			WorkingDir: "/",
			Labels:     map[string]string{ocispec.AnnotationTitle: "hello"},
		},
		RootFS: ocispec.RootFS{Type: "layers"},
	}
	if p.platform.OS == "windows" {
		config.Config.Entrypoint, config.Config.User, config.Config.WorkingDir = []string{`C:\hello.exe`}, "ContainerUser", `C:\`
	}
	var descs []ocispec.Descriptor
	for _, l := range layers {
		descs = append(descs, l.desc)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.diffID)
		config.History = append(config.History, ocispec.History{Created: &created, CreatedBy: l.made})
	}
	desc := addManifest(store, ocispec.Manifest{Config: store.JSON(ocispec.MediaTypeImageConfig, config), Layers: descs})
	desc.Platform = &p.platform
	return desc, nil
}

// addManifest puts a manifest into the store, with what every one of them says.
func addManifest(store *testimage.Store, m ocispec.Manifest) ocispec.Descriptor {
	m.Versioned = specs.Versioned{SchemaVersion: 2}
	m.MediaType = ocispec.MediaTypeImageManifest
	return store.JSON(m.MediaType, m)
}

// addAttestation puts the provenance of an instance into the store, in the form
// in which BuildKit adds it to an index.
func addAttestation(store *testimage.Store, of ocispec.Descriptor) (ocispec.Descriptor, error) {
	statement, err := json.Marshal(map[string]any{
		"_type":         "https://in-toto.io/Statement/v0.1",
		"predicateType": predicateSLSA,
		"subject": []any{map[string]any{
			"name":   fmt.Sprintf("pkg:docker/hello@latest?platform=%s%%2F%s", of.Platform.OS, of.Platform.Architecture),
			"digest": map[string]string{of.Digest.Algorithm().String(): of.Digest.Encoded()},
		}},
		"predicate": map[string]any{
			"builder":   map[string]string{"id": ""},
			"buildType": "https://go.dev/cmd/go",
			"materials": []any{map[string]string{"uri": "pkg:golang/std@" + runtime.Version()}},
		},
	})
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("encoding the attestation of %s: %w", of.Digest, err)
	}
	blob := store.Put(mediaTypeInToto, statement)
	blob.Annotations = map[string]string{"in-toto.io/predicate-type": predicateSLSA}
	unknown := ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	desc := addManifest(store, ocispec.Manifest{
		Config: store.JSON(ocispec.MediaTypeImageConfig, ocispec.Image{
			Platform: unknown,
			RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{blob.Digest}},
		}),
		Layers: []ocispec.Descriptor{blob},
	})
	desc.Platform = &unknown
	desc.Annotations = map[string]string{
		image.AnnotationReferenceType:   image.ReferenceTypeAttestation,
		image.AnnotationReferenceDigest: of.Digest.String(),
	}
	return desc, nil
}

// addSBOM puts an artifact into the store that refers to the image.
func addSBOM(store *testimage.Store, subject ocispec.Descriptor) (ocispec.Descriptor, error) {
	created := built().Format("2006-01-02T15:04:05Z")
	doc, err := json.Marshal(map[string]any{
		"spdxVersion":       "SPDX-2.3",
		"SPDXID":            "SPDXRef-DOCUMENT",
		"name":              "hello",
		"dataLicense":       "CC0-1.0",
		"documentNamespace": "https://example.com/spdx/hello",
		"creationInfo":      map[string]any{"created": created, "creators": []string{"Tool: sample"}},
		"packages": []any{map[string]any{
			"name": "std", "SPDXID": "SPDXRef-std", "versionInfo": runtime.Version(),
			"downloadLocation": "https://go.dev/dl/", "filesAnalyzed": false,
		}},
	})
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("encoding the SBOM: %w", err)
	}
	desc := addManifest(store, ocispec.Manifest{
		ArtifactType: mediaTypeSPDX,
		Config:       store.Put(ocispec.MediaTypeEmptyJSON, []byte("{}")),
		Layers:       []ocispec.Descriptor{store.Put(mediaTypeSPDX, doc)},
		Subject:      &subject,
		Annotations:  map[string]string{ocispec.AnnotationCreated: created},
	})
	desc.ArtifactType = mediaTypeSPDX
	return desc, nil
}
