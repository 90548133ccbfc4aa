package crashtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing/iotest"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/store"
)

// do does an operation on a store.
func (c *contents) do(ctx context.Context, s store.Store, o op) error {
	var err error
	switch o.kind {
	case makeLease:
		_, err = s.Lease(ctx, store.Lease{ID: o.lease})
	case endLease:
		err = s.Release(ctx, o.lease)
	case publish, put:
		err = c.publish(ctx, s, o)
	case hold:
		err = s.Hold(ctx, o.lease, o.holds...)
	case move, remove:
		_, err = s.Move(ctx, o.moves...)
	case collect:
		_, err = store.Collect(ctx, s)
	}
	if err != nil {
		return fmt.Errorf("to %s: %w", o.kind, err)
	}
	return nil
}

// again does an operation that was interrupted, of which it is not known whether it has
// happened.
func (c *contents) again(ctx context.Context, s store.Store, o op) error {
	moves := make([]store.Move, len(o.moves))
	for i, m := range o.moves {
		m.If = store.Condition{} // it may not hold any more
		moves[i] = m
	}
	o.moves = moves
	err := c.do(ctx, s, o)
	if o.kind == makeLease && errdefs.IsAlreadyExists(err) || o.kind == endLease && errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

func (c *contents) publish(ctx context.Context, s store.Store, o op) (err error) {
	b, err := s.Begin(ctx, o.lease)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	for _, n := range o.nodes {
		if err := c.write(ctx, b, n, o); err != nil {
			return err
		}
	}
	_, err = b.Publish(ctx, o.moves...)
	return err
}

// write has a batch have a blob.
func (c *contents) write(ctx context.Context, b store.Batch, n node, o op) error {
	if n.desc.Size > small {
		switch o.way {
		case cut:
			if err := c.cut(ctx, b, n); err != nil {
				return err
			}
		case writers:
			err := c.stream(ctx, b, n, o.lease)
			if errdefs.IsDataLoss(err) { // what was left of an earlier writer: nothing is now
				err = c.stream(ctx, b, n, o.lease)
			}
			return err
		}
	}
	_, err := b.Put(ctx, n.desc, n.role, c.opener(n.desc))
	return err
}

// stream writes a blob by a Writer, which goes on where the one before was interrupted.
func (c *contents) stream(ctx context.Context, b store.Batch, n node, lease string) (err error) {
	w, err := b.Writer(ctx, lease+" "+string(n.desc.Digest))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	data := c.src.Get(n.desc.Digest)
	if w.Offset() > int64(len(data)) {
		return fmt.Errorf("a writer begins at %d of %d: %w", w.Offset(), len(data), errdefs.ErrDataLoss)
	}
	for part := range slices.Chunk(data[w.Offset():], 100_000) {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return w.Commit(ctx, n.desc, n.role)
}

var errCut = errors.New("the connection was cut")

// cut puts a blob whose bytes end too early, unless it is there.
func (c *contents) cut(ctx context.Context, b store.Batch, n node) error {
	_, err := b.Put(ctx, n.desc, n.role, func(ctx context.Context, from int64) (io.ReadCloser, error) {
		r, err := c.src.Open(ctx, n.desc, from)
		if err != nil {
			return nil, err
		}
		return io.NopCloser(io.MultiReader(io.LimitReader(r, (n.desc.Size-from)/2), iotest.ErrReader(errCut))), nil
	})
	if errors.Is(err, errCut) {
		return nil
	}
	return err
}

// target is a descriptor as names have it.
func target(root ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: root.MediaType, Digest: root.Digest, Size: root.Size}
}
