// Package once does a step until it has succeeded once.
package once

import "context"

// Step is a step that several callers may want done, and that is done once. Unlike
// that of sync.Once it may fail, and is tried again by the next caller then; and who
// waits for another caller gives up when its context ends.
type Step struct {
	token chan struct{} // held by the caller that does the step
	done  bool          // the token guards it
}

// New returns a step that is not done.
func New() *Step { return &Step{token: make(chan struct{}, 1)} }

// Do calls f, unless a call before has succeeded, and returns its error. It is safe
// for use by several goroutines at once, one of which is in f at a time.
func (s *Step) Do(ctx context.Context, f func() error) error {
	select {
	case s.token <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.token }()
	if s.done {
		return nil
	}
	err := f()
	s.done = err == nil
	return err
}
