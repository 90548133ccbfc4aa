package oci

import (
	"context"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/strictjson"
)

// maxScanBytes bounds the time for referrers to be found, not memory: documents
// are read one after the other, and none is kept.
const maxScanBytes = 1 << 30

// scan is what the documents behind index.json say of subjects.
type scan struct {
	bySubject map[digest.Digest][]referrer
	refers    map[digest.Digest]bool // documents with a subject
}

// referrer is an entry of index.json: one referrer, or a list of them.
type referrer struct {
	desc   ocispec.Descriptor
	isList bool
}

// Referrers returns, in the order of index.json, its entries whose documents
// have that subject, and the entries of the index that the tag ALGORITHM-HEX of
// the subject names, as registries without a referrers API have it. Entries that
// cannot be read, or have more than Limits.DocumentBytes, are logged and passed
// over. To find them all, documents of up to 1 GiB in sum are read, once; that
// there are more is logged.
func (s *Source) Referrers(ctx context.Context, subject digest.Digest) ([]ocispec.Descriptor, error) {
	found, err := s.referrersOf(ctx, subject)
	if err != nil {
		return nil, fmt.Errorf("looking for referrers in oci:%s: %w", s.ref, err)
	}
	return found, nil
}

func (s *Source) referrersOf(ctx context.Context, subject digest.Digest) ([]ocispec.Descriptor, error) {
	found, err := s.scan(ctx)
	if err != nil {
		return nil, err
	}
	all := []ocispec.Descriptor{}
	seen := map[digest.Digest]bool{}
	for _, r := range found.bySubject[subject] {
		some := []ocispec.Descriptor{r.desc}
		if r.isList {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			some = s.listed(ctx, r.desc)
		}
		for _, desc := range some {
			if !seen[desc.Digest] {
				seen[desc.Digest] = true
				all = append(all, desc)
			}
		}
	}
	return all, nil
}

// listed returns the entries of a list; none, and a warning, if it cannot be read.
func (s *Source) listed(ctx context.Context, desc ocispec.Descriptor) []ocispec.Descriptor {
	doc, err := s.blobs.document(desc, s.opts.Limits)
	if err != nil {
		s.warn(ctx, desc, err)
		return nil
	}
	list, ok := doc.(*image.List)
	if !ok {
		return nil
	}
	return list.Instances()
}

func (s *Source) warn(ctx context.Context, desc ocispec.Descriptor, err error) {
	s.opts.Logger.WarnContext(ctx, "an entry of index.json cannot be read, nor what it refers to", "layout", s.ref.Path, "digest", desc.Digest, "error", err)
}

// scan looks at all documents that index.json points at, the first time.
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
	found := &scan{bySubject: map[digest.Digest][]referrer{}, refers: map[digest.Digest]bool{}}
	if err := s.lookAt(ctx, found); err != nil {
		return nil, err
	}
	s.referrers = found
	return found, nil
}

func (s *Source) lookAt(ctx context.Context, found *scan) error {
	seen := map[digest.Digest]bool{}
	var total int64
	for _, e := range s.index.Instances() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !image.IsDocument(e.MediaType) {
			continue
		}
		if subject, ok := taggedDigest(refName(e)); ok && image.IsList(e.MediaType) {
			found.bySubject[subject] = append(found.bySubject[subject], referrer{e, true})
		}
		if seen[e.Digest] {
			continue
		}
		seen[e.Digest] = true
		if total >= s.scanBytes {
			s.opts.Logger.WarnContext(ctx, "referrers may be missing: index.json names too many documents to look at all of them", "layout", s.ref.Path, "bytes", total)
			return nil
		}
		doc, err := s.blobs.document(e, s.opts.Limits)
		if e.Size <= s.opts.Limits.DocumentBytes && !errdefs.IsNotFound(err) {
			total += e.Size // others were not read
		}
		if err != nil {
			s.warn(ctx, e, err)
			continue
		}
		found.document(e, doc)
	}
	return nil
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
	s.bySubject[subject.Digest] = append(s.bySubject[subject.Digest], referrer{desc: desc})
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
