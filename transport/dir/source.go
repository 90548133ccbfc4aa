package dir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/rootfile"
	"github.com/dhowhq/dhow/transport"
)

// Source reads the image of a directory. It is a transport.Source that also
// knows referrers (transport.Referrers) and signatures
// (transport.SignatureReader).
//
// It sees one image: the root is read once, and where another image has replaced
// it since then, what is gone is errdefs.ErrNotFound or, for signatures,
// errdefs.ErrFailedPrecondition. Only regular files of the directory itself are
// opened, and no symbolic link is followed.
type Source struct {
	ref  Reference
	opts Options
	root *os.Root

	mu        sync.Mutex
	image     *document // what manifest.json held, once it was read
	referrers map[digest.Digest][]ocispec.Descriptor
}

var (
	_ transport.Source          = (*Source)(nil)
	_ transport.Referrers       = (*Source)(nil)
	_ transport.SignatureReader = (*Source)(nil)
)

// OpenSource opens a directory for reading. A directory that is not there is
// errdefs.ErrNotFound. One without a version file is taken for one of this
// format; one with a malformed version is errdefs.ErrInvalidArgument, and a
// version above 1.2 errdefs.ErrNotImplemented. The caller closes the Source.
func OpenSource(ctx context.Context, ref Reference, opts Options) (*Source, error) {
	if err := ref.check(ctx); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(ref.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("there is none: %w", errdefs.ErrNotFound)
	}
	if err != nil {
		return nil, ref.at("opening the directory", err)
	}
	if _, err := readVersion(root); err != nil && !errdefs.IsNotFound(err) {
		return nil, errors.Join(ref.at("opening the directory", err), root.Close())
	}
	return &Source{ref: ref, opts: opts.withDefaults(), root: root}, nil
}

// Root returns the descriptor of manifest.json. No manifest.json is
// errdefs.ErrNotFound; one that is neither a manifest nor a list is
// errdefs.ErrInvalidArgument.
func (s *Source) Root(ctx context.Context) (ocispec.Descriptor, error) {
	doc, err := s.load(ctx)
	if err != nil {
		return ocispec.Descriptor{}, s.ref.at("reading the image", err)
	}
	return doc.desc, nil
}

// load returns the root. It reads it once, and again only after a failure.
func (s *Source) load(ctx context.Context) (document, error) {
	if err := ctx.Err(); err != nil {
		return document{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.image == nil {
		doc, err := readRoot(s.root, s.opts.Limits)
		if errdefs.IsNotFound(err) {
			err = fmt.Errorf("this is no image directory: %w", err)
		}
		if err != nil {
			return document{}, err
		}
		s.image = &doc
	}
	return *s.image, nil
}

// Open implements transport.Source. The media type says whether the content is
// looked for among the manifests first or among the blobs. A manifest beyond
// Limits.DocumentBytes is errdefs.ErrResourceExhausted, what has the name of the
// content but is not a regular file errdefs.ErrInvalidArgument, and an offset
// beyond the content errdefs.ErrOutOfRange.
func (s *Source) Open(ctx context.Context, desc ocispec.Descriptor, from int64) (io.ReadCloser, error) {
	d, err := image.ParseDigest(string(desc.Digest))
	if err != nil {
		return nil, s.ref.at("opening content", err)
	}
	content, err := s.open(ctx, desc.MediaType, d)
	if err != nil {
		return nil, s.ref.at("opening "+d.String(), err)
	}
	size, err := content.Seek(0, io.SeekEnd)
	if err == nil && (from < 0 || from > size) {
		err = fmt.Errorf("offset %d in %d bytes: %w", from, size, errdefs.ErrOutOfRange)
	}
	if err == nil {
		_, err = content.Seek(from, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(s.ref.at("opening "+d.String(), err), content.Close())
	}
	return content, nil
}

func (s *Source) open(ctx context.Context, mediaType string, d digest.Digest) (io.ReadSeekCloser, error) {
	doc, rootErr := s.load(ctx)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if rootErr == nil && doc.desc.Digest == d {
		return nopCloser{bytes.NewReader(doc.data)}, nil
	}
	for _, name := range contentNames(mediaType, d) {
		f, err := rootfile.Open(s.root, name)
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if name == manifestName(d) {
			if err := s.checkLength(f); err != nil {
				return nil, errors.Join(err, f.Close())
			}
		}
		return f, nil
	}
	if rootErr != nil && !errdefs.IsNotFound(rootErr) {
		return nil, rootErr // the content may be the root
	}
	return nil, fmt.Errorf("it is not in the directory: %w", errdefs.ErrNotFound)
}

// checkLength refuses a manifest that is too large.
func (s *Source) checkLength(f *os.File) error {
	info, err := f.Stat()
	if err == nil && info.Size() > s.opts.Limits.DocumentBytes {
		err = fmt.Errorf("%s has %d bytes, the limit for a manifest is %d: %w", info.Name(), info.Size(), s.opts.Limits.DocumentBytes, errdefs.ErrResourceExhausted)
	}
	return err
}

// Signatures implements transport.SignatureReader. More than 128 signatures, one
// of more than 4 MiB and more than 16 MiB together are
// errdefs.ErrResourceExhausted.
func (s *Source) Signatures(ctx context.Context, manifest digest.Digest) ([]transport.Signature, error) {
	d, err := image.ParseDigest(string(manifest))
	if err != nil {
		return nil, s.ref.at("reading signatures", err)
	}
	doc, err := s.load(ctx)
	if err != nil {
		return nil, s.ref.at("reading the signatures of "+d.String(), err)
	}
	var sigs []transport.Signature
	if d == doc.desc.Digest {
		sigs, err = rootSignatures(s.root, d)
	} else {
		sigs, err = readSignatures(s.root, d)
	}
	if err == nil && d == doc.desc.Digest {
		err = s.checkUnchanged(doc)
	}
	if err != nil {
		return nil, s.ref.at("reading the signatures of "+d.String(), err)
	}
	return sigs, nil
}

// checkUnchanged fails if manifest.json is not what it was: files that are named
// without a digest may then belong to another image.
func (s *Source) checkUnchanged(doc document) error {
	same, err := holds(s.root, rootName, doc.data)
	if err == nil && !same {
		err = fmt.Errorf("another image has replaced %s: %w", doc.desc.Digest, errdefs.ErrFailedPrecondition)
	}
	return err
}

// Close implements transport.Source. Readers that are open stay usable.
func (s *Source) Close() error { return s.root.Close() }

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }
