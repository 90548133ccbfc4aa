package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
)

// The exit codes.
const (
	exitOK       = 0
	exitError    = 1 // any other error
	exitNotFound = 2 // what was asked for is not there
	exitDataLoss = 3 // content did not match its digest or size
)

// exitCode is the one table from errors to exit codes. Damage outweighs absence.
func exitCode(err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errdefs.ErrDataLoss):
		return exitDataLoss
	case errors.Is(err, errdefs.ErrNotFound):
		return exitNotFound
	default:
		return exitError
	}
}

// errorLine returns the one line in which an error is told: of one that was joined also
// what had failed before it was stopped.
func errorLine(ctx context.Context, err error) string {
	line := err.Error()
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) {
		line = errors.Join(fmt.Errorf("stopped: %w", cause), notCanceled(err)).Error()
	}
	return "dhow: " + text.Escape(oneLine(line))
}

// notCanceled returns those of joined errors that do not come of the end of a context.
func notCanceled(err error) error {
	if !errors.Is(err, context.Canceled) {
		return err
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || errors.Join(joined.Unwrap()...).Error() != err.Error() {
		return nil
	}
	var others []error
	for _, err := range joined.Unwrap() {
		others = append(others, notCanceled(err))
	}
	return errors.Join(others...)
}

// oneLine returns the text of an error in one line: errors that were joined stand on
// lines of their own.
func oneLine(message string) string {
	return strings.ReplaceAll(strings.TrimSpace(message), "\n", "; ")
}
