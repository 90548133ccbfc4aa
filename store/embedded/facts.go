package embedded

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

// parentLabel is the label in which classic builds say what an image was built upon.
const parentLabel = "org.mobyproject.image.parent"

// kind is how the bytes of a blob are understood.
type kind int

const (
	opaque kind = iota
	document
	config
)

// kindOf returns how a role has bytes of a media type be understood.
func kindOf(role image.Role, mediaType string) (kind, error) {
	switch role {
	case image.RoleIndex, image.RoleManifest, image.RoleAttestation:
		return document, nil
	case image.RoleConfig:
		if catalog.IsImageConfig(mediaType) {
			return config, nil
		}
		return opaque, nil
	case image.RoleLayer, image.RoleOpaque, "":
		return opaque, nil
	}
	return opaque, fmt.Errorf("a blob cannot have the role %.64q: %w", string(role), errdefs.ErrInvalidArgument)
}

// limit returns how many bytes a blob of the kind may have, -1 for any number.
func (s *Store) limit(k kind) int64 {
	switch k {
	case document:
		return s.opts.Limits.DocumentBytes
	case config:
		return s.opts.Limits.ConfigBytes
	}
	return -1
}

// checkLimit returns ErrResourceExhausted for a blob that is too large for its kind.
func (s *Store) checkLimit(d digest.Digest, k kind, size int64) error {
	if limit := s.limit(k); limit >= 0 && size > limit {
		return fmt.Errorf("%s has %d bytes, at most %d are allowed: %w", d, size, limit, errdefs.ErrResourceExhausted)
	}
	return nil
}

// bounded returns an opener whose reader fails when it has more bytes than a blob of the
// kind may have.
func (s *Store) bounded(d digest.Digest, k kind, open store.Opener) store.Opener {
	limit := s.limit(k)
	if limit < 0 {
		return open
	}
	return func(ctx context.Context, from int64) (io.ReadCloser, error) {
		r, err := open(ctx, from)
		if err != nil {
			return nil, err
		}
		return &boundedReader{r, limit - from, s.checkLimit(d, k, limit+1)}, nil
	}
}

type boundedReader struct {
	io.ReadCloser
	left   int64
	beyond error
}

func (r *boundedReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if r.left -= int64(n); r.left < 0 {
		return 0, r.beyond
	}
	return n, err
}

// derive returns the facts of a document or image config, or nil for any other blob. That
// it cannot be decoded is an error as of package image.
func (s *Store) derive(data []byte, k kind, desc ocispec.Descriptor) (*store.Facts, error) {
	switch k {
	case document:
		return s.deriveDocument(data, desc)
	case config:
		return s.deriveConfig(data, desc)
	}
	return nil, nil //nolint:nilnil // said above
}

func (s *Store) deriveDocument(data []byte, desc ocispec.Descriptor) (*store.Facts, error) {
	doc, err := image.Decode(data, image.Declared{Descriptor: desc.MediaType}, s.opts.Limits)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", desc.Digest, err)
	}
	f := &store.Facts{
		MediaType: doc.MediaType(), Size: int64(len(data)),
		Edges: doc.Edges(), ArtifactType: doc.ArtifactType(),
	}
	if m, ok := doc.(*image.Manifest); ok {
		f.Config = m.Config().Digest
	}
	if subject := doc.Subject(); subject != nil {
		f.Subject = subject.Digest
	}
	return f, nil
}

func (s *Store) deriveConfig(data []byte, desc ocispec.Descriptor) (*store.Facts, error) {
	c, err := image.DecodeConfig(data, s.opts.Limits)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", desc.Digest, err)
	}
	f := &store.Facts{MediaType: desc.MediaType, Size: int64(len(data))}
	if p := c.Platform; p.OS != "" || p.Architecture != "" {
		f.Platform = &p
	}
	if created, err := time.Parse(time.RFC3339Nano, c.Created); err == nil {
		f.Created = created.UTC()
	}
	if parent, err := image.ParseDigest(c.Labels[parentLabel]); err == nil {
		f.Parent = parent
	}
	return f, nil
}

// read returns all bytes of a visible blob, which is to be small enough for its kind.
func (s *Store) read(ctx context.Context, d digest.Digest, k kind) ([]byte, error) {
	c, err := s.look(ctx, d)
	if err != nil {
		return nil, err
	}
	if err := s.checkLimit(d, k, c.Size); err != nil || !c.File() {
		return c.data, err
	}
	return s.readFile(ctx, d, c.Size)
}

func (s *Store) readFile(ctx context.Context, d digest.Digest, size int64) ([]byte, error) {
	r, err := s.files.Open(ctx, d, size, 0)
	if err != nil {
		return nil, s.unreadable(d, err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, s.unreadable(d, err)
	}
	return data, nil
}

// wants reports whether a blob of the kind lacks facts that it should have.
func wants(k kind, f *store.Facts) bool {
	return k == config && f == nil || k == document && (f == nil || !image.IsDocument(f.MediaType))
}

// factsOf returns the facts that are noted of a visible blob, or nil.
func (s *Store) factsOf(ctx context.Context, d digest.Digest) (*store.Facts, error) {
	f, err := s.Facts(ctx, d)
	if errdefs.IsNotFound(err) {
		return nil, nil //nolint:nilnil // said above
	}
	return &f, err
}
