package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// errNoRanges is the answer to a question for a range that has all of the blob, or
// anything else but that range.
var errNoRanges = errors.New("the registry does not answer with the range that was asked for")

// source is one blob as it is asked for. It remembers where the registry sent us, so
// that not every range costs a redirect.
type source struct {
	repo    *Repository
	desc    ocispec.Descriptor
	foreign *url.URL // where it is, if not in the repository

	mu sync.Mutex
	// redirected is the last request of the last answer, if a redirect led to it.
	redirected *http.Request
}

// part is an answer: the bytes [at, end) of the blob are still to be read.
type part struct {
	body    io.ReadCloser
	at, end int64
}

// errShort is an answer that ended, and did not break off, before its bytes had come.
var errShort = errors.New("the answer ended early")

// Read returns io.EOF when all bytes have come and no more do, errShort for too few,
// and errdefs.ErrDataLoss for more than there are.
func (p *part) Read(b []byte) (int, error) {
	if p.at == p.end {
		return 0, p.over()
	}
	n, err := p.body.Read(b[:min(int64(len(b)), p.end-p.at)])
	p.at += int64(n)
	if errors.Is(err, io.EOF) && p.at < p.end {
		err = errShort
	}
	return n, err
}

// over reads the end of the body. A body that breaks off there has brought all that
// was promised.
func (p *part) over() error {
	for one := make([]byte, 1); ; {
		n, err := p.body.Read(one)
		if n > 0 {
			return fmt.Errorf("the answer goes on after byte %d: %w", p.end, errdefs.ErrDataLoss)
		}
		if err != nil {
			return io.EOF
		}
	}
}

// ask asks for the bytes [start, end). The part that it returns begins at start, or,
// if the registry sends all of the blob, at 0. errNoRanges says that it answered with
// something else; any other error is final.
func (s *source) ask(ctx context.Context, start, end int64) (*part, error) {
	if before := s.known(); before != nil {
		resp, err := s.get(ctx, before, start, end)
		if err != nil {
			return nil, err
		}
		if !expired(resp.StatusCode) {
			return s.take(resp, start, end)
		}
		drain(resp)
	}
	resp, err := s.get(ctx, nil, start, end)
	if err != nil {
		return nil, err
	}
	return s.take(resp, start, end)
}

// get sends a request for the bytes [start, end), to where we were sent before or to
// where the blob is. All bytes are asked for without a range, which
// every registry understands.
func (s *source) get(ctx context.Context, before *http.Request, start, end int64) (*http.Response, error) {
	u, way := s.repo.blobURL(s.desc.Digest), s.repo.clients.Download
	if s.foreign != nil {
		u, way = s.foreign, s.repo.clients.Foreign
	}
	if before != nil {
		u = before.URL
	}
	req, err := newRequest(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, err
	}
	if before != nil {
		req.Response = before.Response
	}
	if start > 0 || end < s.desc.Size {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", start, end-1))
	}
	return do(ctx, way, req)
}

// take returns the part that an answer is, and remembers where it came from.
func (s *source) take(resp *http.Response, start, end int64) (*part, error) {
	p, err := s.read(resp, start, end)
	if err != nil {
		_ = resp.Body.Close() // nothing more is wanted of it
		return nil, err
	}
	s.remember(resp.Request)
	return p, nil
}

// expired reports whether a URL that the registry redirected to answers that it is
// good no more.
func expired(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone:
		return true
	}
	return false
}

// known returns the request that a redirect led to before, or nil.
func (s *source) known() *http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.redirected
}

func (s *source) remember(req *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if req != nil && req.Response != nil {
		s.redirected = req
	} else {
		s.redirected = nil
	}
}

// read returns the part that an answer to the question for [start, end) has.
func (s *source) read(resp *http.Response, start, end int64) (*part, error) {
	if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && (start > 0 || end < s.desc.Size) {
		return nil, fmt.Errorf("bytes %d to %d: status 416: %w", start, end-1, errNoRanges)
	}
	if err := accept(resp, http.StatusOK, http.StatusPartialContent); err != nil {
		return nil, err
	}
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, answerError("the answer has the Content-Encoding %s, and only identity was accepted", quote(encoding))
	}
	if resp.StatusCode == http.StatusPartialContent {
		return s.readRange(resp, start, end)
	}
	if resp.ContentLength >= 0 && resp.ContentLength != s.desc.Size {
		return nil, fmt.Errorf("the registry has %d bytes of type %s, want %d: %w",
			resp.ContentLength, quote(resp.Header.Get("Content-Type")), s.desc.Size, errdefs.ErrDataLoss)
	}
	return &part{body: resp.Body, end: s.desc.Size}, nil
}

// readRange returns the part that an answer with the status 206 has.
func (s *source) readRange(resp *http.Response, start, end int64) (*part, error) {
	values := resp.Header.Values("Content-Range")
	if len(values) != 1 || strings.HasPrefix(strings.ToLower(resp.Header.Get("Content-Type")), "multipart/") {
		return nil, fmt.Errorf("bytes %d to %d: status 206 with %d Content-Range headers and type %s: %w",
			start, end-1, len(values), quote(resp.Header.Get("Content-Type")), errNoRanges)
	}
	got, err := parseContentRange(values[0])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, errNoRanges)
	}
	if got.total >= 0 && got.total != s.desc.Size {
		return nil, fmt.Errorf("the registry has %d bytes, want %d: %w", got.total, s.desc.Size, errdefs.ErrDataLoss)
	}
	if got.start != start || got.end > end || resp.ContentLength >= 0 && resp.ContentLength != got.end-got.start {
		return nil, fmt.Errorf("bytes %d to %d: status 206 with Content-Range %s and %d bytes: %w",
			start, end-1, quote(values[0]), resp.ContentLength, errNoRanges)
	}
	return &part{body: resp.Body, at: got.start, end: got.end}, nil
}
