package service

import (
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Presence says how much of something is in the store.
type Presence string

// The presences.
const (
	Absent   Presence = "absent"   // the manifest is not there
	Partial  Presence = "partial"  // the manifest is, but not its config or some layer
	Complete Presence = "complete" // all of it is there
)

// Kind is what a manifest in an image is.
type Kind string

// The kinds.
const (
	KindImage       Kind = "image"
	KindAttestation Kind = "attestation" // says something of another manifest
	KindUnknown     Kind = "unknown"     // no image: an artifact, or of the platform unknown/unknown
)

// Instance is one manifest of an image, as it is in the store.
type Instance struct {
	// Descriptor is the manifest's as its list has it, or the target's.
	Descriptor ocispec.Descriptor
	Kind       Kind
	// For is the digest of the manifest that an attestation is about.
	For digest.Digest
	// Platform is what the list says, or else the config; nil where neither does.
	Platform *ocispec.Platform
	// Config is the digest of the image's config; empty where the manifest is absent or
	// is not an image's.
	Config digest.Digest
	// Presence is how much of it is there, and Missing what is not: the manifest, or
	// the config and the layers.
	Presence Presence
	Missing  []ocispec.Descriptor
	// Content is the size of what is there of manifest, config and layers, in bytes;
	// Total is that of all of them, as far as it is known.
	Content, Total int64
}
