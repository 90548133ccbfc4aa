package dir

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/durable"
	"github.com/dhowhq/dhow/transport"
)

// Commit implements transport.Destination. Exactly one name must be the empty one
// without a subject: the root. Referrers, and what has another name, become
// further manifests, with a note. No names at all leave the image as it is and
// only make durable what was Put.
//
// After it the directory holds what was Put or found by Has, and what can be
// reached from the names: other files of the format are removed, all others stay.
// Where nothing is to be changed, nothing is written. The new image is durable
// before the old one goes, and whoever reads the directory meanwhile, or after
// Commit was killed, sees the old image or the new one; what they see of
// signatures is said at plan. Another Commit on the directory is waited for.
func (d *Destination) Commit(ctx context.Context, names []transport.Naming) ([]string, error) {
	to, notes, err := targetOf(names)
	if err == nil {
		err = d.commit(ctx, to)
	}
	if err != nil {
		return nil, d.ref.at("putting the image in place", err)
	}
	return notes, nil
}

// target is what a directory shall hold.
type target struct {
	root    ocispec.Descriptor
	further []ocispec.Descriptor
}

// targetOf reads the names. It returns nil if there are none.
func targetOf(names []transport.Naming) (*target, []string, error) {
	var (
		to      target
		further []ocispec.Descriptor
		notes   []string
	)
	for _, n := range names {
		d, err := image.ParseDigest(string(n.Desc.Digest))
		switch {
		case err != nil:
			return nil, nil, err
		case n.Subject != "":
			notes = append(notes, fmt.Sprintf("referrer %s is kept as a further manifest: a directory has no list of referrers", d))
			further = append(further, n.Desc)
		case n.Name != "":
			notes = append(notes, fmt.Sprintf("%s is kept as a further manifest without its name %.256q: a directory has no names", d, n.Name))
			further = append(further, n.Desc)
		case to.root.Digest != "":
			return nil, nil, fmt.Errorf("a directory holds one image, not both %s and %s: %w", to.root.Digest, d, errdefs.ErrInvalidArgument)
		default:
			to.root = n.Desc
		}
	}
	if len(names) == 0 {
		return nil, nil, nil
	}
	if to.root.Digest == "" {
		return nil, nil, fmt.Errorf("none of the %d names is that of the image itself: %w", len(names), errdefs.ErrInvalidArgument)
	}
	for _, desc := range further {
		if desc.Digest != to.root.Digest {
			to.further = append(to.further, desc)
		}
	}
	return &to, notes, nil
}

func (d *Destination) commit(ctx context.Context, to *target) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	root, writer := d.opened()
	if root == nil {
		if to == nil {
			return nil
		}
		return gone(to.root.Digest.String())
	}
	if err := writer.Flush(ctx); err != nil || to == nil {
		return err
	}
	// Without the lock only the answer that nothing is to be done counts.
	if plan, err := d.plan(ctx, root, *to); err == nil && len(plan.steps) == 0 {
		return d.syncFound(ctx, plan.there)
	}
	if err := d.prepare(ctx); err != nil {
		return err
	}
	// One job for all that the lock protects: a cancelled Commit must not give it up
	// while its last step goes on.
	return writer.Do(ctx, func() error {
		unlock, err := durable.Lock(ctx, root, lockName)
		if err != nil {
			return err
		}
		plan, err := d.plan(ctx, root, *to)
		if err == nil {
			err = d.syncFound(context.WithoutCancel(ctx), plan.there)
		}
		if err == nil {
			err = d.take(context.WithoutCancel(ctx), plan.steps)
		}
		return errors.Join(err, unlock())
	})
}

// syncFound makes durable those of the files that Has found: others wrote them.
func (d *Destination) syncFound(ctx context.Context, files map[string]bool) error {
	_, writer := d.opened()
	d.mu.Lock()
	for name, found := range d.wanted {
		if found && files[name] {
			writer.Adopt(name)
		}
	}
	d.mu.Unlock()
	err := writer.Flush(ctx)
	if errdefs.IsNotFound(err) {
		return gone("something that was found (" + err.Error() + ")")
	}
	return err
}

// take takes the steps, one after the other, each durable before the next one.
// Only removals in a row are made durable together.
func (d *Destination) take(ctx context.Context, steps []step) error {
	_, writer := d.opened()
	removed := false
	for _, s := range steps {
		if d.before != nil {
			if err := d.before(s); err != nil {
				return err
			}
		}
		if s.remove {
			if err := writer.Remove(ctx, s.name); err != nil {
				return err
			}
			removed = true
			continue
		}
		if removed {
			if err := writer.Flush(ctx); err != nil {
				return err
			}
			removed = false
		}
		if err := writer.Replace(ctx, s.name, s.data); err != nil {
			return err
		}
	}
	return writer.Flush(ctx)
}
