package blob

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/opencontainers/go-digest"
)

// errLost is a session that cannot be gone on with.
var errLost = errors.New("the upload session is lost")

// session is an upload that the registry has begun.
type session struct {
	repo     *Repository
	location *url.URL
	minPiece string // the OCI-Chunk-Min-Length, as it came
	at       int64  // bytes that the registry has, as far as it has said
	sent     int64  // the highest byte of a request that was begun
	requests int    // that had content
}

// move follows the Location of an answer.
func (s *session) move(resp *http.Response) error {
	u, err := parseLocation(s.location, resp.Header.Get("Location"))
	if err != nil {
		return answerError("status %d: %v", resp.StatusCode, err)
	}
	s.location = u
	return nil
}

// progress notes how many bytes an answer says that the registry has; one that does
// not say it has those before byte to. More than were sent are not ours.
func (s *session) progress(resp *http.Response, to int64) error {
	n := to
	if have := resp.Header.Get("Range"); have != "" {
		var err error
		if n, err = parseProgress(have); err != nil {
			return fmt.Errorf("status %d: %w: %w", resp.StatusCode, err, errLost)
		}
		if n == 0 && to == 1 { // "0-0" is one byte as well
			n = to
		}
	}
	if n > s.sent {
		return fmt.Errorf("status %d: the registry has %d bytes, but only %d were sent: %w", resp.StatusCode, n, s.sent, errLost)
	}
	s.at = n
	return nil
}

// ask asks the registry how far it has got. Any answer that does not say it is errLost.
func (s *session) ask(ctx context.Context) error {
	resp, err := send(ctx, s.repo.clients.Session, http.MethodGet, s.location)
	if err != nil {
		return err
	}
	defer drain(resp)
	if resp.StatusCode != http.StatusNoContent && resp.StatusCode != http.StatusOK {
		err := accept(resp, http.StatusNoContent)
		if resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests {
			err = fmt.Errorf("%w: %w", err, errLost)
		}
		return err
	}
	if resp.Header.Get("Location") != "" {
		if err := s.move(resp); err != nil {
			return err
		}
	}
	return s.progress(resp, 0)
}

// cancelTime bounds how long the end of a session may take.
const cancelTime = 2 * time.Second

// cancel ends the session, so that the registry keeps nothing of it. A registry that
// names a session by what it has wants to be asked for that name first.
func (s *session) cancel(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, cancelTime)
	defer stop()
	for try := 1; ; try++ {
		resp, err := send(ctx, s.repo.clients.Session, http.MethodDelete, s.location)
		if err != nil {
			return err
		}
		drain(resp)
		switch {
		case resp.StatusCode/100 == 2, resp.StatusCode == http.StatusNotFound:
			return nil
		case resp.StatusCode != http.StatusRequestedRangeNotSatisfiable || try > maxTries:
			return fmt.Errorf("DELETE answered %d", resp.StatusCode)
		}
		if err := s.repo.pause(ctx, try); err != nil {
			return err
		}
		if err := s.ask(ctx); err != nil && !errors.Is(err, errLost) {
			return err
		}
	}
}

// exists asks whether the repository has the blob.
func (r *Repository) exists(ctx context.Context, d digest.Digest, size int64) (bool, error) {
	resp, err := send(ctx, r.clients.Control, http.MethodHead, r.blobURL(d))
	if err != nil {
		return false, err
	}
	defer drain(resp)
	if resp.StatusCode == http.StatusNotFound {
		return false, nil
	}
	if err := accept(resp, http.StatusOK); err != nil {
		return false, err
	}
	return resp.ContentLength < 0 || resp.ContentLength == size, nil
}

// sameDigest reports whether a Docker-Content-Digest names d; none, or one by another
// algorithm, does not say, and then known is false.
func sameDigest(resp *http.Response, d digest.Digest) (same, known bool) {
	got := digest.Digest(resp.Header.Get("Docker-Content-Digest"))
	if got.Validate() != nil || got.Algorithm() != d.Algorithm() {
		return false, false
	}
	return got == d, true
}
