package wire

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// Reopener is a request body that can be had again from its beginning, where
// http.Request.GetBody cannot say so because a library made the request. It is asked
// after the body before was closed.
type Reopener interface {
	// Reopen returns the body from its beginning.
	Reopen() (io.ReadCloser, error)
}

// maxSmall is how long a body may be for a socket to take it at once.
const maxSmall = 64 << 10

// isSmall reports whether a body needs no watching while it is sent, and can be had
// again as a copy of its own (http.Request.GetBody). net/http sends it together with
// the header if it comes as it is.
func isSmall(req *http.Request) bool {
	return req.GetBody != nil && req.ContentLength > 0 && req.ContentLength <= maxSmall
}

// canReopen reports whether a request can be sent again.
func canReopen(req *http.Request) bool {
	if !hasBody(req) || req.GetBody != nil {
		return true
	}
	_, ok := req.Body.(Reopener)
	return ok
}

// reopen returns the body of a request once more.
func reopen(req *http.Request) (io.ReadCloser, error) {
	if req.GetBody != nil {
		return req.GetBody()
	}
	if r, ok := req.Body.(Reopener); ok {
		return r.Reopen()
	}
	return nil, errors.New("the body cannot be had again")
}

// sending is the body of a request while it is sent. The time between one Read and
// the next is the time that the network took for what the first brought.
type sending struct {
	rc     io.ReadCloser
	watch  watch
	moved  func(n int, now time.Time)
	closed chan struct{}
	once   sync.Once

	mu     sync.Mutex
	last   int   // bytes that the last Read brought
	failed error // of a Read, but for io.EOF
}

// Read implements io.Reader.
func (s *sending) Read(p []byte) (int, error) {
	s.mu.Lock()
	now := s.watch.end(s.last)
	if s.last > 0 {
		s.moved(s.last, now)
	}
	s.last = 0
	s.mu.Unlock()

	n, err := s.rc.Read(p)

	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && !errors.Is(err, io.EOF) {
		s.failed = err
	}
	if n > 0 {
		s.last = n
	}
	if err == nil {
		s.watch.begin()
	}
	return n, err
}

// Close implements io.Closer. The transport calls it when it reads no more.
func (s *sending) Close() (err error) {
	s.once.Do(func() {
		s.watch.stop()
		err = s.rc.Close()
		close(s.closed)
	})
	return err
}

// failure returns the error of the body itself, nil if it had none.
func (s *sending) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// wait waits until the transport has let go of the body, which may be after it has
// returned an answer.
func (s *sending) wait(ctx context.Context) error {
	select {
	case <-s.closed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
