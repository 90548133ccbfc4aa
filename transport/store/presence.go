package store

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/strictjson"
	local "github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/transport"
)

// errAsked is what a Put ends with that was only to find out whether a blob is there.
var errAsked = errors.New("only what is there was asked for")

// Has looks at what is visible, and has the lease hold what it has found until Close. A
// blob that was not verified since the store could have been damaged is hashed; one that
// is damaged is Absent. A manifest or list is Complete only if all below it is there, now
// and as good.
func (d *Destination) Has(ctx context.Context, node transport.Node) (transport.Have, error) {
	have, err := d.has(ctx, node)
	if err != nil {
		return transport.Absent, fmt.Errorf("store:%s: %w", d.ref, err)
	}
	return have, nil
}

func (d *Destination) has(ctx context.Context, node transport.Node) (transport.Have, error) {
	there, err := d.keep(ctx, node.Desc, node.Role)
	if err != nil || !there {
		return transport.Absent, err
	}
	if !isParent(node.Role) {
		return transport.Complete, nil
	}
	below, err := d.below(ctx, node.Desc)
	if err != nil || below == nil {
		return transport.Present, err
	}
	for _, e := range below {
		if there, err := d.keep(ctx, e.Desc, e.Role); err != nil || !there {
			return transport.Present, err
		}
	}
	return transport.Complete, nil
}

// keep reports whether a blob is visible and good, and if so has the batch, and with it
// the lease, hold it.
func (d *Destination) keep(ctx context.Context, desc ocispec.Descriptor, role image.Role) (bool, error) {
	b, err := d.opts.Store.Stat(ctx, desc.Digest)
	switch {
	case errdefs.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, err
	case desc.Size < -1:
		return false, fmt.Errorf("%s has the size %d: %w", desc.Digest, desc.Size, errdefs.ErrInvalidArgument)
	case desc.Size >= 0 && desc.Size != b.Size:
		return false, nil
	}
	if err := d.begin(ctx); err != nil {
		return false, err
	}
	put, err := d.batch.Put(ctx, desc, role, func(context.Context, int64) (io.ReadCloser, error) { return nil, errAsked })
	if errors.Is(err, errAsked) || errdefs.IsDataLoss(err) {
		return false, nil // it is damaged, or has just gone
	}
	return err == nil && put == local.Reused, err
}

// below returns everything below a document that is visible, as of one moment; nil if
// something is not there.
func (d *Destination) below(ctx context.Context, root ocispec.Descriptor) (below []image.Edge, err error) {
	err = d.opts.Store.View(ctx, func(r local.NameReader) error {
		below = []image.Edge{}
		seen := map[place]bool{}
		for todo := []ocispec.Descriptor{root}; len(todo) > 0; {
			parent := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			edges, err := d.newBelow(ctx, r, parent, seen)
			if err != nil {
				return err
			}
			for _, e := range edges {
				below = append(below, e)
				if isParent(e.Role) {
					todo = append(todo, e.Desc)
				}
			}
		}
		return nil
	})
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	return below, err
}

// place is where a digest can be met: as a document, or not.
type place struct {
	digest digest.Digest
	parent bool
}

// newBelow returns the edges of a document that were not seen before. One to what is not
// there is ErrNotFound.
func (d *Destination) newBelow(ctx context.Context, r local.NameReader, parent ocispec.Descriptor, seen map[place]bool) ([]image.Edge, error) {
	facts, err := r.Facts(parent.Digest)
	if err != nil {
		return nil, err
	}
	if limit := d.opts.Limits.GraphNodes; len(seen)+len(facts.Edges) > limit {
		return nil, fmt.Errorf("the graph has more than %d descriptors: %w", limit, errdefs.ErrResourceExhausted)
	}
	var found []image.Edge
	for _, e := range facts.Edges {
		at := place{e.Desc.Digest, isParent(e.Role)}
		if seen[at] {
			continue
		}
		seen[at] = true
		if _, err := r.Blob(e.Desc.Digest); err != nil {
			return nil, err
		}
		found = append(found, e)
	}
	return found, ctx.Err()
}

// Read returns the bytes of a small blob that is visible, verified.
func (d *Destination) Read(ctx context.Context, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	data, err := d.read(ctx, desc, limit)
	if err != nil {
		return nil, fmt.Errorf("store:%s: %w", d.ref, err)
	}
	return data, nil
}

func (d *Destination) read(ctx context.Context, desc ocispec.Descriptor, limit int64) (_ []byte, err error) {
	b, err := d.opts.Store.Stat(ctx, desc.Digest)
	if err != nil {
		return nil, err
	}
	if b.Size > limit || desc.Size >= 0 && desc.Size != b.Size {
		return nil, fmt.Errorf("%s has %d bytes, its descriptor says %d, and %d are allowed: %w", desc.Digest, b.Size, desc.Size, limit, errdefs.ErrNotFound)
	}
	r, err := d.opts.Store.Open(ctx, desc.Digest, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	data := make([]byte, b.Size)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, err
	}
	return data, image.VerifyBytes(data, ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: b.Size})
}

// Named returns what the reference, or a tag of its repository, points at now.
func (d *Destination) Named(ctx context.Context, name string) (ocispec.Descriptor, error) {
	desc, err := named(ctx, d.opts.Store, d.ref, name)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("resolving %s in store:%s: %w", strictjson.Quote(name), d.ref, err)
	}
	return desc, nil
}
