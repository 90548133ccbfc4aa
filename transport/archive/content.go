package archive

import (
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/tarindex"
)

// blob returns the entry of a blob of an OCI layout, and checks its size unless that is
// negative.
func (r *Reader) blob(desc ocispec.Descriptor) (tarindex.Member, error) {
	name, err := blobName(desc.Digest)
	if err != nil {
		return tarindex.Member{}, err
	}
	m, err := r.tar.Lookup(name)
	if err == nil {
		err = checkSize(desc, m.Size)
	}
	if err != nil {
		return m, fmt.Errorf("blob %s: %w", desc.Digest, err)
	}
	return m, nil
}

// document reads, verifies and decodes a manifest or list of an OCI layout.
func (r *Reader) document(desc ocispec.Descriptor) (image.Document, error) {
	data, err := r.small(desc, r.opts.Limits.DocumentBytes)
	if err != nil {
		return nil, err
	}
	doc, err := image.Decode(data, image.Declared{Descriptor: desc.MediaType}, r.opts.Limits)
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", desc.Digest, err)
	}
	return doc, nil
}

// small reads and verifies a blob of an OCI layout. Of one that has another size, or more
// than limit bytes, nothing is read.
func (r *Reader) small(desc ocispec.Descriptor, limit int64) ([]byte, error) {
	m, err := r.blob(desc)
	if err != nil {
		return nil, err
	}
	if m.Size > limit {
		return nil, fmt.Errorf("blob %s has %d bytes, the limit is %d: %w", desc.Digest, m.Size, limit, errdefs.ErrResourceExhausted)
	}
	data := make([]byte, m.Size)
	if _, err = io.ReadFull(r.tar.Open(m), data); err == nil {
		err = image.VerifyBytes(data, desc)
	}
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", desc.Digest, err)
	}
	return data, nil
}

// missing is the error for content that an image of an older archive does not have.
func missing(d digest.Digest) error {
	if _, err := image.ParseDigest(string(d)); err != nil {
		return err
	}
	return fmt.Errorf("%s is not of this image: %w", d, errdefs.ErrNotFound)
}
