package copy

import (
	"context"
	"fmt"

	"github.com/dhowhq/dhow/transport"
)

// Image copies what the source's reference means to the destination, with all
// that belongs to it, and moves the destination's name to it at the end. It
// neither opens nor closes the two places.
//
// The receipt is not nil where nodes have been moved, even if there is an error:
// then no name has moved, and repeating the copy moves what is missing. Kinds of
// errors: those of the two places and of Load, Decide and Run.
func Image(ctx context.Context, dst transport.Destination, src transport.Source, opts Options) (*Receipt, error) {
	plan, err := Prepare(ctx, dst, src, opts)
	if err != nil {
		return nil, err
	}
	return Run(ctx, dst, src, plan, opts)
}

// Prepare loads the image and decides what a copy to the destination would do.
// It writes nothing.
func Prepare(ctx context.Context, dst transport.Destination, src transport.Source, opts Options) (*Plan, error) {
	acc := acceptsOf(dst)
	loaded, err := Load(ctx, src, acc, opts)
	if err != nil {
		return nil, fmt.Errorf("reading the source: %w", err)
	}
	return Decide(loaded, acc, opts)
}
