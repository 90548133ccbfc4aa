package registry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	client "github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/registry/hosts"
)

// Source reads an image of a registry. Besides a transport.Source it is a
// transport.Referrers, a transport.Lister and a transport.Elsewhere.
type Source struct {
	ref  Reference
	repo *client.Repository

	mu   sync.Mutex
	root ocispec.Descriptor
	docs map[digest.Digest][]byte // got on the way to a descriptor, and not opened yet
}

// OpenSource opens an image for reading. It asks nobody yet.
func OpenSource(ctx context.Context, r Reference, opts Options) (*Source, error) {
	repo, err := opts.repository(ctx, r, hosts.Pull)
	if err != nil {
		return nil, fmt.Errorf("docker:%s: %w", r, err)
	}
	return &Source{ref: r, repo: repo, docs: map[digest.Digest][]byte{}}, nil
}

// Root asks for the image once and keeps the answer: one request, which brings the
// document along.
func (s *Source) Root(ctx context.Context) (ocispec.Descriptor, error) {
	s.mu.Lock()
	root := s.root
	s.mu.Unlock()
	if root.Digest != "" {
		return root, nil
	}
	root, err := s.get(ctx, s.ref.wanted())
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("docker:%s: %w", s.ref, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.root = root
	return root, nil
}

// get gets a document and keeps its bytes until they are opened.
func (s *Source) get(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	desc, data, err := s.repo.Get(ctx, reference)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.docs[desc.Digest] = data
	return desc, nil
}

// Open returns the bytes of a document or blob; which it is, the media type says.
func (s *Source) Open(ctx context.Context, desc ocispec.Descriptor, from int64) (io.ReadCloser, error) {
	if _, err := image.ParseDigest(desc.Digest.String()); err != nil {
		return nil, fmt.Errorf("docker:%s: %w", s.ref, err)
	}
	if image.IsDocument(desc.MediaType) {
		data, err := s.document(ctx, desc.Digest)
		if err == nil {
			return section(data, from)
		}
		if !errdefs.IsNotFound(err) {
			return nil, fmt.Errorf("docker:%s: %w", s.ref, err)
		}
	}
	r, err := s.repo.OpenBlob(ctx, desc, from)
	if err != nil {
		return nil, fmt.Errorf("docker:%s: %w", s.ref, err)
	}
	return r, nil
}

// Distrust implements transport.Elsewhere: the registry itself is elsewhere, where a
// mirror gave the bytes.
func (s *Source) Distrust(desc ocispec.Descriptor) bool { return s.repo.Distrust(desc.Digest) }

// document returns a document's bytes, and forgets those that were kept: they are
// read once.
func (s *Source) document(ctx context.Context, d digest.Digest) ([]byte, error) {
	s.mu.Lock()
	data, ok := s.docs[d]
	delete(s.docs, d)
	s.mu.Unlock()
	if ok {
		return data, nil
	}
	_, data, err := s.repo.Get(ctx, d.String())
	return data, err
}

// section is a reader of bytes from an offset on.
func section(data []byte, from int64) (io.ReadCloser, error) {
	if from < 0 || from > int64(len(data)) {
		return nil, fmt.Errorf("offset %d in %d bytes: %w", from, len(data), errdefs.ErrOutOfRange)
	}
	return io.NopCloser(bytes.NewReader(data[from:])), nil
}

// Referrers returns what the registry, or its fallback tag, lists for a subject.
func (s *Source) Referrers(ctx context.Context, subject digest.Digest) ([]ocispec.Descriptor, error) {
	return s.repo.Referrers(ctx, subject)
}

// Names calls yield with each tag of the repository.
func (s *Source) Names(ctx context.Context, yield func(name string) bool) error {
	return s.repo.Tags(ctx, yield)
}

// Resolve returns what a tag points at.
func (s *Source) Resolve(ctx context.Context, name string) (ocispec.Descriptor, error) {
	return s.get(ctx, name)
}

// Close does nothing: the client is the caller's.
func (s *Source) Close() error { return nil }
