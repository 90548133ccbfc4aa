package dir

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/rootfile"
)

// Referrers implements transport.Referrers: all manifests and lists of the
// directory that have the subject, in the order of their file names. The
// directory has no list of them, so the first call reads them all; one that
// cannot be decoded refers to nothing, and is logged.
func (s *Source) Referrers(ctx context.Context, subject digest.Digest) ([]ocispec.Descriptor, error) {
	d, err := image.ParseDigest(string(subject))
	if err != nil {
		return nil, s.ref.at("looking for referrers", err)
	}
	all, err := s.subjects(ctx)
	if err != nil {
		return nil, s.ref.at("looking for referrers of "+d.String(), err)
	}
	return append([]ocispec.Descriptor{}, all[d]...), nil
}

// subjects returns the referrers of every subject. It reads them once, and again
// only after a failure.
func (s *Source) subjects(ctx context.Context) (map[digest.Digest][]ocispec.Descriptor, error) {
	root, err := s.load(ctx)
	if err != nil && !errdefs.IsNotFound(err) {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.referrers != nil {
		return s.referrers, nil
	}
	l, err := list(s.root)
	if err != nil {
		return nil, err
	}
	scan := subjectScan{Source: s, found: map[digest.Digest][]ocispec.Descriptor{}}
	for _, name := range slices.Sorted(maps.Keys(l)) {
		if l[name].kind != manifestEntry || l[name].digest == root.desc.Digest {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		data, err := rootfile.Read(s.root, name, s.opts.Limits.DocumentBytes)
		if err == nil {
			err = scan.add(data, l[name].digest)
		}
		if err := scan.passOver(name, err); err != nil {
			return nil, err
		}
	}
	if root.data != nil {
		if err := scan.passOver(rootName, scan.add(root.data, root.desc.Digest)); err != nil {
			return nil, err
		}
	}
	s.referrers = scan.found
	return s.referrers, nil
}

// subjectScan collects documents by their subjects.
type subjectScan struct {
	*Source
	found map[digest.Digest][]ocispec.Descriptor
	files int
	bytes int64
}

// add enters a document that shall have that digest under its subject.
func (s *subjectScan) add(data []byte, d digest.Digest) error {
	s.bytes += int64(len(data))
	doc, err := image.Decode(data, image.Declared{}, s.opts.Limits)
	if err != nil {
		return err
	}
	if err := image.VerifyBytes(data, ocispec.Descriptor{MediaType: doc.MediaType(), Digest: d, Size: -1}); err != nil {
		return err
	}
	subject := doc.Subject()
	if subject == nil {
		return nil
	}
	s.found[subject.Digest] = append(s.found[subject.Digest], ocispec.Descriptor{
		MediaType:    doc.MediaType(),
		Digest:       d,
		Size:         int64(len(data)),
		ArtifactType: doc.ArtifactType(),
		Annotations:  doc.Annotations(),
	})
	return nil
}

// passOver logs why a file is no referrer, where that is for what it holds. Any
// other error, and too much work, ends the scan.
func (s *subjectScan) passOver(name string, err error) error {
	if s.files++; s.files > s.opts.Limits.GraphNodes || s.bytes > s.opts.Limits.GraphBytes {
		return fmt.Errorf("there are more than %d manifests, or they have more than %d bytes: %w", s.opts.Limits.GraphNodes, s.opts.Limits.GraphBytes, errdefs.ErrResourceExhausted)
	}
	switch {
	case err == nil:
		return nil
	case isContentError(err):
		s.opts.Logger.Warn("a manifest is passed over in the search for referrers", "directory", s.ref.path, "file", name, "error", err)
		return nil
	}
	return err
}
