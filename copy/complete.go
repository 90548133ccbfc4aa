package copy

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"golang.org/x/sync/errgroup"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/transport"
)

// isComplete reports whether the destination has the source's root with all that is
// below it, where all of that is to be copied as it is. Then neither side need be
// asked for more of the image.
func isComplete(ctx context.Context, dst transport.Destination, acc transport.Accepts, l *loader) (bool, error) {
	has, ok := dst.(transport.Presence)
	if _, signs := l.src.(transport.SignatureReader); !ok || signs || !l.opts.wholeAsIs() {
		return false, nil
	}
	root, err := bothRoots(ctx, dst, l)
	if err != nil {
		return false, err
	}
	if !image.IsDocument(root.Desc.MediaType) || (acc.Pinned != "" && acc.Pinned != root.Desc.Digest) {
		return false, nil // it is for Load and Decide to say what is wrong
	}
	have, err := has.Has(ctx, root)
	return have == transport.Complete, err
}

// bothRoots returns the source's root. What the destination's name points at is asked
// for beside it, so that the destination knows when it is asked whether it has the
// root.
func bothRoots(ctx context.Context, dst transport.Destination, l *loader) (transport.Node, error) {
	node := transport.Node{Role: image.RoleManifest}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		if node.Desc, err = l.root(ctx); err != nil {
			return fmt.Errorf("reading the source: %w", err)
		}
		return nil
	})
	if named, ok := dst.(transport.Namer); ok {
		g.Go(func() error {
			if _, err := named.Named(ctx, ""); err != nil && !errdefs.IsNotFound(err) {
				return fmt.Errorf("asking the destination: %w", err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return node, err
	}
	if image.IsList(node.Desc.MediaType) {
		node.Role = image.RoleIndex
	}
	return node, nil
}
