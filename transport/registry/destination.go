package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/ref"
	client "github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/registry/blob"
	"github.com/dhowhq/dhow/registry/hosts"
	"github.com/dhowhq/dhow/transport"
)

// Options are those of a Source and a Destination. All but the client has a default.
type Options struct {
	// Client speaks to the registry. It stays the caller's, and open as long as what
	// is opened with it.
	Client *client.Client
	// MountFrom is a name whose repository has the blobs, so that they need not move
	// if the same server has it; zero if none is known.
	MountFrom ref.Reference
	// IncludeForeign has a destination take layers whose licence forbids to hand them
	// on, and which are had from their URLs.
	IncludeForeign bool
	// Verify says who verifies the bytes of blobs.
	Verify blob.Verify
	// Limits bound the documents that are written.
	Limits image.Limits
}

// repository returns the repository of a reference for a use.
func (o Options) repository(ctx context.Context, r Reference, use hosts.Use) (*client.Repository, error) {
	if o.Client == nil {
		return nil, fmt.Errorf("no client for registries: %w", errdefs.ErrInvalidArgument)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return o.Client.Repository(r.Name, use)
}

// Destination writes an image to a registry. Blobs are mounted or uploaded, and
// manifests put by digest, as they come; the names follow in Commit. Besides a
// transport.Destination it is a transport.Acceptor, transport.Presence and
// transport.Namer.
type Destination struct {
	ref  Reference
	repo *client.Repository
	opts Options

	mountFrom string // a repository of the server, or empty

	mu    sync.Mutex
	blobs map[digest.Digest]int64       // put, with their sizes
	roots map[digest.Digest][]byte      // put, to be named
	tags  map[string]ocispec.Descriptor // what tags point at, as far as it was asked
}

// OpenDestination opens a repository for writing. It asks nobody yet.
func OpenDestination(ctx context.Context, r Reference, opts Options) (*Destination, error) {
	repo, err := opts.repository(ctx, r, hosts.Push)
	if err != nil {
		return nil, fmt.Errorf("docker:%s: %w", r, err)
	}
	d := &Destination{
		ref: r, repo: repo, opts: opts,
		blobs: map[digest.Digest]int64{}, roots: map[digest.Digest][]byte{}, tags: map[string]ocispec.Descriptor{},
	}
	if opts.MountFrom != (ref.Reference{}) {
		d.mountFrom, _ = repo.Beside(opts.MountFrom)
	}
	return d, nil
}

// Accepts says that a registry has no simple signatures, what digest the reference
// demands, and whether foreign layers are to be sent. Which types it takes is found out by sending them.
func (d *Destination) Accepts() transport.Accepts {
	a := transport.Accepts{
		NoSignatures: "a registry keeps simple signatures in other places, which are not supported yet",
		Pinned:       d.ref.Name.Digest(),
	}
	if !d.opts.IncludeForeign {
		a.NoForeign = "a nondistributable layer is had from its URLs, and not sent to a registry unasked"
	}
	return a
}

// Has answers for roots: a manifest that a registry has came after all that is
// below it. For the rest, sending is as cheap as asking.
func (d *Destination) Has(ctx context.Context, n transport.Node) (transport.Have, error) {
	if _, err := image.ParseDigest(n.Desc.Digest.String()); err != nil {
		return transport.Absent, fmt.Errorf("docker:%s: %w", d.ref, err)
	}
	if n.Parent != "" || !image.IsDocument(n.Desc.MediaType) {
		return transport.Absent, nil
	}
	d.mu.Lock()
	put := d.roots[n.Desc.Digest] != nil
	d.mu.Unlock()
	if put {
		return transport.Complete, nil
	}
	reference := n.Desc.Digest.String()
	if tag := d.ref.Name.Tag(); n.Subject == "" && tag != "" {
		reference = tag
	}
	have, err := d.named(ctx, reference)
	switch {
	case errdefs.IsNotFound(err):
		return transport.Absent, nil
	case err != nil:
		return transport.Absent, fmt.Errorf("docker:%s: %w", d.ref, err)
	case have.Digest != n.Desc.Digest:
		return transport.Absent, nil
	}
	return transport.Complete, nil
}

// Named returns what a tag, or the reference's own, points at now.
func (d *Destination) Named(ctx context.Context, name string) (ocispec.Descriptor, error) {
	if name == "" {
		name = d.ref.wanted()
	}
	desc, err := d.named(ctx, name)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("docker:%s: %w", d.ref, err)
	}
	return desc, nil
}

// named asks what a tag or digest is, once.
func (d *Destination) named(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	d.mu.Lock()
	desc, ok := d.tags[reference]
	d.mu.Unlock()
	if ok && desc.Digest == "" {
		return desc, fmt.Errorf("%q: %w", reference, errdefs.ErrNotFound)
	}
	if ok {
		return desc, nil
	}
	desc, err := d.repo.Head(ctx, reference)
	if err == nil || errdefs.IsNotFound(err) {
		d.remember(reference, desc)
	}
	return desc, err
}

