package archive

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/once"
	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/transport"
)

// Source reads one image of an archive. Besides a transport.Source it is a
// transport.Referrers and a transport.Lister: what an archive that is an OCI layout has beside
// the image. An older one has no referrers.
//
// Its names are those of a layout; of a Docker archive the tags of the repository that the
// image is of, and those that stand for themselves.
type Source struct {
	label string
	find  func(ctx context.Context) (imageView, error)
	own   *Reader // to be closed; nil for none

	found *once.Step
	image imageView // when it was found
}

var (
	_ transport.Source    = (*Source)(nil)
	_ transport.Referrers = (*Source)(nil)
	_ transport.Lister    = (*Source)(nil)
)

// OpenSource opens an archive and the image in it that the reference means; see Open for what
// it reads, and for the errors. The caller closes the Source.
func OpenSource(ctx context.Context, ref Reference, opts Options) (*Source, error) {
	if err := errors.Join(ctx.Err(), ref.check()); err != nil {
		return nil, fmt.Errorf("opening %s: %w", ref, err)
	}
	r, err := Open(ctx, ref.Path, ref.Kind, opts)
	if err != nil {
		return nil, err
	}
	position, _ := ref.Position()
	find := func(ctx context.Context) (imageView, error) { return r.view.find(ctx, ref.Name, position) }
	return &Source{label: ref.String(), find: find, own: r, found: once.New()}, nil
}

// view returns the image. It is looked for once, and again only after a failure.
func (s *Source) view(ctx context.Context) (imageView, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err := s.found.Do(ctx, func() (err error) {
		s.image, err = s.find(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.image, nil
}

// Root returns what the reference means: the image with its name or at its position, or the
// only one. In an OCI layout that is chosen as in one that is a directory. Of an older archive
// it is a manifest that is made of the config and the layers, always the same: with digests
// that their bytes have, or that the config says they have. What has several images, and two
// of one name unless Options.LastWins is set, is errdefs.ErrInvalidArgument.
func (s *Source) Root(ctx context.Context) (ocispec.Descriptor, error) {
	image, err := s.view(ctx)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("resolving %s: %w", s.label, err)
	}
	return image.root(), nil
}

// Open returns the bytes of a blob in place. One whose size is not that of the descriptor is
// errdefs.ErrDataLoss, and an offset beyond it errdefs.ErrOutOfRange.
func (s *Source) Open(ctx context.Context, desc ocispec.Descriptor, from int64) (io.ReadCloser, error) {
	r, err := s.open(ctx, desc, from)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.label, err)
	}
	return r, nil
}

func (s *Source) open(ctx context.Context, desc ocispec.Descriptor, from int64) (io.ReadCloser, error) {
	image, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	section, err := image.open(desc)
	if err != nil {
		return nil, err
	}
	if from < 0 || from > section.Size() {
		return nil, fmt.Errorf("offset %d in %d bytes of %s: %w", from, section.Size(), desc.Digest, errdefs.ErrOutOfRange)
	}
	return io.NopCloser(io.NewSectionReader(section, from, section.Size()-from)), nil
}

// Referrers returns the descriptors of what refers to a subject, as that of a layout does.
func (s *Source) Referrers(ctx context.Context, subject digest.Digest) ([]ocispec.Descriptor, error) {
	image, err := s.view(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking for referrers in %s: %w", s.label, err)
	}
	found, err := image.referrers(ctx, subject)
	if err != nil {
		return nil, fmt.Errorf("looking for referrers in %s: %w", s.label, err)
	}
	return found, nil
}

// Names calls yield with each name, once and in the order of the archive, which need not be
// valid.
func (s *Source) Names(ctx context.Context, yield func(name string) bool) error {
	image, err := s.view(ctx)
	if err == nil {
		err = image.names(ctx, yield)
	}
	if err != nil {
		return fmt.Errorf("listing the names of %s: %w", s.label, err)
	}
	return nil
}

// Resolve returns what one of the names points at.
func (s *Source) Resolve(ctx context.Context, name string) (ocispec.Descriptor, error) {
	image, err := s.view(ctx)
	var desc ocispec.Descriptor
	if err == nil {
		desc, err = image.resolve(ctx, name)
	}
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("resolving %s in %s: %w", strictjson.Quote(name), s.label, err)
	}
	return desc, nil
}

// Close releases the archive, unless a Reader that stays open has it.
func (s *Source) Close() error {
	if s.own == nil {
		return nil
	}
	if err := s.own.Close(); err != nil {
		return fmt.Errorf("closing %s: %w", s.label, err)
	}
	return nil
}
