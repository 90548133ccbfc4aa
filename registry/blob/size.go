package blob

import (
	"context"
	"net/http"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
)

// sized returns the descriptor with the size that the registry says the blob has, if
// the descriptor does not: schema 1 manifests do not know it.
func (r *Repository) sized(ctx context.Context, desc ocispec.Descriptor) (ocispec.Descriptor, error) {
	if desc.Size >= 0 {
		return desc, nil
	}
	d, err := image.ParseDigest(string(desc.Digest))
	if err != nil {
		return desc, err
	}
	if desc.Size, err = r.size(ctx, d); err != nil {
		return desc, (&source{repo: r, desc: desc}).failed(err)
	}
	return desc, nil
}

// size asks how large a blob is.
func (r *Repository) size(ctx context.Context, d digest.Digest) (int64, error) {
	resp, err := send(ctx, r.clients.Control, http.MethodHead, r.blobURL(d))
	if err != nil {
		return 0, err
	}
	defer drain(resp)
	if err := accept(resp, http.StatusOK); err != nil {
		return 0, err
	}
	if resp.ContentLength < 0 {
		return 0, answerError("an answer to HEAD without Content-Length")
	}
	return resp.ContentLength, nil
}