// remember keeps what a tag points at; the empty descriptor is nothing.
func (d *Destination) remember(reference string, desc ocispec.Descriptor) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tags[reference] = desc
}

// Put mounts or uploads a blob, or puts a manifest under its digest. A root that
// will get the reference's tag waits for that.
func (d *Destination) Put(ctx context.Context, n transport.Node, open transport.Opener) (transport.Outcome, error) {
	out, err := d.put(ctx, n, open)
	if err != nil {
		return transport.Outcome{}, fmt.Errorf("docker:%s: %w", d.ref, err)
	}
	return out, nil
}

func (d *Destination) put(ctx context.Context, n transport.Node, open transport.Opener) (transport.Outcome, error) {
	if _, err := image.ParseDigest(n.Desc.Digest.String()); err != nil {
		return transport.Outcome{}, err
	}
	if n.Role == image.RoleConfig || n.Role == image.RoleLayer || !image.IsDocument(n.Desc.MediaType) {
		return d.blob(ctx, n.Desc, open)
	}
	if have, err := d.Has(ctx, n); err != nil || have != transport.Absent {
		return transport.Outcome{Action: transport.Reused}, err
	}
	data, err := transport.Fetch(ctx, opened(open), n.Desc, d.opts.Limits.WithDefaults().DocumentBytes)
	if err != nil {
		return transport.Outcome{}, err
	}
	if n.Parent == "" {
		d.mu.Lock()
		d.roots[n.Desc.Digest] = data
		d.mu.Unlock()
		if n.Subject == "" && d.ref.Name.Tag() != "" {
			return transport.Outcome{Action: transport.Copied}, nil
		}
	}
	if err := d.write(ctx, n.Desc, data, n.Desc.Digest.String()); err != nil {
		return transport.Outcome{}, err
	}
	return transport.Outcome{Action: transport.Copied}, nil
}

// blob mounts or uploads a blob that was not put before.
func (d *Destination) blob(ctx context.Context, desc ocispec.Descriptor, open transport.Opener) (transport.Outcome, error) {
	d.mu.Lock()
	size, put := d.blobs[desc.Digest]
	old, asked := d.tags[d.ref.Name.Tag()]
	d.mu.Unlock()
	if put && (size == desc.Size || desc.Size < 0) {
		return transport.Outcome{Action: transport.Reused}, nil
	}
	out, err := d.repo.Blobs().Push(ctx, desc, open, blob.PushOptions{
		MountFrom: d.mountFrom,
		Verify:    d.opts.Verify,
		// What is there under the tag shares blobs with what comes.
		Ahead: asked && old.Digest == "",
	})
	if err != nil {
		return transport.Outcome{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.blobs[desc.Digest] = desc.Size
	return out, nil
}

// write puts a document under a tag or digest.
func (d *Destination) write(ctx context.Context, desc ocispec.Descriptor, data []byte, reference string) error {
	err := d.repo.Put(ctx, desc, data, reference)
	if errors.Is(err, client.ErrTypeRefused) {
		return &transport.TypeRefusedError{MediaType: desc.MediaType, Err: err}
	}
	if err == nil {
		d.remember(reference, desc)
		d.remember(desc.Digest.String(), desc)
	}
	return err
}

// Commit gives the roots their tags, the reference's own last.
func (d *Destination) Commit(ctx context.Context, names []transport.Naming) ([]string, error) {
	for _, last := range []bool{false, true} {
		for _, n := range names {
			if (n.Name == "" && n.Subject == "") != last {
				continue
			}
			if err := d.name(ctx, n); err != nil {
				return nil, fmt.Errorf("docker:%s: %w", d.ref, err)
			}
		}
	}
	return nil, nil
}

// name does what one naming asks for.
func (d *Destination) name(ctx context.Context, n transport.Naming) error {
	if n.Subject != "" {
		if err := d.under(ctx, n.Desc, n.Desc.Digest.String()); err != nil {
			return err
		}
		return d.repo.AddReferrer(ctx, n.Subject, n.Desc)
	}
	tag := n.Name
	if tag == "" {
		tag = d.ref.Name.Tag()
	}
	if tag == "" {
		tag = n.Desc.Digest.String()
	}
	return d.under(ctx, n.Desc, tag)
}

// under makes a document that was put, or is there, known under a tag or digest.
func (d *Destination) under(ctx context.Context, desc ocispec.Descriptor, reference string) error {
	now, err := d.named(ctx, reference)
	if err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	if now.Digest == desc.Digest {
		return nil
	}
	d.mu.Lock()
	data := d.roots[desc.Digest]
	d.mu.Unlock()
	if data == nil {
		if _, data, err = d.repo.Get(ctx, desc.Digest.String()); err != nil {
			return err
		}
	}
	return d.write(ctx, desc, data, reference)
}

// Close does nothing: the client is the caller's, and what was put stays.
func (d *Destination) Close() error { return nil }
