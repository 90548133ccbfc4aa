package image

import (
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Media types of the Docker family; those of OCI are in image-spec's package v1.
const (
	MediaTypeDockerSchema1       = "application/vnd.docker.distribution.manifest.v1+json"
	MediaTypeDockerSchema1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	MediaTypeDockerManifest      = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerList          = "application/vnd.docker.distribution.manifest.list.v2+json"
	MediaTypeDockerConfig        = "application/vnd.docker.container.image.v1+json"

	MediaTypeDockerLayer            = "application/vnd.docker.image.rootfs.diff.tar"
	MediaTypeDockerLayerGzip        = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	MediaTypeDockerLayerZstd        = "application/vnd.docker.image.rootfs.diff.tar.zstd"
	MediaTypeDockerForeignLayer     = "application/vnd.docker.image.rootfs.foreign.diff.tar"
	MediaTypeDockerForeignLayerGzip = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
)

// Role is what a node of an image's graph is to the node above it.
type Role string

// The roles.
const (
	RoleIndex       Role = "index"       // a list of manifests, OCI index or Docker list
	RoleManifest    Role = "manifest"    // an image or artifact
	RoleAttestation Role = "attestation" // a manifest in an index that attests another one there
	RoleConfig      Role = "config"      // a manifest's config
	RoleLayer       Role = "layer"       // a manifest's layer, or an artifact's blob
	RoleOpaque      Role = "opaque"      // an index entry of a media type that is not a document
)

// Limits bound what is accepted. A zero field stands for its default.
type Limits struct {
	DocumentBytes int64 // a manifest or list; 4 MiB
	ConfigBytes   int64 // an image config; 8 MiB
	Descriptors   int   // in one document; 10,000
	JSONDepth     int   // nesting of objects and arrays; 64
	GraphDepth    int   // lists above one another; 8
	GraphNodes    int   // descriptors in one graph; 100,000
	GraphBytes    int64 // all manifests and lists of one graph; 64 MiB
}

// Declared holds the media types under which a document's bytes came. Each that
// is not empty must agree with what the document says of itself.
type Declared struct {
	Descriptor string // the media type in the descriptor that led here
	Served     string // the Content-Type of the response, normalised
}

// Edge is one descriptor in a document, and what it is to the document.
type Edge struct {
	Desc ocispec.Descriptor
	Role Role
	// Index is the position among the document's edges of the same role, from 0;
	// index entries count together whatever their role.
	Index int
}

// Document is a decoded manifest or list: a *List, a *Manifest or a *Schema1.
// Documents are immutable and safe for concurrent use; slices and maps that they
// return belong to the caller.
type Document interface {
	// MediaType is the type that the bytes are, never empty.
	MediaType() string
	// Bytes are the exact bytes; they must not be changed.
	Bytes() []byte
	// Edges are all descriptors that belong to the image, in document order: the
	// config before the layers. The subject is not among them.
	Edges() []Edge
	// Subject is the manifest that this one refers to, or nil.
	Subject() *ocispec.Descriptor
	// ArtifactType is the document's own, or for a manifest without one its
	// config's media type where that is not an image config; empty for an image.
	ArtifactType() string
	// Annotations are the document's own; never nil.
	Annotations() map[string]string
}

// IsList reports whether the media type is that of an OCI index or Docker list.
func IsList(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == MediaTypeDockerList
}

// IsManifest reports whether the media type is that of an OCI, schema 2 or
// schema 1 manifest.
func IsManifest(mediaType string) bool {
	switch mediaType {
	case ocispec.MediaTypeImageManifest, MediaTypeDockerManifest, MediaTypeDockerSchema1, MediaTypeDockerSchema1Signed:
		return true
	}
	return false
}

// IsDocument reports whether the media type is that of a manifest or list.
func IsDocument(mediaType string) bool { return IsList(mediaType) || IsManifest(mediaType) }
