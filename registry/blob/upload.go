package blob

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/registry/wire"
)

var (
	// errBroken is a request with content that failed in a way that another one may not.
	errBroken = errors.New("the request failed")
	// errMoved is a request that the registry wants at another Location.
	errMoved = errors.New("redirected")
	// errOtherwise is an upload that is to be sent in another way.
	errOtherwise = errors.New("it has to be sent in another way")
)

// upload sends the content in a session. errLost says that another session is needed.
func (p *push) upload(ctx context.Context, s *session) error {
	for {
		done, err := p.step(ctx, s)
		switch {
		case errors.Is(err, errMoved):
			err = p.again(ctx, err)
		case errors.Is(err, errBroken):
			done, err = p.resume(ctx, s, err)
		}
		if done || err != nil {
			return err
		}
	}
}

// step sends the next request with content, or the one that completes the upload.
func (p *push) step(ctx context.Context, s *session) (done bool, err error) {
	size := p.content.desc.Size
	switch {
	case size == 0:
		if err := p.content.empty(); err != nil {
			return false, err
		}
		return p.complete(ctx, s)
	case s.at == size:
		return p.complete(ctx, s)
	case s.at == 0 && (p.noPieces || size <= p.repo.opts.PutUpTo && !p.broken):
		return p.complete(ctx, s)
	}
	return false, p.patch(ctx, s)
}

// resume finds out what became of a request that failed, so that the upload can go on.
// done says that it has succeeded.
func (p *push) resume(ctx context.Context, s *session, cause error) (done bool, err error) {
	size, before := p.content.desc.Size, s.at
	// The last request may have arrived, and only its answer not.
	unheard := status(cause) == 0 && p.completing && (s.sent == size || s.at == size)
	for {
		if err := p.again(ctx, cause); err != nil {
			return false, err
		}
		if unheard {
			if done, err = p.repo.exists(ctx, p.content.desc.Digest, size); done || err != nil {
				return done, err
			}
		}
		err := s.ask(ctx)
		if err == nil {
			if !busy(cause) {
				p.pieces.broke(p.passed, s.at-before)
			}
			p.advanced(s)
			return false, nil
		}
		if errors.Is(err, errLost) || status(err) == 0 {
			return false, err
		}
		cause = err
	}
}

// complete sends what the registry does not have, and the digest (distribution
// specification, "POST then PUT").
func (p *push) complete(ctx context.Context, s *session) (done bool, err error) {
	d := p.content.desc.Digest
	p.completing = true
	resp, err := p.send(ctx, s, http.MethodPut, p.content.desc.Size, d.String())
	if err != nil {
		// One of which nothing was sent may just have had an old connection.
		p.broken = p.broken || p.passed > 0 && !busy(err)
		return false, err
	}
	defer drain(resp)
	switch resp.StatusCode {
	case http.StatusCreated:
		if same, known := sameDigest(resp, d); known && !same {
			return false, fmt.Errorf("the registry has stored %s: %w", quote(resp.Header.Get("Docker-Content-Digest")), errdefs.ErrDataLoss)
		}
		return true, nil
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		there, err := p.repo.exists(ctx, d, p.content.desc.Size)
		if err == nil && !there {
			err = answerError("PUT answered %d, and the blob is not there", resp.StatusCode)
		}
		return err == nil, err
	}
	return false, p.refused(s, resp)
}

// patch sends a piece (distribution specification, "Pushing a blob in chunks").
func (p *push) patch(ctx context.Context, s *session) error {
	p.completing = false
	least, err := parseMinPiece(s.minPiece)
	if err != nil {
		return answerError("the registry wants pieces of a size that is none: %v", err)
	}
	p.pieces.atLeast(least)
	end := min(s.at+p.pieces.size, p.content.desc.Size)
	resp, err := p.send(ctx, s, http.MethodPatch, end, "")
	if err != nil {
		return err
	}
	defer drain(resp)
	if resp.StatusCode != http.StatusAccepted && resp.StatusCode != http.StatusNoContent {
		return p.refused(s, resp)
	}
	if err := s.move(resp); err != nil {
		return err
	}
	before := s.at
	if err := s.progress(resp, end); err != nil {
		return err
	}
	p.advanced(s)
	p.pieces.arrived()
	if s.at <= before {
		return fmt.Errorf("PATCH answered %d, and the registry has %d bytes: %w", resp.StatusCode, s.at, errBroken)
	}
	return nil
}

