package image

import (
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Annotations by which BuildKit marks a manifest in an index as an attestation,
// and names the manifest that it attests; and by which zstd instances are marked.
const (
	AnnotationReferenceType   = "vnd.docker.reference.type"
	AnnotationReferenceDigest = "vnd.docker.reference.digest"
	ReferenceTypeAttestation  = "attestation-manifest"
	AnnotationZstd            = "io.github.containers.compression.zstd"
)

// AttestationOf returns the digest of the manifest that the entry of an index
// attests, and whether the entry is an attestation at all: the digest is empty
// for one that does not say, or not validly.
func AttestationOf(entry ocispec.Descriptor) (digest.Digest, bool) {
	if entry.Annotations[AnnotationReferenceType] != ReferenceTypeAttestation {
		return "", false
	}
	d, err := ParseDigest(entry.Annotations[AnnotationReferenceDigest])
	if err != nil {
		return "", true
	}
	return d, true
}

// entryRole returns what an entry is to its list.
func entryRole(entry ocispec.Descriptor) Role {
	if IsList(entry.MediaType) {
		return RoleIndex
	}
	if !IsManifest(entry.MediaType) {
		return RoleOpaque
	}
	if _, attests := AttestationOf(entry); attests {
		return RoleAttestation
	}
	return RoleManifest
}
