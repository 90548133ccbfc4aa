package blobfile

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/rootfile"
)

// Rename has what is being written go on under another ref, so that the one it had is
// free. What was kept under that ref before is removed; one that is open there is
// ErrUnavailable, but one that is just ending is waited for.
func (in *Ingest) Rename(ctx context.Context, ref string) error {
	if ref == "" || len(ref) > MaxRef {
		return fmt.Errorf("a ref of %d bytes, not of 1 to %d: %w", len(ref), MaxRef, errdefs.ErrInvalidArgument)
	}
	if ref == in.ref {
		return nil
	}
	err := in.use(ctx, func() error { return in.rename(ctx, ref) })
	if err != nil {
		return fmt.Errorf("going on with %q as %.256q: %w", in.ref, ref, err)
	}
	return nil
}

func (in *Ingest) rename(ctx context.Context, ref string) error {
	d, target := in.d, newIngest(in.d, nameOf(ref))
	target.ref = ref
	target.decide(dropped) // others wait for it
	if err := d.claim(ctx, target); err != nil {
		return err
	}
	err := d.removeIngest(target.name)
	if err == nil && in.made {
		err = told(d.ops.rename(d.ingest, in.name, d.ingest, target.name))
	}
	if err != nil {
		target.release()
		return err
	}
	old, noted := in.name, in.noted
	d.mu.Lock()
	delete(d.writing, old)
	d.writing[target.name] = in
	in.name, in.ref = target.name, ref
	d.mu.Unlock()
	close(target.gone)
	in.noted = false
	if noted {
		err = d.ingest.remove(old + noteSuffix)
	}
	if err == nil && in.made {
		err = in.nameLong()
	}
	return err
}

// Open returns all bytes that Fill or Verify have found to be right; none are
// ErrFailedPrecondition. The reader can be read on when the Ingest has ended.
func (in *Ingest) Open(ctx context.Context) (r io.ReadCloser, err error) {
	err = in.use(ctx, func() error {
		if in.content == "" {
			return fmt.Errorf("it was not verified: %w", errdefs.ErrFailedPrecondition)
		}
		if in.inSmall {
			r = io.NopCloser(bytes.NewReader(in.small))
			return nil
		}
		r, err = rootfile.Open(in.d.ingest.root, in.name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading what was written of %.256q: %w", in.ref, err)
	}
	return r, nil
}