// advanced notes how far the session has got.
func (p *push) advanced(s *session) {
	if s.at > p.best {
		p.best, p.tries = s.at, 0
	}
}

// send sends the bytes from where the session is to end, and with a digest the end of
// the upload. An error is final, or errBroken.
func (p *push) send(ctx context.Context, s *session, method string, end int64, digest string) (*http.Response, error) {
	u := s.location
	if digest != "" {
		u = withQuery(u, "digest", digest)
	}
	p.asked, p.passed = end-s.at, 0
	if s.at == end {
		resp, err := send(ctx, p.repo.clients.Upload, method, u)
		return resp, p.broke(ctx, err)
	}
	body := p.content.body(s.at, end)
	req, err := newRequest(ctx, method, u, body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = end - s.at
	req.Header.Set("Content-Type", "application/octet-stream")
	if method == http.MethodPatch {
		req.Header.Set("Content-Range", fmt.Sprintf("%d-%d", s.at, end-1))
	}
	s.requests++
	client := p.repo.clients.Upload
	if method == http.MethodPost {
		client = p.repo.clients.Post
	}
	resp, err := do(ctx, client, req)
	err = errors.Join(err, p.settle(ctx, s, body))
	if err == nil && method != http.MethodPost && resp.StatusCode/100 == 2 && body.at < end {
		err = fmt.Errorf("%s answered %d when %d of %d bytes were sent", method, resp.StatusCode, body.at, end)
	}
	if err != nil && resp != nil {
		drain(resp)
	}
	if p.held == nil && p.content.err != nil {
		return nil, p.content.err
	}
	return resp, p.broke(ctx, err)
}

// settle waits until a request has let go of the content.
func (p *push) settle(ctx context.Context, s *session, b *body) error {
	if err := b.settle(ctx); err != nil {
		p.held = b.idle
		return err
	}
	p.passed = b.at - s.at
	s.sent = max(s.sent, b.at)
	return nil
}

// broke returns errBroken for an error of a client that another request may not have.
func (p *push) broke(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil || errdefs.IsPermissionDenied(err) || errdefs.IsUnauthorized(err) {
		return err
	}
	return fmt.Errorf("%w: %w", errBroken, err)
}

// refused returns the error for an answer to content that is one: errLost, errBroken,
// errMoved, or one that is final.
func (p *push) refused(s *session, resp *http.Response) error {
	if resp.StatusCode == http.StatusTemporaryRedirect || resp.StatusCode == http.StatusPermanentRedirect {
		if err := s.move(resp); err != nil {
			return err
		}
		return fmt.Errorf("status %d: %w", resp.StatusCode, errMoved)
	}
	err := accept(resp)
	answer, _ := errors.AsType[*wire.ResponseError](err)
	has := func(codes ...string) bool { return slices.ContainsFunc(codes, answer.Has) }
	switch {
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusGone, has("BLOB_UPLOAD_UNKNOWN"):
		return fmt.Errorf("%w: %w", err, errLost)
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable, resp.StatusCode == http.StatusTooManyRequests,
		resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented,
		resp.StatusCode == http.StatusRequestEntityTooLarge && p.smaller(),
		has("BLOB_UPLOAD_INVALID") && s.requests > 1 && !p.completing:
		return fmt.Errorf("%w: %w", errBroken, err)
	case has("DIGEST_INVALID", "SIZE_INVALID", "BLOB_UPLOAD_INVALID") && p.completing:
		return p.mismatch(s, err)
	case errdefs.IsNotImplemented(err) && !p.completing && !p.noPieces:
		p.noPieces = true
		return fmt.Errorf("%w: %w: %w", err, errOtherwise, errLost)
	}
	return err
}

// busy reports whether an error is an answer that says to come again, which says
// nothing of the size of what was sent.
func busy(err error) bool {
	code := status(err)
	return code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable
}

// smaller has pieces smaller than the last request sent from now on, and reports
// whether they can be.
func (p *push) smaller() bool {
	p.broken = true
	return p.pieces.tooLarge(p.asked)
}

// mismatch returns the error for a registry that has got something else than was sent.
// After several requests one of them may have left what it should not: then it is sent
// once more from the beginning.
func (p *push) mismatch(s *session, err error) error {
	if p.mismatches++; s.requests > 1 && p.mismatches == 1 {
		return fmt.Errorf("%w: %w: %w", err, errOtherwise, errLost)
	}
	return fmt.Errorf("%w: %w", err, errdefs.ErrDataLoss)
}
