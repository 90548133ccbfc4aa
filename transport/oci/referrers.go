package oci

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/strictjson"
)

// scan is what the documents behind index.json say of subjects.
type scan struct {
	bySubject map[digest.Digest][]ocispec.Descriptor
	refers    map[digest.Digest]bool // documents with a subject
}

func (s *scan) add(subject digest.Digest, desc ocispec.Descriptor) {
	same := func(d ocispec.Descriptor) bool { return d.Digest == desc.Digest }
	if !slices.ContainsFunc(s.bySubject[subject], same) {
		s.bySubject[subject] = append(s.bySubject[subject], desc)
	}
}

// Referrers returns, in the order of index.json, its entries whose documents
// have that subject, and the entries of the index that the tag ALGORITHM-HEX of
// the subject names, as registries without a referrers API have it. Entries that
// cannot be read are logged and passed over. To find them all, documents of up
// to Limits.GraphBytes in sum are read, once; more are
// errdefs.ErrResourceExhausted.
func (s *Source) Referrers(ctx context.Context, subject digest.Digest) ([]ocispec.Descriptor, error) {
	found, err := s.scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking for referrers in oci:%s: %w", s.ref, err)
	}
	return append([]ocispec.Descriptor{}, found.bySubject[subject]...), nil
}

// scan reads all documents that index.json points at, the first time.
func (s *Source) scan(ctx context.Context) (*scan, error) {
	select {
	case s.scanning <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-s.scanning }()
	if s.referrers != nil {
		return s.referrers, nil
	}
	found := &scan{bySubject: map[digest.Digest][]ocispec.Descriptor{}, refers: map[digest.Digest]bool{}}
	seen := map[digest.Digest]bool{}
	budget := s.opts.Limits.GraphBytes
	for _, e := range s.index.Instances() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		tagged, isTag := taggedDigest(refName(e))
		if !image.IsDocument(e.MediaType) || seen[e.Digest] && !isTag {
			continue
		}
		seen[e.Digest] = true
		if budget -= e.Size; budget < 0 {
			return nil, fmt.Errorf("the documents that %s names have more than %d bytes: %w", ocispec.ImageIndexFile, s.opts.Limits.GraphBytes, errdefs.ErrResourceExhausted)
		}
		doc, err := s.blobs.document(e, s.opts.Limits)
		if err != nil {
			s.opts.Logger.WarnContext(ctx, "an entry of index.json cannot be read, nor what it refers to", "layout", s.ref.Path, "digest", e.Digest, "error", err)
			continue
		}
		found.document(e, doc)
		if list, ok := doc.(*image.List); ok && isTag {
			found.fallback(tagged, list)
		}
	}
	s.referrers = found
	return found, nil
}

// document notes the subject of an entry's document.
func (s *scan) document(e ocispec.Descriptor, doc image.Document) {
	subject := doc.Subject()
	if subject == nil {
		return
	}
	s.refers[e.Digest] = true
	desc := withoutName(e)
	if desc.ArtifactType == "" {
		desc.ArtifactType = doc.ArtifactType()
	}
	s.add(subject.Digest, desc)
}

// fallback notes the entries of the index that a subject's tag names.
func (s *scan) fallback(subject digest.Digest, list *image.List) {
	for _, desc := range list.Instances() {
		s.add(subject, desc)
	}
}

// taggedDigest returns the digest that a tag ALGORITHM-HEX stands for.
func taggedDigest(tag string) (digest.Digest, bool) {
	alg, hex, _ := strings.Cut(tag, "-")
	d, err := image.ParseDigest(alg + ":" + hex)
	return d, err == nil
}

// Names calls yield with each ref.name of index.json, once and in its order.
// Names come from the layout and need not be valid.
func (s *Source) Names(ctx context.Context, yield func(name string) bool) error {
	seen := map[string]bool{}
	for _, e := range s.index.Instances() {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := refName(e)
		if name == "" || seen[name] {
			continue
		}
		seen[name] = true
		if !yield(name) {
			return nil
		}
	}
	return nil
}

// Resolve returns what a ref.name of index.json points at; see Root for the
// errors.
func (s *Source) Resolve(ctx context.Context, name string) (ocispec.Descriptor, error) {
	if err := ctx.Err(); err != nil {
		return ocispec.Descriptor{}, err
	}
	desc, err := findName(s.index.Instances(), name, s.opts)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("resolving %s in the layout %s: %w", strictjson.Quote(name), s.ref.Path, err)
	}
	return desc, nil
}
