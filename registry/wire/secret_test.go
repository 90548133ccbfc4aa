package wire

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

// TestSecretsAreNotSaid has servers that repeat what they were sent, in each place
// from which text comes, and requests that fail in each way.
func TestSecretsAreNotSaid(t *testing.T) {
	t.Parallel()
	echo := func(r *http.Request) string { return fmt.Sprint(r.Header, r.URL) }
	for name, h := range map[string]http.HandlerFunc{
		"codes": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, echo(r), echo(r))
		},
		"body": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, echo(r))
		},
		"page": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<p>", echo(r))
		},
		"failure": func(w http.ResponseWriter, r *http.Request) { http.Error(w, echo(r), http.StatusServiceUnavailable) },
		"status line": func(w http.ResponseWriter, r *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				fmt.Fprintf(c, "%s\r\n\r\n", r.Header.Get("Authorization"))
				_ = c.Close()
			}
		},
		"challenge": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("WWW-Authenticate", "Bearer realm=/?x="+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
			w.WriteHeader(http.StatusUnauthorized)
		},
		"redirect": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://user:"+canary+"@cdn.example.com/?sig="+signature)
			w.WriteHeader(http.StatusFound)
		},
		"broken": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, echo(r))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "", "http", h)
			l := &listener{}
			opts := l.options()
			opts.Attempts = 2
			f := New(opts)
			defer f.Close()
			c, err := f.Client(Endpoint{Origin: origin0(t, s.URL), Header: http.Header{"X-Key": {canary + "-key"}}})
			if err != nil {
				t.Fatal(err)
			}
			for _, traffic := range []Traffic{Control, Download} {
				req := newRequest(t, "PUT", s.URL+"/v2/?_state="+signature+"&digest=sha256:x", strings.NewReader(content))
				if traffic == Control {
					req.Header.Set("Authorization", "Bearer "+canary)
				} else {
					req.SetBasicAuth("user", canary)
				}
				resp, err := c.Do(req, Registry, traffic)
				if err == nil {
					err = CheckResponse(resp, http.StatusOK)
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
				fmt.Fprintln(l, err)
				fmt.Fprintf(l, "%+v\n", errors.Unwrap(err))
			}
			for _, r := range s.requests {
				if got := r.Header.Get("X-Key"); got != canary+"-key" {
					t.Errorf("the endpoint's own header is %q", got)
				}
			}
			l.quiet(t)
		})
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":      "",
		"plain": "plain",
		`Get "https://a/b?X-Sig=1&n=5&digest=sha256:a": EOF`: `Get "https://a/b?X-Sig=REDACTED&n=5&digest=sha256:a": EOF`,
		"https://u:p@a/b#c":                                   "https://a/b",
		"HTTP://u@a?b HTTPS://c?d=e&f":                        "HTTP://a?REDACTED HTTPS://c?d=REDACTED&REDACTED",
		"see http://a/?x=http://b/?y=1, and 'https://c?z=1'.": "see http://a/?x=REDACTED and 'https://c?z=REDACTED'.",
		"http://":               "http://",
		"http://a?from=b&last=": "http://a?from=b&last=",
	} {
		if text == "" {
			if Redact(nil) != nil {
				t.Error("nil became an error")
			}
			continue
		}
		behind := errors.New(text)
		err := Redact(behind)
		if err.Error() != want || !errors.Is(err, behind) {
			t.Errorf("%q became %q, want %q", text, err, want)
		}
	}
}

