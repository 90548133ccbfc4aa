// Package contentstore offers the blobs of a store as containerd's content.Store, for
// the libraries that speak it.
//
// Labels are not kept: what containerd's collector reads from them, the store knows
// from the documents themselves. Who needs them, or namespaces, wraps the adapter by
// metadata.NewDB as containerd does with its own local store.
package contentstore

import (
	"context"
	"fmt"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/pkg/filters"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// Store is what the adapter needs of a store.
type Store interface {
	store.Blobs
	store.Leases
	store.GC
}

// Options change what holds the content. Their zero value is ready for use.
type Options struct {
	// Lease is that of the caller which holds all content that is committed, or found
	// to be there when it is to be written. Empty: each blob is held by a lease of its
	// own, which stays when the store is closed, until Delete.
	Lease string
}

// New returns the blobs of a store as a content.Store. It is safe for concurrent use,
// and need not be closed.
//
// Content that is written with a descriptor of the media type of a manifest, list or
// image config must decode as one, and then holds what is below it. A context's
// namespace and lease are not looked at.
func New(s Store, options Options) content.Store {
	return &contentStore{store: s, lease: options.Lease, begun: map[string]ingest{}}
}

type contentStore struct {
	store Store
	lease string

	mu    sync.Mutex
	begun map[string]ingest // by ref; what was not committed
}

// Info returns what is known of a visible blob. The times are both that at which it
// became visible.
func (c *contentStore) Info(ctx context.Context, d digest.Digest) (content.Info, error) {
	b, err := c.store.Stat(ctx, d)
	if err != nil {
		return content.Info{}, err
	}
	return info(b), nil
}

func info(b store.Blob) content.Info {
	return content.Info{Digest: b.Digest, Size: b.Size, CreatedAt: b.Created, UpdatedAt: b.Created}
}

// Update is ErrFailedPrecondition for content that is there: nothing of it can change.
func (c *contentStore) Update(ctx context.Context, update content.Info, _ ...string) (content.Info, error) {
	if _, err := c.store.Stat(ctx, update.Digest); err != nil {
		return content.Info{}, err
	}
	return content.Info{}, fmt.Errorf("update of %s: this store keeps no labels: %w", update.Digest, errdefs.ErrFailedPrecondition)
}

// Walk calls f with the blobs that match a filter, in the order of their digests.
func (c *contentStore) Walk(ctx context.Context, f content.WalkFunc, fs ...string) error {
	filter, err := filters.ParseAll(fs...)
	if err != nil {
		return fmt.Errorf("walking content: %w", err)
	}
	return c.store.Walk(ctx, "", func(b store.Blob) error {
		if found := info(b); filter.Match(content.AdaptInfo(found)) {
			return f(found)
		}
		return nil
	})
}

// Delete no longer holds a blob. It is gone unless something else in the store needs
// it: a name, a lease of somebody else's, an open reader, or a document of which it is
// a part. Under a lease of the caller's it is ErrFailedPrecondition: content ends with
// that.
func (c *contentStore) Delete(ctx context.Context, d digest.Digest) error {
	if _, err := c.store.Stat(ctx, d); err != nil {
		return err
	}
	if c.lease != "" {
		return fmt.Errorf("delete %s: it ends with the lease %q: %w", d, c.lease, errdefs.ErrFailedPrecondition)
	}
	if err := c.store.Release(ctx, leaseOf(d)); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("delete %s: %w", d, err)
	}
	if _, err := store.Collect(ctx, c.store); err != nil {
		return fmt.Errorf("delete %s: %w", d, err)
	}
	return nil
}

// ReaderAt opens a visible blob; of the descriptor only the digest is looked at.
func (c *contentStore) ReaderAt(ctx context.Context, desc ocispec.Descriptor) (content.ReaderAt, error) {
	return c.store.OpenAt(ctx, desc.Digest)
}

// leaseOf returns the ID of the lease by which a blob is held until Delete.
func leaseOf(d digest.Digest) string { return "contentstore/" + d.String() }

// hold has content stay.
func (c *contentStore) hold(ctx context.Context, d digest.Digest) error {
	if c.lease != "" {
		return c.store.Hold(ctx, c.lease, d)
	}
	for tried := 1; ; tried++ {
		id := leaseOf(d)
		if _, err := c.store.Lease(ctx, store.Lease{ID: id}); err != nil && !errdefs.IsAlreadyExists(err) {
			return err
		}
		// A Delete may have released the lease in between.
		if err := c.store.Hold(ctx, id, d); !errdefs.IsNotFound(err) || tried == holdTries {
			return err
		}
	}
}

// holdTries is how often it is tried to hold what somebody else deletes.
const holdTries = 10

// roleOf returns what content of a media type is taken for.
func roleOf(mediaType string) image.Role {
	switch {
	case image.IsList(mediaType):
		return image.RoleIndex
	case image.IsManifest(mediaType):
		return image.RoleManifest
	case mediaType == ocispec.MediaTypeImageConfig || mediaType == image.MediaTypeDockerConfig:
		return image.RoleConfig
	}
	return image.RoleLayer
}
