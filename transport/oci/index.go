package oci

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// Root returns what the reference means: the entry of index.json with its name
// or at its position. A reference without either means the only image of the
// layout. Referrers, and what is tagged as belonging to a digest, do not count
// as images. If all others are manifests without a name, for a platform each and
// no two for the same one, index.json itself is the image, without those that do
// not count.
//
// A name that two entries claim is errdefs.ErrInvalidArgument unless they are
// equal or Options.LastWins is set. An entry that is not a manifest or list is
// errdefs.ErrNotImplemented.
func (s *Source) Root(ctx context.Context) (ocispec.Descriptor, error) {
	position, _ := s.ref.Position()
	desc, err := s.index.Root(ctx, s.ref.Name, position)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("resolving oci:%s: %w", s.ref, err)
	}
	return desc, nil
}

// Referrers returns, in the order of index.json, its entries whose documents
// have that subject, and the entries of the index that the tag ALGORITHM-HEX of
// the subject names, as registries without a referrers API have it. Entries that
// cannot be read, or have more than Limits.DocumentBytes, are logged and passed
// over. To find them all, documents of up to 1 GiB in sum are read, once; that
// there are more is logged.
func (s *Source) Referrers(ctx context.Context, subject digest.Digest) ([]ocispec.Descriptor, error) {
	found, err := s.index.Referrers(ctx, subject)
	if err != nil {
		return nil, fmt.Errorf("looking for referrers in oci:%s: %w", s.ref, err)
	}
	return found, nil
}

// Names calls yield with each ref.name of index.json, once and in its order.
// Names come from the layout and need not be valid.
func (s *Source) Names(ctx context.Context, yield func(name string) bool) error {
	return s.index.Names(ctx, yield)
}

// Resolve returns what a ref.name of index.json points at; see Root for the
// errors.
func (s *Source) Resolve(ctx context.Context, name string) (ocispec.Descriptor, error) {
	desc, err := s.index.Resolve(ctx, name)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("resolving %s in the layout %s: %w", strictjson.Quote(name), s.ref.Path, err)
	}
	return desc, nil
}
