package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/once"
	local "github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/transport"
)

// Options are those of a Source and a Destination. All but the store has a default.
type Options struct {
	// Store has the images. It stays the caller's, and open as long as what is opened
	// with it.
	Store local.Store
	// Resolve finds the list or manifest that an ID means, or a name with a digest, which
	// no image is called exactly, or is ErrNotFound; nil: nothing is found so. The method
	// Document of an image service is one.
	Resolve func(ctx context.Context, reference string) (ocispec.Descriptor, error)
	// Limits bound the graphs of which it is asked whether all of them is there.
	Limits image.Limits
	// Logger is told of what could not be tidied up; nil: nobody.
	Logger *slog.Logger
}

func (o Options) withDefaults(ctx context.Context) (Options, error) {
	if o.Store == nil {
		return o, fmt.Errorf("no store is given: %w", errdefs.ErrInvalidArgument)
	}
	o.Limits = o.Limits.WithDefaults()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, ctx.Err()
}

// Source reads an image of a store. From Root until Close a lease keeps what it has,
// whatever becomes of the names. Besides a transport.Source it is a transport.Referrers
// and a transport.Lister.
type Source struct {
	ref  Reference
	opts Options
	base context.Context //nolint:containedctx // what it was opened in, without its end: for Close

	held  *once.Step // the lease holds the root
	mu    sync.Mutex
	root  ocispec.Descriptor
	lease string
}

var (
	_ transport.Source    = (*Source)(nil)
	_ transport.Referrers = (*Source)(nil)
	_ transport.Lister    = (*Source)(nil)
)

// OpenSource opens an image for reading. What it is, Root finds out.
func OpenSource(ctx context.Context, r Reference, opts Options) (*Source, error) {
	opts, err := opts.withDefaults(ctx)
	if err == nil && r == (Reference{}) {
		err = fmt.Errorf("no image is named: %w", errdefs.ErrInvalidArgument)
	}
	if err != nil {
		return nil, fmt.Errorf("opening store:%s: %w", r, err)
	}
	return &Source{ref: r, opts: opts, base: context.WithoutCancel(ctx), held: once.New()}, nil
}

// SourceOf opens an image that the caller has found: any list or manifest that is there.
// The names beside it are those of the reference's repository, if that has a name.
func SourceOf(ctx context.Context, root ocispec.Descriptor, r Reference, opts Options) (*Source, error) {
	opts, err := opts.withDefaults(ctx)
	if err == nil {
		_, err = image.ParseDigest(root.Digest.String())
	}
	if err != nil {
		return nil, fmt.Errorf("opening %q in a store: %w", root.Digest, err)
	}
	return &Source{ref: r, opts: opts, base: context.WithoutCancel(ctx), held: once.New(), root: root}, nil
}

// Root returns what the reference means. It is looked up once.
func (s *Source) Root(ctx context.Context) (ocispec.Descriptor, error) {
	err := s.held.Do(ctx, func() error { return s.hold(ctx) })
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("store:%s: %w", s.ref, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.root, nil
}

// hold finds the root and has a lease hold it, if the store can be written to.
func (s *Source) hold(ctx context.Context) error {
	root, err := s.find(ctx)
	if err != nil {
		return err
	}
	lease, err := s.opts.Store.Lease(ctx, local.Lease{Process: true})
	switch {
	case errdefs.IsFailedPrecondition(err):
		s.opts.Logger.DebugContext(ctx, "what is read is not held", "digest", root.Digest, "error", err)
	case err != nil:
		return err
	default:
		s.mu.Lock()
		s.lease = lease.ID
		s.mu.Unlock()
		if err := s.opts.Store.Hold(ctx, lease.ID, root.Digest); err != nil {
			return errors.Join(err, s.release(ctx))
		}
	}
	if _, err := s.opts.Store.Stat(ctx, root.Digest); err != nil { // it may have gone before it was held
		return errors.Join(err, s.release(ctx))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.root = root
	return nil
}

// release ends the lease.
func (s *Source) release(ctx context.Context) error {
	s.mu.Lock()
	lease := s.lease
	s.lease = ""
	s.mu.Unlock()
	return release(ctx, s.opts.Store, lease)
}

// releasing is how long the end of a lease may take.
const releasing = 30 * time.Second

// release ends a lease, if it has an ID, also when the context has ended.
func release(ctx context.Context, s local.Leases, id string) error {
	if id == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releasing)
	defer cancel()
	if err := s.Release(ctx, id); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("releasing the lease: %w", err)
	}
	return nil
}

// Open returns the bytes of anything that is in the store. They are verified when they
// are read to the end.
func (s *Source) Open(ctx context.Context, desc ocispec.Descriptor, from int64) (io.ReadCloser, error) {
	r, err := s.opts.Store.Open(ctx, desc.Digest, from)
	if err != nil {
		return nil, fmt.Errorf("store:%s: %w", s.ref, err)
	}
	return r, nil
}

// Close releases what was kept. Readers that are open stay good.
func (s *Source) Close() error {
	if err := s.release(s.base); err != nil {
		return fmt.Errorf("closing store:%s: %w", s.ref, err)
	}
	return nil
}
