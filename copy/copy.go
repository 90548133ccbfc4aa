package copy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/transport"
)

// Image copies what the source's reference means to the destination, with all
// that belongs to it, and moves the destination's name to it at the end. It
// neither opens nor closes the two places.
//
// Where the destination refuses the type of a document, the image is converted to
// the next type that it may take, unless it must not change; nothing else is a
// reason to convert. The error then lists every attempt.
//
// The receipt is not nil where nodes have been moved, even if there is an error:
// then no name has moved, and repeating the copy moves what is missing. Kinds of
// errors: those of the two places and of Load, Decide and Run.
func Image(ctx context.Context, dst transport.Destination, src transport.Source, opts Options) (*Receipt, error) {
	acc := acceptsOf(dst)
	var refused error
	for {
		receipt, err := attempt(ctx, dst, acc, src, opts)
		var refusal *transport.TypeRefusedError
		if !errors.As(err, &refusal) || !without(&acc, refusal.MediaType) {
			return receipt, after(refused, err)
		}
		refused = after(refused, err)
	}
}

// after returns the error of an attempt with those of the attempts before it.
func after(before, err error) error {
	if before == nil || err == nil {
		return err
	}
	return fmt.Errorf("%w; before that, %w", err, before)
}

// without takes a type out of what a destination accepts, and reports whether
// there is another one to try.
func without(acc *transport.Accepts, mediaType string) bool {
	types := acc.Types
	if len(types) == 0 {
		types = []string{ocispec.MediaTypeImageManifest, image.MediaTypeDockerManifest, ocispec.MediaTypeImageIndex, image.MediaTypeDockerList}
	}
	acc.Types = slices.DeleteFunc(slices.Clone(types), func(t string) bool { return t == mediaType })
	return len(acc.Types) < len(types) &&
		slices.ContainsFunc(acc.Types, func(t string) bool { return image.IsList(t) == image.IsList(mediaType) })
}

// Prepare loads the image and decides what a copy to the destination would do.
// It writes nothing.
func Prepare(ctx context.Context, dst transport.Destination, src transport.Source, opts Options) (*Plan, error) {
	acc := acceptsOf(dst)
	l, err := begin(ctx, dst, acc, src, opts)
	if err != nil {
		return nil, err
	}
	defer l.close()
	return l.decide(ctx)
}

// attempt copies the image to a destination that accepts what acc says. Its blobs begin
// to move when it is known, and what is attached to it is found meanwhile.
func attempt(ctx context.Context, dst transport.Destination, acc transport.Accepts, src transport.Source, opts Options) (*Receipt, error) {
	l, err := begin(ctx, dst, acc, src, opts)
	if err != nil {
		return nil, err
	}
	defer l.close()
	if plan := l.early(); plan != nil {
		return run(ctx, dst, src, plan, l.decide, opts)
	}
	plan, err := l.decide(ctx)
	if err != nil {
		return nil, err
	}
	return run(ctx, dst, src, plan, nil, opts)
}

// begin reads the image itself, as far as the destination does not have it.
func begin(ctx context.Context, dst transport.Destination, acc transport.Accepts, src transport.Source, opts Options) (*loader, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	l := newLoader(ctx, src, acc, opts)
	l.near, _ = dst.(transport.Readable)
	var err error
	if l.Complete, err = isComplete(ctx, dst, acc, l); err == nil {
		if err = l.image(ctx); err == nil {
			return l, nil
		}
		err = fmt.Errorf("reading the source: %w", err)
	}
	l.close()
	return nil, err
}

// early returns the plan for the image without what is attached to it, if that cannot
// change it; else nil.
func (l *loader) early() *Plan {
	if _, signs := l.src.(transport.SignatureReader); signs || l.Complete || l.opts.mayEdit() {
		return nil
	}
	plan, err := Decide(&l.Loaded, l.acc, l.opts)
	if err != nil || slices.ContainsFunc(plan.Ops, func(op Op) bool { return op.Action != Copied }) {
		return nil // which depends on whether it is signed
	}
	return plan
}

// decide reads what is attached and decides about all.
func (l *loader) decide(ctx context.Context) (*Plan, error) {
	if err := l.rest(ctx); err != nil {
		return nil, fmt.Errorf("reading the source: %w", err)
	}
	return Decide(&l.Loaded, l.acc, l.opts)
}
