package service

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/store"
)

const (
	// attempts is how often a change is tried before it gives up.
	attempts = 200
	// longestPause is the longest time between two of them.
	longestPause = 20 * time.Millisecond
)

// staleError says that what a change was decided upon did not hold any more.
type staleError struct{ error }

func (e staleError) Unwrap() error { return e.error }

// move moves names, each on a condition. A condition that does not hold any more, and a
// target that has gone meanwhile, is a staleError.
func (s *Service) move(ctx context.Context, moves ...store.Move) ([]store.Moved, error) {
	moved, err := s.store.Move(ctx, moves...)
	return moved, s.stale(err)
}

// stale returns a staleError for what is one. A store that cannot be written to fails the
// same way, but for good.
func (s *Service) stale(err error) error {
	if !errdefs.IsFailedPrecondition(err) && !errdefs.IsNotFound(err) {
		return err
	}
	if s.degraded() {
		return err
	}
	return staleError{err}
}

// degraded reports whether the store says that nothing can be written.
func (s *Service) degraded() bool {
	d, ok := s.store.(interface{ Degraded() error })
	return ok && d.Degraded() != nil
}

// again calls f, which decides in a view and then writes, until what it has seen held
// until it had written.
func (s *Service) again(ctx context.Context, f func() error) error {
	for n := 1; ; n++ {
		err := f()
		var stale staleError
		if !errors.As(err, &stale) {
			return err
		}
		if n == attempts {
			return fmt.Errorf("others were quicker %d times: %w", attempts, stale.error)
		}
		pause := time.NewTimer(rand.N(min(time.Duration(n)*time.Millisecond, longestPause))) //nolint:gosec // who waits how long is no secret
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		}
	}
}
