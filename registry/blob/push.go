package blob

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/transport"
)

// PushOptions say how one blob is pushed. The zero value is usable.
type PushOptions struct {
	// MountFrom is a repository of the same registry that has the blob, so that the
	// registry may take it from there. Empty: none is known, and the registry is asked
	// to take it from this repository, which costs nothing and finds what an earlier
	// push has left.
	MountFrom string
	// Verify says who verifies the bytes.
	Verify Verify
	// Ahead has a small blob opened and read while the registry is asked whether it has
	// it, which saves a round trip where it has not, and is in vain where it has. Once
	// the registry has had one, no other is.
	Ahead bool
}

// Verify says who verifies the bytes of a blob that is pushed.
type Verify uint8

const (
	// VerifyHere hashes the bytes while they are sent. The registry gets the last of
	// them only if all are what the descriptor says.
	VerifyHere Verify = iota
	// VerifyAtDestination leaves that to the registry, which is told the digest.
	// Only the size is checked here.
	VerifyAtDestination
)

// Push makes a blob present, as transport.Destination has it. The registry is asked
// to mount it; what it does not mount is sent in one request, or in pieces if it is
// large or the request broke off, from where the registry says that it has got to. A
// small one goes along with that question, where the registry takes it so
// (distribution specification, "Single POST"). A blob that the registry has already is
// Reused, or Mounted, if it says so when asked to mount it, and else costs the same as
// one that it has not. open is called when a request first needs bytes, and again where some have
// to be sent once more; nothing is spooled.
//
// Content that is not what the descriptor says is errdefs.ErrDataLoss; the registry is
// then asked to forget what it got. An error of open, or of what it opened, is wrapped.
// When ctx ends, the registry is left with what it got.
func (r *Repository) Push(ctx context.Context, desc ocispec.Descriptor, open transport.Opener, opts PushOptions) (transport.Outcome, error) {
	d, err := check(desc)
	if err != nil {
		return transport.Outcome{}, err
	}
	desc.Digest = d
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &push{repo: r, opts: opts, cancel: cancel, content: &content{ctx: inner, desc: desc, from: open}, pieces: newPieces(r.opts.PieceSize)}
	if opts.Verify == VerifyHere {
		if p.content.hash, err = newMarks(d); err != nil {
			return transport.Outcome{}, err
		}
	}
	out, err := p.run(inner)
	if err != nil {
		return transport.Outcome{}, fmt.Errorf("pushing blob %s to %s: %w", d, r, err)
	}
	return out, nil
}

// push is one blob on its way.
type push struct {
	repo    *Repository
	opts    PushOptions
	content *content
	memory  room               // that content is kept in, if it is
	cancel  context.CancelFunc // ends the reading of content
	pieces  pieces

	broken     bool          // it broke off when it was sent in one request
	noPieces   bool          // the registry does not take pieces
	mismatches int           // times that the registry had something else
	completing bool          // the last request was one to complete the upload
	asked      int64         // bytes of the last request
	passed     int64         // and of those that were sent
	best       int64         // the most that the registry ever had
	tries      int           // in a row that did not add to it
	held       chan struct{} // closed when a request lets go of content; nil if none holds it
}

// run begins sessions until one completes.
func (p *push) run(ctx context.Context) (transport.Outcome, error) {
	defer p.close()
	for {
		s, there, err := p.begin(ctx)
		if err != nil {
			return transport.Outcome{}, err
		}
		if s == nil {
			return there, nil
		}
		err = p.upload(ctx, s)
		switch {
		case err == nil:
			return p.copied(), nil
		case errors.Is(err, errLost):
			if err := p.again(ctx, err); err != nil {
				return transport.Outcome{}, err
			}
		default:
			return transport.Outcome{}, p.abandon(ctx, s, err)
		}
	}
}

// close closes the content, which a request may still hold when the context has ended.
func (p *push) close() {
	done := func() {
		p.content.close()
		p.memory.release()
	}
	if p.held == nil {
		done()
		return
	}
	go func() {
		<-p.held
		done()
	}()
}

func (p *push) copied() transport.Outcome {
	out := transport.Outcome{Action: transport.Copied}
	if p.opts.Verify == VerifyAtDestination {
		out.Verifier = transport.VerifiedAtDestination
	}
	return out
}

// abandon ends a session that failed and returns why it did. A registry that cannot be
// reached, or is not to be asked any more, is not asked.
func (p *push) abandon(ctx context.Context, s *session, cause error) error {
	if ctx.Err() != nil || errdefs.IsPermissionDenied(cause) || errdefs.IsUnavailable(cause) && p.content.err == nil {
		return cause
	}
	if err := s.cancel(ctx); err != nil {
		return fmt.Errorf("%w (and the upload could not be cancelled: %s)", cause, err.Error())
	}
	return cause
}

// again counts a try that made no progress and waits before the next one. To do as the
// registry wants it done is no retry.
func (p *push) again(ctx context.Context, cause error) error {
	most := p.repo.opts.Retries
	if errors.Is(cause, errMoved) || errors.Is(cause, errOtherwise) {
		most = max(most, maxTries)
	}
	if p.tries++; p.tries > most {
		return fmt.Errorf("%s got no further than byte %d of %d: %w: %w",
			triesInARow(most), p.best, p.content.desc.Size, cause, errdefs.ErrUnavailable)
	}
	return p.repo.pause(ctx, p.tries)
}
