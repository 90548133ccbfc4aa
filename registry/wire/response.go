package wire

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/strictjson"
)

const (
	maxErrorRead  = 64 << 10 // bytes of an error's body that are read
	maxErrorShown = 1 << 10  // and of those that are shown
	maxCodes      = 16       // errors of one answer that are kept
)

// ResponseError is an answer that is an error. Its kind is that of errdefs for the
// status: 400 ErrInvalidArgument, 401 ErrUnauthenticated, 403 ErrPermissionDenied,
// 404 ErrNotFound, 405, 415 and 501 ErrNotImplemented, 409 ErrConflict, 412
// ErrFailedPrecondition, 413 ErrResourceExhausted, 416 ErrOutOfRange, 408, 425, 429,
// 3xx and 5xx ErrUnavailable, and ErrUnknown for any other.
type ResponseError struct {
	Method string
	URL    string // redacted
	Status int
	Codes  []Code // at most 16; empty if the body is not the registries' JSON
	Body   string // what was read of such a body, of which the text of the error has 1 KiB
}

// Code is one error in the body that the distribution specification gives answers.
// Code and message are the server's, each at most 256 bytes.
type Code struct {
	Code, Message string
}

// String returns the code with its message quoted.
func (c Code) String() string {
	code := c.Code
	if !isCode(code) {
		code = quote(code)
	}
	if c.Message == "" {
		return code
	}
	return code + " " + quote(c.Message)
}

func isCode(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == ""
}

// Has reports whether the answer has an error of that code, as in MANIFEST_INVALID.
func (e *ResponseError) Has(code string) bool {
	return slices.ContainsFunc(e.Codes, func(c Code) bool { return c.Code == code })
}

// Error returns the request, the status, and what the body says.
func (e *ResponseError) Error() string { return e.Method + " " + quote(e.URL) + ": " + e.text() }

// text is the error without the request.
func (e *ResponseError) text() string {
	text := strings.TrimSpace(fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status)))
	codes := make([]string, len(e.Codes))
	for i, c := range e.Codes {
		codes[i] = c.String()
	}
	if len(codes) > 0 {
		text += ": " + strings.Join(codes, ", ")
	}
	if e.Body != "" {
		text += ": " + quoteBegin(e.Body, maxErrorShown)
	}
	return text
}

// Unwrap returns the kind.
func (e *ResponseError) Unwrap() error {
	switch e.Status {
	case http.StatusBadRequest:
		return errdefs.ErrInvalidArgument
	case http.StatusUnauthorized:
		return errdefs.ErrUnauthenticated
	case http.StatusForbidden:
		return errdefs.ErrPermissionDenied
	case http.StatusNotFound:
		return errdefs.ErrNotFound
	case http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType, http.StatusNotImplemented:
		return errdefs.ErrNotImplemented
	case http.StatusConflict:
		return errdefs.ErrConflict
	case http.StatusPreconditionFailed:
		return errdefs.ErrFailedPrecondition
	case http.StatusRequestEntityTooLarge:
		return errdefs.ErrResourceExhausted
	case http.StatusRequestedRangeNotSatisfiable:
		return errdefs.ErrOutOfRange
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return errdefs.ErrUnavailable
	}
	if e.Status >= 500 || e.Status >= 300 && e.Status < 400 {
		return errdefs.ErrUnavailable
	}
	return errdefs.ErrUnknown
}

// CheckResponse returns nil if the answer's status is an accepted one, and leaves the
// body to the caller. Otherwise it reads at most 64 KiB of the body, closes it, and
// returns a *ResponseError, in whose text what the request was authorised with is
// blanked.
func CheckResponse(resp *http.Response, accepted ...int) error {
	if slices.Contains(accepted, resp.StatusCode) {
		return nil
	}
	var secrets []string
	if resp.Request != nil {
		secrets = secretsOf(resp.Request)
	}
	return newResponseError(resp, secrets)
}

// newResponseError reads and closes the body of an answer.
func newResponseError(resp *http.Response, secrets []string) *ResponseError {
	e := &ResponseError{Status: resp.StatusCode}
	if resp.Request != nil {
		e.Method, e.URL = resp.Request.Method, redactURL(resp.Request.URL)
	}
	// What there is of a body that breaks off is still worth showing.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorRead))
	_ = resp.Body.Close()
	e.Codes = readCodes(body)
	for i, c := range e.Codes {
		e.Codes[i] = Code{cut(scrub(c.Code, secrets), maxShown), cut(redactText(scrub(c.Message, secrets)), maxShown)}
	}
	if len(e.Codes) == 0 {
		e.Body = redactText(scrub(strings.TrimSpace(string(body)), secrets))
	}
	return e
}

var (
	errorsFields = strictjson.NewFields("errors")
	codeFields   = strictjson.NewFields("code", "message", "detail")
)

// readCodes returns the errors in a body, or none if it is not what the distribution
// specification has ("Error Codes").
func readCodes(body []byte) []Code {
	var codes []Code
	err := strictjson.Read(body, strictjson.Limits{Bytes: maxErrorRead}, func(r *strictjson.Reader) error {
		return r.Record(errorsFields, func(name string) error {
			if name != "errors" {
				return nil
			}
			return r.Array(func(i int) error {
				if i >= maxCodes {
					return nil
				}
				c, err := readCode(r)
				codes = append(codes, c)
				return err
			})
		})
	})
	if err != nil {
		return nil
	}
	return codes
}

func readCode(r *strictjson.Reader) (c Code, err error) {
	err = r.Record(codeFields, func(name string) (err error) {
		switch name {
		case "code":
			c.Code, err = r.String()
		case "message":
			c.Message, err = r.String()
		}
		return err
	})
	return c, err
}
