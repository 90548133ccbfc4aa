package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/containerd/errdefs"
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

// below returns everything below a document that is visible, each once; nil if something
// is not there.
func (d *Destination) below(ctx context.Context, root ocispec.Descriptor) (below []image.Edge, err error) {
	err = d.opts.Store.View(ctx, func(r local.NameReader) error {
		below = []image.Edge{}
		for e, err := range d.walk(ctx, r, root) {
			if err != nil {
				return err
			}
			below = append(below, e)
		}
		return nil
	})
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	return below, err
}

// walk yields what is below a document, each digest and role once. What is not there is
// ErrNotFound.
func (d *Destination) walk(ctx context.Context, r local.NameReader, root ocispec.Descriptor) iter.Seq2[image.Edge, error] {
	type key struct {
		of     string
		parent bool
	}
	return func(yield func(image.Edge, error) bool) {
		seen := map[key]bool{}
		for todo := []ocispec.Descriptor{root}; len(todo) > 0; {
			desc := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			facts, err := r.Facts(desc.Digest)
			if err == nil && len(seen)+len(facts.Edges) > d.opts.Limits.GraphNodes {
				err = fmt.Errorf("the graph of %s has more than %d descriptors: %w", root.Digest, d.opts.Limits.GraphNodes, errdefs.ErrResourceExhausted)
			}
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(image.Edge{}, err)
				return
			}
			for _, e := range facts.Edges {
				k := key{e.Desc.Digest.String(), isParent(e.Role)}
				if seen[k] {
					continue
				}
				seen[k] = true
				if _, err := r.Blob(e.Desc.Digest); err != nil {
					yield(e, err)
					return
				}
				if !yield(e, nil) {
					return
				}
				if k.parent {
					todo = append(todo, e.Desc)
				}
			}
		}
	}
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
