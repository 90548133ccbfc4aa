package store

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/ref"
	local "github.com/dhowhq/dhow/store"
)

// find looks up what the reference means, unless the caller has.
func (s *Source) find(ctx context.Context) (root ocispec.Descriptor, err error) {
	s.mu.Lock()
	root = s.root
	s.mu.Unlock()
	if root.Digest != "" {
		return root, nil
	}
	err = s.opts.Store.View(ctx, func(r local.NameReader) (err error) {
		root, err = s.ref.find(r)
		return err
	})
	if asked := s.ref.unnamed(); errdefs.IsNotFound(err) && asked != "" && s.opts.Resolve != nil {
		return s.opts.Resolve(ctx, asked)
	}
	return root, err
}

// find looks up an image by exactly its name; one with a digest has to be that.
func (r Reference) find(names local.NameReader) (ocispec.Descriptor, error) {
	if !r.isZero() {
		rec, err := names.Get(r.Name.String())
		if err != nil && !errdefs.IsNotFound(err) {
			return ocispec.Descriptor{}, err
		}
		if d := r.Name.Digest(); err == nil && (d == "" || d == rec.Target.Digest) {
			return rec.Target, nil
		}
	}
	return ocispec.Descriptor{}, fmt.Errorf("no such image: %w", errdefs.ErrNotFound)
}

// unnamed returns what the reference can mean without being the name of an image: an ID, or
// a digest in a repository; empty for nothing.
func (r Reference) unnamed() string {
	if r.ID == "" && r.Name.Digest() != "" {
		return r.Name.String()
	}
	return r.ID
}

// Referrers returns the documents that are there and have that subject, in the order of
// their digests.
func (s *Source) Referrers(ctx context.Context, subject digest.Digest) ([]ocispec.Descriptor, error) {
	found := []ocispec.Descriptor{}
	err := s.opts.Store.View(ctx, func(r local.NameReader) error {
		digests, err := r.Referrers(subject)
		if err != nil {
			return err
		}
		for _, d := range digests {
			facts, err := r.Facts(d)
			if errdefs.IsNotFound(err) {
				continue // an engine whose documents others remove
			}
			if err != nil {
				return err
			}
			found = append(found, ocispec.Descriptor{MediaType: facts.MediaType, Digest: d, Size: facts.Size, ArtifactType: facts.ArtifactType})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking for referrers in store:%s: %w", s.ref, err)
	}
	return found, nil
}

// Names calls yield with each tag of the repository, in their order. An image without
// a name has none beside it.
func (s *Source) Names(ctx context.Context, yield func(name string) bool) error {
	if s.ref.isZero() {
		return ctx.Err()
	}
	var tags []string
	err := s.opts.Store.View(ctx, func(r local.NameReader) error {
		records, err := r.Repository(s.ref.Name.Name())
		for _, rec := range records {
			if name, err := ref.Parse(rec.Name); err == nil && name.Tag() != "" {
				tags = append(tags, name.Tag())
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("listing the tags beside store:%s: %w", s.ref, err)
	}
	for _, tag := range tags {
		if !yield(tag) {
			break
		}
	}
	return nil
}

// Resolve returns what a tag of the repository points at.
func (s *Source) Resolve(ctx context.Context, name string) (ocispec.Descriptor, error) {
	desc, err := named(ctx, s.opts.Store, s.ref, name)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("resolving %s beside store:%s: %w", strictjson.Quote(name), s.ref, err)
	}
	return desc, nil
}

// named returns what the reference, or a tag of its repository, points at.
func named(ctx context.Context, s local.Names, r Reference, tag string) (desc ocispec.Descriptor, err error) {
	name, err := r.record(tag)
	if err != nil {
		return desc, err
	}
	if name == "" {
		return desc, fmt.Errorf("the reference has no name: %w", errdefs.ErrNotFound)
	}
	err = s.View(ctx, func(names local.NameReader) error {
		rec, err := names.Get(name)
		desc = rec.Target
		return err
	})
	return desc, err
}
