package registry

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/containerd/errdefs"
)

// round is the asking of a repository's endpoints in order until one answers.
type round struct {
	repo    *Repository
	at      int      // the endpoint that is asked
	mirrors []string // what those before it said
}

// round begins with the endpoint that is kept, or else with the first.
func (r *Repository) round() *round { return &round{repo: r, at: int(max(0, r.chosen.Load()))} }

func (a *round) endpoint() *endpoint { return a.repo.endpoints[a.at] }

// last reports whether there is nothing else to ask after this endpoint.
func (a *round) last() bool { return a.at == len(a.repo.endpoints)-1 }

// once reports whether the endpoint is asked once only, because there is something
// else to try and nothing is known of it.
func (a *round) once() bool { return !a.last() && a.at != int(a.repo.chosen.Load()) }

// keep has requests begin with the endpoint, unless one is kept already.
func (a *round) keep() {
	a.repo.chosen.CompareAndSwap(none, int32(a.at)) //nolint:gosec // there are not that many
}

// next goes on to the next endpoint after one that failed, and returns nil. Where there
// is none, or the caller does not want to go on, it returns the error: that of the
// endpoint asked last, with what the mirrors said in its text.
func (a *round) next(ctx context.Context, err error) error {
	if a.last() || ended(ctx) {
		if len(a.mirrors) > 0 {
			return &afterMirrorsError{mirrors: a.mirrors, err: err}
		}
		return err
	}
	e, level := a.endpoint(), slog.LevelWarn
	if errdefs.IsNotFound(err) {
		level = slog.LevelDebug
	} else if !errdefs.IsDataLoss(err) {
		a.repo.chosen.CompareAndSwap(int32(a.at), none) //nolint:gosec // as above
	}
	a.repo.client.log.Log(ctx, level, "the next endpoint is asked", "repository", a.repo.String(), "failed", e.String(), "error", err)
	a.mirrors = append(a.mirrors, fmt.Sprintf("%s: %v", e, err))
	a.at++
	return nil
}

// ask asks the endpoints in order until one answers. There is something else to try
// where once is true.
func (r *Repository) ask(ctx context.Context, keep keeping, f func(e *endpoint, once bool) error) error {
	for a := r.round(); ; {
		err := f(a.endpoint(), a.once())
		if err == nil {
			if keep {
				a.keep()
			}
			return nil
		}
		if err := a.next(ctx, err); err != nil {
			return err
		}
	}
}

// keeping says whether the endpoint that answers is kept.
type keeping bool

const (
	keep keeping = true
	pass keeping = false
)

// afterMirrorsError is the error of the endpoint that was asked last.
type afterMirrorsError struct {
	mirrors []string
	err     error
}

func (e *afterMirrorsError) Error() string {
	return e.err.Error() + "; before that: " + strings.Join(e.mirrors, "; ")
}
func (e *afterMirrorsError) Unwrap() error { return e.err }