// TestShow has texts of errors as they come out of net/http and from below it.
func TestShow(t *testing.T) {
	t.Parallel()
	x := &exchange{client: &Client{}, req: newRequest(t, "GET", reg+"/?_state=s3cr%3At", nil)}
	x.req.SetBasicAuth("user", "pass word")
	for text, want := range map[string]string{
		"plain 'text'":                    "plain 'text'",
		"\x1b[31m\n\x00\xff é 'a'":        `\x1b[31m\n\x00\ufffd \u00e9 'a'`,
		"a pass word, s3cr:t":             "a REDACTED, REDACTED",
		strings.Repeat("é", 300):          strings.Repeat(`\u00e9`, 256) + "…",
		x.req.Header.Get("Authorization"): "REDACTED",
	} {
		if got := x.show(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

// TestResponseErrors has the bodies and kinds of answers that are errors.
func TestResponseErrors(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		status int
		body   string
		kind   error
		want   string
	}{
		{404, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"tag":"x"}}]}`, errdefs.ErrNotFound, `404 Not Found: MANIFEST_UNKNOWN "manifest unknown"`},
		{401, `{"errors":[{"code":"UNAUTHORIZED"},{"code":"DENIED","message":"no"}]}`, errdefs.ErrUnauthenticated, `401 Unauthorized: UNAUTHORIZED, DENIED "no"`},
		{403, `{"errors":[]}`, errdefs.ErrPermissionDenied, `403 Forbidden: "{\"errors\":[]}"`},
		{400, `{"errors":[{"code":"a b","message":"\u001b[31m"}]}`, errdefs.ErrInvalidArgument, `400 Bad Request: "a b" "\x1b[31m"`},
		{400, `{"errors":[{"code":"A","code":"B"}]}`, errdefs.ErrInvalidArgument, `400 Bad Request: "{\"errors\":[{\"code\":\"A\",\"code\":\"B\"}]}"`},
		{405, ``, errdefs.ErrNotImplemented, `405 Method Not Allowed`},
		{409, ``, errdefs.ErrConflict, `409 Conflict`},
		{412, ``, errdefs.ErrFailedPrecondition, `412 Precondition Failed`},
		{413, ``, errdefs.ErrResourceExhausted, `413 Request Entity Too Large`},
		{415, ``, errdefs.ErrNotImplemented, `415 Unsupported Media Type`},
		{416, ``, errdefs.ErrOutOfRange, `416 Requested Range Not Satisfiable`},
		{418, ``, errdefs.ErrUnknown, `418 I'm a teapot`},
		{304, ``, errdefs.ErrUnavailable, `304 Not Modified`},
		{501, ``, errdefs.ErrNotImplemented, `501 Not Implemented`},
		{599, "\n<html>\x00é", errdefs.ErrUnavailable, `599: "<html>\x00\u00e9"`},
		{404, strings.Repeat("x", 2000), errdefs.ErrNotFound, `404 Not Found: "` + strings.Repeat("x", 1024) + `"…`},
		{404, strings.Repeat(" ", 70<<10) + "x", errdefs.ErrNotFound, `404 Not Found`},
	} {
		body := &counter{Reader: strings.NewReader(row.body)}
		resp := &http.Response{StatusCode: row.status, Body: body, Request: newRequest(t, "GET", reg+"/v2/a?sig=1", nil)}
		if err := CheckResponse(resp, 200, row.status); err != nil {
			t.Errorf("%d is accepted: %v", row.status, err)
		}
		err := CheckResponse(resp, 200, 201)
		checkError(t, err, []error{row.kind}, nil)
		if want := `GET "` + reg + `/v2/a?sig=REDACTED": ` + row.want; err.Error() != want {
			t.Errorf("%s\nwant %s", err, want)
		}
		if body.n > 64<<10 || !body.closed {
			t.Errorf("%d bytes were read, closed %t", body.n, body.closed)
		}
	}
	many := `{"errors":[` + strings.Repeat(`{"code":"A"},`, 99) + `{"code":"A"}]}`
	resp := &http.Response{StatusCode: http.StatusInternalServerError, Body: io.NopCloser(strings.NewReader(many))}
	var e *ResponseError
	if err := CheckResponse(resp, 200); !errors.As(err, &e) || len(e.Codes) != 16 || !e.Has("A") || e.Has("B") {
		t.Errorf("%v", err)
	}
}

// counter counts what is read.
type counter struct {
	io.Reader
	n      int
	closed bool
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

func (c *counter) Close() error { c.closed = true; return nil }
