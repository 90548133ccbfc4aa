package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/durable"
	"github.com/dhowhq/dhow/internal/once"
	"github.com/dhowhq/dhow/internal/rootfile"
	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/internal/verify"
	"github.com/dhowhq/dhow/transport"
)

// Destination writes images into a layout, beside those that are there. Besides
// a transport.Destination it is a transport.Acceptor, a transport.Presence and a
// transport.Namer.
type Destination struct {
	ref  Reference
	opts Options

	prepared *once.Step // all files of an empty layout are there

	mu       sync.Mutex
	layout   *site                  // nil while there is no such directory
	shared   *site                  // likewise, of the shared blobs
	verified map[digest.Digest]bool // blobs that were there, and are good
}

var (
	_ transport.Destination = (*Destination)(nil)
	_ transport.Acceptor    = (*Destination)(nil)
	_ transport.Presence    = (*Destination)(nil)
	_ transport.Namer       = (*Destination)(nil)
)

// OpenDestination opens a layout for writing. It writes nothing: a layout that
// is not there is made by the first Put. A directory that is not empty and not a
// layout is errdefs.ErrFailedPrecondition, a reference by position or a layout
// that is not valid errdefs.ErrInvalidArgument.
func OpenDestination(ctx context.Context, ref Reference, opts Options) (*Destination, error) {
	d := &Destination{ref: ref, opts: opts.withDefaults(), prepared: once.New(), verified: map[digest.Digest]bool{}}
	if err := d.attach(ctx); err != nil {
		return nil, fmt.Errorf("opening oci:%s for writing: %w", ref, errors.Join(err, d.Close()))
	}
	return d, nil
}

// attach opens what is there.
func (d *Destination) attach(ctx context.Context) error {
	if err := errors.Join(ctx.Err(), d.ref.check()); err != nil {
		return err
	}
	if n, ok := d.ref.Position(); ok {
		return fmt.Errorf("a destination must not be a position in index.json (@%d): %w", n, errdefs.ErrInvalidArgument)
	}
	var err error
	if d.layout, err = openSite(d.ref.Path, d.opts.Logger); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	if d.layout != nil {
		if _, err := checkTarget(d.layout.root, d.opts.Limits); err != nil {
			return err
		}
	}
	if d.opts.SharedBlobs != "" {
		if d.shared, err = openSite(d.opts.SharedBlobs, d.opts.Logger); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("shared blobs: %w", err)
		}
	}
	return nil
}

// Accepts says that a layout holds OCI and Docker documents but for schema 1, and
// no simple signatures.
func (d *Destination) Accepts() transport.Accepts {
	return transport.Accepts{
		Types:        acceptedTypes(),
		NoSignatures: "an OCI layout cannot hold simple signatures",
	}
}

func acceptedTypes() []string {
	return []string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, image.MediaTypeDockerManifest, image.MediaTypeDockerList}
}

// sites returns the directory of the layout and that of the blobs, which may be
// the same; either is nil if it is not there.
func (d *Destination) sites() (layout, store *site) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.opts.SharedBlobs != "" {
		return d.layout, d.shared
	}
	return d.layout, d.layout
}

// blobsOf returns the blobs in the directory that sites returned for them.
func (d *Destination) blobsOf(store *site) blobs {
	if d.opts.SharedBlobs != "" {
		return blobs{root: store.root}
	}
	return blobs{root: store.root, base: ocispec.ImageBlobsDir}
}

// Has hashes what is there: a blob that is damaged, or not of the descriptor's
// size, is Absent. Commit makes it durable, whoever wrote it.
func (d *Destination) Has(ctx context.Context, node transport.Node) (transport.Have, error) {
	there, err := d.has(ctx, node.Desc)
	if err != nil {
		return transport.Absent, fmt.Errorf("oci:%s: %w", d.ref, err)
	}
	switch {
	case !there:
		return transport.Absent, nil
	case node.Role == image.RoleConfig || node.Role == image.RoleLayer:
		return transport.Complete, nil
	}
	return transport.Present, nil
}

