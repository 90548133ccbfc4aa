package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/once"
	"github.com/dhowhq/dhow/internal/tarindex"
)

// Reader reads the images of an archive. Its methods may be called concurrently, but for
// Close. Nothing of the archive is written anywhere under a name that it chooses, and reading
// it changes nothing.
type Reader struct {
	kind Kind
	opts Options
	in   *input
	tar  *tarindex.Index
	view view
}

// Image is one image of an archive.
type Image struct {
	// Root is its list or manifest.
	Root ocispec.Descriptor
	// Names are its full names with tags, as docker.io/library/busybox:latest, in the
	// order of the archive; nil for none. They are what the archive claims.
	Names []string
	// RefNames are the other names that index.json has for it, as they stand there.
	RefNames []string

	image imageView
	label string
}

// view is how the images of an archive are found.
type view interface {
	// images returns all of them.
	images(ctx context.Context) ([]Image, error)
	// find returns that of a name, or at a position if it is not negative, or the only one.
	find(ctx context.Context, name string, position int) (imageView, error)
}

// imageView is one image.
type imageView interface {
	root() ocispec.Descriptor
	// open returns the bytes of content, whole.
	open(desc ocispec.Descriptor) (*io.SectionReader, error)
	referrers(ctx context.Context, subject digest.Digest) ([]ocispec.Descriptor, error)
	names(ctx context.Context, yield func(name string) bool) error
	resolve(ctx context.Context, name string) (ocispec.Descriptor, error)
}

// Open opens the archive in a file. Of the kind Docker is whatever `docker load` takes: what
// Docker and others have written since the beginning, and OCI layouts; of the kind OCI are
// these alone. A file that is not compressed is read in place; another one, and what comes
// from a pipe or device, is staged first: see Options.TempDir.
//
// A file that is not there is errdefs.ErrNotFound. What is no such archive, or malformed,
// ambiguous or contradicts itself, is errdefs.ErrInvalidArgument, what is beyond a limit
// errdefs.ErrResourceExhausted, and what cannot be read, as a layer in xz, errdefs.ErrNotImplemented.
func Open(ctx context.Context, path string, kind Kind, opts Options) (*Reader, error) {
	r, err := openReader(ctx, path, kind, opts.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", Reference{Kind: kind, Path: path}, err)
	}
	return r, nil
}

func openReader(ctx context.Context, path string, kind Kind, opts Options) (*Reader, error) {
	in, stream, err := openPath(ctx, path)
	if err != nil {
		return nil, err
	}
	if stream == nil {
		return readInPlace(ctx, in, kind, opts)
	}
	r, err := readStream(ctx, stream, kind, opts)
	if err != nil && ctx.Err() != nil {
		return nil, err // whoever is left behind may still read the stream
	}
	if bad := stream.Close(); bad != nil && err == nil {
		return nil, errors.Join(bad, r.Close())
	}
	return r, err
}

// NewReader reads an archive from a stream, which it stages, or in place if the stream is an
// *os.File of a regular file and not compressed. That is then read from where it stands, and
// must stay open until the Reader is closed, which does not close it. Errors are those of
// Open. It returns when the context ends, but may leave a read of the stream behind.
func NewReader(ctx context.Context, stream io.Reader, kind Kind, opts Options) (*Reader, error) {
	r, err := readStream(ctx, stream, kind, opts.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("reading an archive: %w", err)
	}
	return r, nil
}

func readStream(ctx context.Context, stream io.Reader, kind Kind, opts Options) (*Reader, error) {
	if f, ok := stream.(*os.File); ok {
		in, err := regular(f)
		if err != nil {
			return nil, err
		}
		if in != nil {
			return readInPlace(ctx, in, kind, opts)
		}
	}
	in, err := unpack(ctx, stream, opts)
	if err != nil {
		return nil, err
	}
	return newReader(ctx, in, kind, opts)
}

// readInPlace takes the input over.
func readInPlace(ctx context.Context, in *input, kind Kind, opts Options) (*Reader, error) {
	plain, err := in.prepare(ctx, opts)
	if err != nil {
		return nil, errors.Join(err, in.close())
	}
	return newReader(ctx, plain, kind, opts)
}

// NewReaderAt reads an archive in place, the first size bytes of r, unless it is compressed.
// Errors are those of Open.
func NewReaderAt(ctx context.Context, r io.ReaderAt, size int64, kind Kind, opts Options) (*Reader, error) {
	reader, err := readInPlace(ctx, &input{at: r, size: size}, kind, opts.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("reading an archive: %w", err)
	}
	return reader, nil
}

// newReader takes the input over.
func newReader(ctx context.Context, in *input, kind Kind, opts Options) (*Reader, error) {
	r := &Reader{kind: kind, opts: opts, in: in}
	if err := r.index(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// index finds out what there is.
func (r *Reader) index(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.in.size == 0 {
		return fmt.Errorf("it is empty: %w", errdefs.ErrInvalidArgument)
	}
	var err error
	if r.tar, err = tarindex.Read(ctx, io.NewSectionReader(r.in.at, r.in.offset, r.in.size), r.in.size); err != nil {
		return err
	}
	r.view, err = r.newView(ctx)
	return err
}

// newView tells by the files of the archive what it is.
func (r *Reader) newView(ctx context.Context) (view, error) {
	switch {
	case r.tar.Has(ocispec.ImageLayoutFile):
		return newLayoutView(ctx, r)
	case r.kind == OCI && r.tar.Has(manifestFile):
		return nil, fmt.Errorf("not an OCI image layout: no file %s; as docker-archive: it can be read: %w", ocispec.ImageLayoutFile, errdefs.ErrInvalidArgument)
	case r.kind == OCI:
		return nil, fmt.Errorf("not an OCI image layout: no file %s: %w", ocispec.ImageLayoutFile, errdefs.ErrInvalidArgument)
	case r.tar.Has(manifestFile):
		return newDockerView(r)
	}
	return newLegacyView(ctx, r)
}

// Images returns the images of the archive: of an OCI layout what counts as one, so no
// referrers or signatures, but what they belong to. Where the archive is older than digests of
// layers, compressed layers are read here, and checked against the diff IDs of their configs.
func (r *Reader) Images(ctx context.Context) ([]Image, error) {
	images, err := r.view.images(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the images of an archive: %w", err)
	}
	for i := range images {
		images[i].label = r.kind.String()
	}
	return images, nil
}

// Close ends reading, also by what Source returned.
func (r *Reader) Close() error { return r.in.close() }

// Source returns a source of the image. It is good as long as the Reader is open, and need
// not be closed.
func (im Image) Source() *Source {
	return &Source{label: im.label, find: func(context.Context) (imageView, error) { return im.image, nil }, found: once.New()}
}
