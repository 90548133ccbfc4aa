package main

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/transport/archive"
)

func archiveOptions(_ context.Context, s settings) (archive.Options, error) {
	if s.sharedBlobs != "" {
		return archive.Options{}, fmt.Errorf("a shared blob directory goes with oci: only: %w", errdefs.ErrInvalidArgument)
	}
	return archive.Options{Limits: s.limits, Logger: s.log, LastWins: s.lastWins}, s.registry.only()
}
