package wire

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/errdefs"
)

// RefusedError is the refusal to send a request that the policy does not allow, or
// to go on with an answer that would have us do so. It is of the kind
// errdefs.ErrPermissionDenied and is never worth another attempt.
type RefusedError struct {
	What     string // what was to be asked, as in "token server" or "redirect of registry"
	URL      string // of that, redacted and cut; empty if there is none
	Endpoint Origin
	Reason   string
	Key      string // of the configuration that would allow it; empty if none does
	Err      error  // what lies behind it, nil if nothing does
}

// Error returns what was refused, for whom, why, and the key that would allow it.
func (e *RefusedError) Error() string {
	var b strings.Builder
	b.WriteString("refused " + e.What)
	if e.URL != "" {
		b.WriteString(" " + quote(e.URL))
	}
	fmt.Fprintf(&b, " for %s: %s", e.Endpoint, e.Reason)
	if e.Key != "" {
		b.WriteString(" (see " + e.Key + ")")
	}
	return b.String()
}

// Unwrap returns the kind, and what lies behind the error.
func (e *RefusedError) Unwrap() []error {
	if e.Err == nil {
		return []error{errdefs.ErrPermissionDenied}
	}
	return []error{errdefs.ErrPermissionDenied, e.Err}
}

// newRefused returns the refusal of a question. An argument that is an error is
// what lies behind it.
func newRefused(a ask, key, format string, args ...any) *RefusedError {
	err := fmt.Errorf(format, args...)
	e := &RefusedError{What: a.purpose.String(), URL: redactURL(a.url), Endpoint: a.endpoint, Reason: err.Error(), Key: key}
	if len(a.via) > 0 {
		e.What = "redirect of " + e.What
	}
	for _, arg := range args {
		if behind, ok := arg.(error); ok {
			e.Err = behind
		}
	}
	return e
}

// unavailableError is a connection that failed, or an answer that breaks the rules of
// HTTP.
type unavailableError struct{ error }

func (e *unavailableError) Unwrap() []error { return []error{e.error, errdefs.ErrUnavailable} }

// StalledError is a body that stopped flowing, or all but stopped. It is of the kind
// errdefs.ErrUnavailable as well as a context.DeadlineExceeded.
type StalledError struct {
	Sending bool // the request's body, rather than the answer's
	Bytes   int64
	Window  time.Duration // in which no more than Bytes went
}

// Error returns which body stalled, and how little came of it.
func (e *StalledError) Error() string {
	what := "the answer"
	if e.Sending {
		what = "the request's body"
	}
	return fmt.Sprintf("%s stalled: %d bytes in %s", what, e.Bytes, e.Window)
}

// Unwrap returns the kinds.
func (e *StalledError) Unwrap() []error {
	return []error{context.DeadlineExceeded, errdefs.ErrUnavailable}
}

// Timeout implements net.Error's method of that name.
func (e *StalledError) Timeout() bool { return true }

// GaveUpError is the end of an exchange after whose last attempt another one could
// have helped. It is of the kind errdefs.ErrUnavailable; Err is a *ResponseError if
// the last attempt had an answer.
type GaveUpError struct {
	Attempts int
	Seen     []string // what each attempt ended with, as in "429" or "connection reset by peer"
	Waited   time.Duration
	Advice   string // the Retry-After of the last answer, as the server wrote it; empty if it had none
	Reason   string // why there was no further attempt
	Err      error

	context error // that ended the waiting, nil if none did
}

// Error returns the last error, and the attempts before it.
func (e *GaveUpError) Error() string {
	var b strings.Builder
	if r, ok := e.Err.(*ResponseError); ok { //nolint:errorlint // as it was put there, not what it may wrap
		b.WriteString(r.text()) // net/http adds method and URL
	} else {
		b.WriteString(e.Err.Error())
	}
	fmt.Fprintf(&b, "; gave up after attempt %d", e.Attempts)
	if e.Attempts > 1 {
		fmt.Fprintf(&b, " and %s of waiting (saw %s)", e.Waited.Round(time.Millisecond), strings.Join(e.Seen, ", "))
	}
	if e.Advice != "" {
		b.WriteString(", asked for Retry-After " + quote(e.Advice))
	}
	b.WriteString(": " + e.Reason)
	return b.String()
}

// Unwrap returns the error of the last attempt and the kind, and the error of the
// context where that ended the waiting.
func (e *GaveUpError) Unwrap() []error {
	all := []error{e.Err, errdefs.ErrUnavailable}
	if e.context != nil {
		all = append(all, e.context)
	}
	return all
}
