package image

import (
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// Media types of layers that are not to be pushed. OCI has deprecated them; they
// are still met.
const (
	ociForeignLayer     = "application/vnd.oci.image.layer.nondistributable.v1.tar"
	ociForeignLayerGzip = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
	ociForeignLayerZstd = "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
)

// encryptedSuffix marks an encrypted layer, behind the media type of its content.
const encryptedSuffix = "+encrypted"

// layerTypes are the media types of layers that both forms have.
var layerTypes = [...]struct{ oci, docker string }{
	{ocispec.MediaTypeImageLayer, MediaTypeDockerLayer},
	{ocispec.MediaTypeImageLayerGzip, MediaTypeDockerLayerGzip},
	{ociForeignLayer, MediaTypeDockerForeignLayer},
	{ociForeignLayerGzip, MediaTypeDockerForeignLayerGzip},
}

// dockerLayer returns the media type for a layer in a schema 2 manifest.
func dockerLayer(mediaType string) (string, error) {
	for _, t := range layerTypes {
		if mediaType == t.oci || mediaType == t.docker {
			return t.docker, nil
		}
	}
	switch {
	case strings.HasSuffix(mediaType, encryptedSuffix):
		return "", fmt.Errorf("encrypted layers (%s) are not supported for Docker images: %w", strictjson.Quote(mediaType), errdefs.ErrNotImplemented)
	case mediaType == MediaTypeDockerLayerZstd, mediaType == ocispec.MediaTypeImageLayerZstd, mediaType == ociForeignLayerZstd:
		return "", fmt.Errorf("zstd layers (%s) are not supported for Docker images: %w", strictjson.Quote(mediaType), errdefs.ErrNotImplemented)
	}
	return "", unknownLayer(mediaType)
}

// ociLayer returns the media type for a layer in an OCI manifest.
func ociLayer(mediaType string) (string, error) {
	if mediaType == MediaTypeDockerLayerZstd {
		return ocispec.MediaTypeImageLayerZstd, nil
	}
	plain := strings.TrimSuffix(mediaType, encryptedSuffix)
	for _, t := range layerTypes {
		if mediaType == t.docker {
			return t.oci, nil
		}
		if plain == t.oci {
			return mediaType, nil
		}
	}
	if plain == ocispec.MediaTypeImageLayerZstd || plain == ociForeignLayerZstd {
		return mediaType, nil
	}
	return "", unknownLayer(mediaType)
}

func unknownLayer(mediaType string) error {
	return fmt.Errorf("layers of media type %s are not supported: %w", strictjson.Quote(mediaType), errdefs.ErrNotImplemented)
}
