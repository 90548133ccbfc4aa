package service

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// Usage is what takes up the disk. Images, Unused, Partial, Trash and Overhead add up to
// Total, but for what changes while it is counted.
type Usage struct {
	// Count is the number of images, and Dangling of those without a name.
	Count, Dangling int
	// Images are the blobs of all images and what refers to them, each once. Freeable
	// are those of them that only dangling images have.
	Images, Freeable store.Amount
	// Unused are the other blobs: held by a lease or a reader, or not yet collected.
	Unused store.Amount
	// Partial are blobs that are not complete, with what the store keeps beside them where
	// it tells about its files.
	Partial store.Amount
	// Trash are files of blobs that are gone; nil where the store does not tell.
	Trash *store.Amount
	// Overhead are the bytes that the store needs for itself: its database and journal
	// without the small blobs in the database. Total are the bytes of all its files.
	// Both are nil where the store does not tell.
	Overhead, Total *int64
}

// DiskUsage counts what takes up the disk, each blob once. It looks at everything that there
// is. The images are those of one moment; blobs that come after it are Unused.
func (s *Service) DiskUsage(ctx context.Context) (Usage, error) {
	var u Usage
	var needed needs
	err := s.view(ctx, func(v *view) error {
		u, needed = Usage{}, needs{}
		return v.usage(&u, needed)
	})
	if err == nil {
		err = s.store.Walk(ctx, "", func(b store.Blob) error {
			switch needed[b.Digest] {
			case byNone:
				u.Unused.Add(b.Size)
				return nil
			case byDangling:
				u.Freeable.Add(b.Size)
			}
			u.Images.Add(b.Size)
			return nil
		})
	}
	if err == nil {
		err = s.measure(ctx, &u)
	}
	if err != nil {
		return Usage{}, fmt.Errorf("count what takes up the disk: %w", err)
	}
	return u, nil
}

// needs are the blobs of images, each with the image that counts most of those that have it.
type needs map[digest.Digest]neededBy

// neededBy says what kind of image needs a blob; a greater one counts more.
type neededBy int

const (
	byNone neededBy = iota
	byDangling
	byNamed
)

// usage counts the images, and notes what they need.
func (v *view) usage(u *Usage, needed needs) error {
	groups, err := v.grouped()
	if err != nil {
		return err
	}
	for _, records := range groups {
		by := byNamed
		u.Count++
		if records[len(records)-1].Dangling() { // dangling ones come first
			by = byDangling
			u.Dangling++
		}
		if err := v.need(needed, records[0].Target, by); err != nil {
			return err
		}
	}
	return nil
}

// need notes what is below a document, and below what refers to that.
func (v *view) need(needed needs, target ocispec.Descriptor, by neededBy) error {
	todo := []ocispec.Descriptor{target}
	for len(todo) > 0 {
		g, err := v.graph(todo[len(todo)-1])
		if err != nil {
			return err
		}
		todo = todo[:len(todo)-1]
		for _, n := range g.nodes {
			if needed[n.desc.Digest] >= by {
				continue
			}
			needed[n.desc.Digest] = by
			if n.facts == nil || !image.IsDocument(n.facts.MediaType) {
				continue
			}
			referrers, err := v.referrers(n.desc.Digest)
			if err != nil {
				return err
			}
			todo = append(todo, referrers...)
		}
	}
	return nil
}

// referrers returns the documents that refer to another one.
func (v *view) referrers(subject digest.Digest) ([]ocispec.Descriptor, error) {
	digests, err := v.Referrers(subject)
	if err != nil {
		return nil, fmt.Errorf("what refers to %s: %w", subject, err)
	}
	var all []ocispec.Descriptor
	for _, d := range digests {
		facts, err := v.Facts(d)
		if err != nil {
			return nil, fmt.Errorf("what refers to %s: %w", subject, err)
		}
		all = append(all, ocispec.Descriptor{MediaType: facts.MediaType, Digest: d, Size: facts.Size})
	}
	return all, nil
}

// measure adds the blobs that are not complete, and what a store tells about its files.
func (s *Service) measure(ctx context.Context, u *Usage) error {
	measurer, ok := s.store.(store.Measurer)
	informer, told := s.store.(store.Informer)
	if !ok || !told {
		partial, err := s.store.Partial(ctx)
		for _, p := range partial {
			u.Partial.Add(p.Offset)
		}
		return err
	}
	disk, err := measurer.Measure(ctx)
	if err != nil {
		return err
	}
	info, err := informer.Info(ctx)
	if err != nil {
		return err
	}
	total := disk.Bytes()
	u.Partial, u.Trash, u.Total = disk.Partial, &disk.Trash, &total
	if info.Inline != nil {
		overhead := disk.Own.Bytes - info.Inline.Bytes
		u.Overhead = &overhead
	}
	return nil
}
