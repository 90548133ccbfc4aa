package oci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/ocilayout"
	"github.com/dhowhq/dhow/transport"
)

// Source reads an image of a layout. It sees index.json as it was when it was
// opened. Besides a transport.Source it is a transport.Referrers and a
// transport.Lister.
type Source struct {
	ref   Reference
	opts  Options
	root  *os.Root
	blobs blobs
	index *ocilayout.Index
}

var (
	_ transport.Source    = (*Source)(nil)
	_ transport.Referrers = (*Source)(nil)
	_ transport.Lister    = (*Source)(nil)
)

// OpenSource opens a layout for reading. A directory that is not there is
// errdefs.ErrNotFound, one that is no valid layout errdefs.ErrInvalidArgument.
func OpenSource(ctx context.Context, ref Reference, opts Options) (*Source, error) {
	s := &Source{ref: ref, opts: opts.withDefaults()}
	if err := s.open(ctx); err != nil {
		return nil, fmt.Errorf("opening oci:%s: %w", ref, errors.Join(err, s.Close()))
	}
	return s, nil
}

func (s *Source) open(ctx context.Context) error {
	if err := errors.Join(ctx.Err(), s.ref.check()); err != nil {
		return err
	}
	root, err := openRoot(s.ref.Path)
	if err != nil {
		return err
	}
	s.root = root
	s.blobs = blobs{root: root, base: ocispec.ImageBlobsDir}
	if err := checkMarker(root); err != nil {
		return err
	}
	list, err := readIndex(root, s.opts.Limits)
	if err != nil {
		return err
	}
	if s.opts.SharedBlobs != "" {
		shared, err := openRoot(s.opts.SharedBlobs)
		if err != nil {
			return fmt.Errorf("shared blobs: %w", err)
		}
		s.blobs = blobs{root: shared}
	}
	s.index = ocilayout.NewIndex(list, func(desc ocispec.Descriptor) (image.Document, error) { return s.blobs.document(desc, s.opts.Limits) },
		ocilayout.Options{Limits: s.opts.Limits, LastWins: s.opts.LastWins, Where: s.ref.Path, Logger: s.opts.Logger})
	return nil
}

// openRoot opens a directory that a user named. One that is not there is
// errdefs.ErrNotFound, something else under its name errdefs.ErrFailedPrecondition.
func openRoot(path string) (*os.Root, error) {
	root, err := os.OpenRoot(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no directory %s: %w", path, errdefs.ErrNotFound)
	}
	if info, statErr := os.Stat(path); err != nil && statErr == nil && !info.IsDir() {
		return nil, fmt.Errorf("%w: %w", err, errdefs.ErrFailedPrecondition)
	}
	return root, err
}

// Open returns the bytes of a blob, or of index.json if Root has said that it is
// the image. A file whose size is not that of the descriptor is
// errdefs.ErrDataLoss, one that is not a regular file
// errdefs.ErrInvalidArgument.
func (s *Source) Open(ctx context.Context, desc ocispec.Descriptor, from int64) (io.ReadCloser, error) {
	r, err := s.openAt(ctx, desc, from)
	if err != nil {
		return nil, fmt.Errorf("oci:%s: %w", s.ref, err)
	}
	return r, nil
}

func (s *Source) openAt(ctx context.Context, desc ocispec.Descriptor, from int64) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if self, ok := s.index.Self(desc.Digest); ok {
		if err := checkOffset(from, int64(len(self))); err != nil {
			return nil, err
		}
		return io.NopCloser(bytes.NewReader(self[from:])), nil
	}
	f, err := s.blobs.open(desc)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = checkOffset(from, info.Size())
	}
	if err == nil {
		_, err = f.Seek(from, io.SeekStart)
	}
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", desc.Digest, errors.Join(err, f.Close()))
	}
	return f, nil
}

func checkOffset(from, size int64) error {
	if from < 0 || from > size {
		return fmt.Errorf("offset %d in %d bytes: %w", from, size, errdefs.ErrOutOfRange)
	}
	return nil
}

// Close releases the layout. Readers that are open stay good.
func (s *Source) Close() error {
	var errs []error
	for _, root := range []*os.Root{s.root, s.blobs.root} {
		if root != nil {
			errs = append(errs, root.Close())
		}
	}
	return errors.Join(errs...)
}
