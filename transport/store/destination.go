package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/once"
	"github.com/dhowhq/dhow/internal/strictjson"
	local "github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/transport"
)

// Destination writes an image into a store. What is put is one batch under one lease:
// it becomes visible in Commit, at once and with its names, and what the names pointed
// at before dangles. Without Commit what was put is kept as partial blobs are, and the
// next Put of the same content goes on where it ended.
//
// Besides a transport.Destination it is a transport.Acceptor, a transport.Presence, a
// transport.Namer and a transport.Readable.
type Destination struct {
	ref  Reference
	name string // of the record that the reference itself means; or empty
	opts Options
	base context.Context //nolint:containedctx // what it was opened in, without its end: for Close

	begun *once.Step // there are a lease and a batch
	lease string
	batch local.Batch

	mu      sync.Mutex
	written bool // something since the last Commit
	moved   local.Moved
}

var (
	_ transport.Destination = (*Destination)(nil)
	_ transport.Acceptor    = (*Destination)(nil)
	_ transport.Presence    = (*Destination)(nil)
	_ transport.Namer       = (*Destination)(nil)
	_ transport.Readable    = (*Destination)(nil)
)

// OpenDestination opens a store for writing an image. It writes nothing yet. A reference
// that is only an ID is errdefs.ErrInvalidArgument.
func OpenDestination(ctx context.Context, r Reference, opts Options) (*Destination, error) {
	opts, err := opts.withDefaults(ctx)
	if err == nil && r.isZero() && r.ID != "" {
		err = fmt.Errorf("an image is written under a name, which an ID is not: %w", errdefs.ErrInvalidArgument)
	}
	d := &Destination{ref: r, opts: opts, base: context.WithoutCancel(ctx), begun: once.New()}
	if err == nil {
		d.name, err = r.record("")
	}
	if err != nil {
		return nil, fmt.Errorf("opening store:%s for writing: %w", r, err)
	}
	return d, nil
}

// Accepts says that a store holds OCI and Docker documents but for schema 1, no simple
// signatures, and what digest the reference demands.
func (d *Destination) Accepts() transport.Accepts {
	return transport.Accepts{
		Types:        acceptedTypes(),
		NoSignatures: "a local store keeps no simple signatures",
		Pinned:       d.ref.Name.Digest(),
	}
}

func acceptedTypes() []string {
	return []string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, image.MediaTypeDockerManifest, image.MediaTypeDockerList}
}

// begin makes the lease and the batch.
func (d *Destination) begin(ctx context.Context) error {
	return d.begun.Do(ctx, func() error {
		lease, err := d.opts.Store.Lease(ctx, local.Lease{Process: true})
		if err != nil {
			return err
		}
		batch, err := d.opts.Store.Begin(ctx, lease.ID)
		if err != nil {
			return errors.Join(err, release(ctx, d.opts.Store, lease.ID))
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.lease, d.batch = lease.ID, batch
		return nil
	})
}

// Put writes a node, unless it is visible or another batch has written it. What an
// earlier Put has left of it is not read again. A manifest or list of a type that
// Accepts does not name is errdefs.ErrNotImplemented.
func (d *Destination) Put(ctx context.Context, node transport.Node, open transport.Opener) (transport.Outcome, error) {
	put, err := d.put(ctx, node, open)
	if err != nil {
		return transport.Outcome{}, fmt.Errorf("store:%s: %w", d.ref, err)
	}
	if put == local.Reused {
		return transport.Outcome{Action: transport.Reused}, nil
	}
	return transport.Outcome{Action: transport.Copied}, nil
}

func (d *Destination) put(ctx context.Context, node transport.Node, open transport.Opener) (local.Put, error) {
	if t := node.Desc.MediaType; isParent(node.Role) && !slices.Contains(acceptedTypes(), t) {
		return "", fmt.Errorf("a store does not hold documents of type %s: %w", strictjson.Quote(t), errdefs.ErrNotImplemented)
	}
	if _, err := image.ParseDigest(node.Desc.Digest.String()); err != nil {
		return "", err
	}
	if err := d.begin(ctx); err != nil {
		return "", err
	}
	put, err := d.batch.Put(ctx, node.Desc, node.Role, local.Opener(open))
	if err == nil && put == local.Written {
		d.mu.Lock()
		d.written = true
		d.mu.Unlock()
	}
	return put, err
}

// isParent reports whether a node of that role is a manifest or list.
func isParent(role image.Role) bool {
	return role == image.RoleIndex || role == image.RoleManifest || role == image.RoleAttestation
}

// Close ends the batch and the lease. What was not committed is not visible.
func (d *Destination) Close() error {
	d.mu.Lock()
	batch, lease := d.batch, d.lease
	d.lease = ""
	d.mu.Unlock()
	if lease == "" {
		return nil
	}
	if err := errors.Join(batch.Close(), release(d.base, d.opts.Store, lease)); err != nil {
		return fmt.Errorf("closing store:%s: %w", d.ref, err)
	}
	return nil
}