func (d *Destination) has(ctx context.Context, desc ocispec.Descriptor) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if _, err := image.ParseDigest(string(desc.Digest)); err != nil {
		return false, err
	}
	if desc.Size < verify.Unknown {
		return false, fmt.Errorf("%s has the size %d: %w", desc.Digest, desc.Size, errdefs.ErrInvalidArgument)
	}
	_, store := d.sites()
	if store == nil {
		return false, nil
	}
	b := d.blobsOf(store)
	name, err := b.name(desc.Digest)
	if err != nil {
		return false, err
	}
	if store.writer.Has(name, desc.Digest) || d.isVerified(desc.Digest) {
		return true, nil
	}
	err = hashBlob(ctx, b, name, desc)
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errdefs.IsNotFound(err):
		return false, nil
	case err != nil:
		d.opts.Logger.WarnContext(ctx, "a blob in the layout is not good", "layout", d.ref.Path, "digest", desc.Digest, "error", err)
		return false, nil
	}
	store.writer.Adopt(name)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.verified[desc.Digest] = true
	return true, nil
}

func hashBlob(ctx context.Context, b blobs, name string, desc ocispec.Descriptor) error {
	f, err := rootfile.Open(b.root, name)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && desc.Size >= 0 && info.Size() != desc.Size {
		return fmt.Errorf("the file has %d bytes, its descriptor says %d: %w", info.Size(), desc.Size, errdefs.ErrDataLoss)
	}
	return verify.Stream(ctx, f, desc.Digest, desc.Size)
}

func (d *Destination) isVerified(blob digest.Digest) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.verified[blob]
}

// Put writes a blob, unless it is there. A manifest or list of a type that
// Accepts does not name is errdefs.ErrNotImplemented.
func (d *Destination) Put(ctx context.Context, node transport.Node, open transport.Opener) (transport.Outcome, error) {
	out, err := d.put(ctx, node, open)
	if err != nil {
		return transport.Outcome{}, fmt.Errorf("oci:%s: %w", d.ref, err)
	}
	return out, nil
}

func (d *Destination) put(ctx context.Context, node transport.Node, open transport.Opener) (transport.Outcome, error) {
	if t := node.Desc.MediaType; isParent(node.Role) && !slices.Contains(acceptedTypes(), t) {
		return transport.Outcome{}, fmt.Errorf("a layout does not hold documents of type %s: %w", strictjson.Quote(t), errdefs.ErrNotImplemented)
	}
	there, err := d.has(ctx, node.Desc)
	if err != nil {
		return transport.Outcome{}, err
	}
	if there {
		return transport.Outcome{Action: transport.Reused}, nil
	}
	if err := d.prepare(ctx); err != nil {
		return transport.Outcome{}, err
	}
	_, store := d.sites()
	name, err := d.blobsOf(store).name(node.Desc.Digest)
	if err != nil {
		return transport.Outcome{}, err
	}
	file := durable.File{Name: name, Digest: node.Desc.Digest, Size: node.Desc.Size}
	err = store.writer.Put(ctx, file, func(ctx context.Context) (io.ReadCloser, error) { return open(ctx, 0) })
	if err != nil {
		return transport.Outcome{}, err
	}
	return transport.Outcome{Action: transport.Copied}, nil
}

// isParent reports whether a node of that role is a manifest or list.
func isParent(role image.Role) bool {
	return role == image.RoleIndex || role == image.RoleManifest || role == image.RoleAttestation
}

// Close gives the layout up. What was Put and is still held back is removed.
func (d *Destination) Close() error {
	var errs []error
	for _, s := range []*site{d.layout, d.shared} {
		if s != nil {
			errs = append(errs, s.close())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing oci:%s: %w", d.ref, err)
	}
	return nil
}
