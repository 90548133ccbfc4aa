package copy

import (
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/transport"
)

// acceptsOf returns what a destination can hold.
func acceptsOf(dst transport.Destination) transport.Accepts {
	var acc transport.Accepts
	if a, ok := dst.(transport.Acceptor); ok {
		acc = a.Accepts()
	}
	if _, ok := dst.(transport.SignatureWriter); !ok && acc.NoSignatures == "" {
		acc.NoSignatures = "the destination keeps no signatures"
	}
	return acc
}

// targetType returns the type that a manifest or list of a type is written in:
// what the format demands; else its own type, if the destination takes it; else
// the first of the destination's types for such a document.
func targetType(current string, acc transport.Accepts, format Format) (string, error) {
	takes := func(t string) bool { return len(acc.Types) == 0 || slices.Contains(acc.Types, t) }
	if t := formatType(current, format); t != "" {
		if !takes(t) {
			return "", fmt.Errorf("the destination does not take %s: %w", t, errdefs.ErrNotImplemented)
		}
		return t, nil
	}
	if takes(current) || !image.IsDocument(current) {
		return current, nil
	}
	for _, t := range acc.Types {
		if image.IsList(t) == image.IsList(current) {
			return t, nil
		}
	}
	return "", fmt.Errorf("the destination takes nothing that %s could become: %w", current, errdefs.ErrNotImplemented)
}

// formatType is the type that a format has for a document of a type; empty for
// none.
func formatType(current string, format Format) string {
	list := image.IsList(current)
	switch {
	case !list && !image.IsManifest(current):
		return ""
	case format == OCI && list:
		return ocispec.MediaTypeImageIndex
	case format == OCI:
		return ocispec.MediaTypeImageManifest
	case format == Docker && list:
		return image.MediaTypeDockerList
	case format == Docker:
		return image.MediaTypeDockerManifest
	}
	return ""
}
