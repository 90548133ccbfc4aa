package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
)

// kindOfBody says what a request of a script has for a body.
type kindOfBody int

const (
	noBody     kindOfBody = iota
	replayable            // as http.NewRequest makes it of bytes
	stream                // that can be read once
	reopenable            // a Reopener
)

const content = "the content of a blob"

// reopener is a body that can be had again.
type reopener struct{ io.Reader }

func (reopener) Close() error                   { return nil }
func (reopener) Reopen() (io.ReadCloser, error) { return reopener{strings.NewReader(content)}, nil }

func (k kindOfBody) reader() io.Reader {
	switch k {
	case replayable:
		return bytes.NewReader([]byte(content))
	case stream:
		return io.MultiReader(strings.NewReader(content))
	case reopenable:
		return reopener{strings.NewReader(content)}
	}
	return nil
}

// exchangeCase is a scripted exchange, and what has to come of it.
type exchangeCase struct {
	name    string
	method  string // GET if empty
	body    kindOfBody
	header  http.Header
	purpose Purpose
	traffic Traffic
	timeout time.Duration
	script  []act

	status   int           // of the answer that is handed on; 0 if there is none
	text     string        // of its body; "" is not checked
	kinds    []error       // that the error has
	says     []string      // and what its text has
	attempts int           // requests that came
	elapsed  time.Duration // on the clock of the bubble
}

const (
	retries4 = 500*time.Millisecond + time.Second + 2*time.Second + 4*time.Second
	start    = "HTTP/1.1 200 OK\nContent-Type: application/json\n"
)

func runCases(t *testing.T, cases []exchangeCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { synctest.Test(t, c.run) })
	}
}

func (c exchangeCase) run(t *testing.T) {
	w := newWorld(t)
	s := w.listen("http://registry.example", c.script...)
	f := w.factory(Options{})
	defer f.Close()
	ctx := t.Context()
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, c.method, "http://registry.example/v2/a/blobs/uploads/1", c.body.reader())
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, c.header)
	began := time.Now()
	got, err := do(t, w.client(f, "http://registry.example", Policy{}), req, c.purpose, c.traffic)
	took := time.Since(began)
	checkError(t, err, c.kinds, c.says)
	if got.status != c.status {
		t.Errorf("status %d, want %d", got.status, c.status)
	}
	if c.text != "" && got.text != c.text {
		t.Errorf("body %q, want %q", got.text, c.text)
	}
	if got := len(s.asked()); got != c.attempts {
		t.Errorf("%d requests came, want %d", got, c.attempts)
	}
	if took != c.elapsed {
		t.Errorf("it took %s, want %s", took, c.elapsed)
	}
	if c.status == http.StatusOK && c.body != noBody {
		s.mu.Lock()
		defer s.mu.Unlock()
		if last := s.bodies[len(s.bodies)-1]; last != content {
			t.Errorf("the last body was %q, want %q", last, content)
		}
	}
}

// checkError checks the kinds and the text of an error; no kinds stand for none.
func checkError(t *testing.T, err error, kinds []error, says []string) {
	t.Helper()
	if len(kinds) == 0 && len(says) == 0 {
		if err != nil {
			t.Errorf("error: %v", err)
		}
		return
	}
	if err == nil {
		t.Fatalf("no error, want one that says %q", says)
	}
	for _, kind := range kinds {
		if !errors.Is(err, kind) {
			t.Errorf("error %v is not %v", err, kind)
		}
	}
	for _, text := range says {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not say %q", err, text)
		}
	}
}

var unavailable = []error{errdefs.ErrUnavailable}

func many(n int, a act) []act {
	all := make([]act, n)
	for i := range all {
		all[i] = a
	}
	return all
}

// TestRetryAfter has what a server may ask for: B82.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	var cases []exchangeCase
	for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"} {
		c := exchangeCase{
			name: "B82 three times five seconds, " + method, method: method, status: 200, attempts: 4, elapsed: 15 * time.Second,
			script: append(many(3, status(429, "Retry-After: 5")), ok),
		}
		if method[0] == 'P' {
			c.body, c.traffic = replayable, Upload
		}
		cases = append(cases, c)
	}
	cases = append(cases, []exchangeCase{
		{
			name: "B82 503 is as 429", status: 200, attempts: 2, elapsed: 5 * time.Second,
			script: []act{status(503, "Retry-After: 5"), ok},
		},
		{
			name: "B82 999999999 seconds are capped", attempts: 5, elapsed: 4 * time.Minute, kinds: unavailable,
			script: []act{status(429, "Retry-After: 999999999")}, says: []string{`Retry-After "999999999"`, "attempt 5", "429, 429, 429, 429, 429"},
		},
		{
			name: "B82 more digits than a number has", status: 200, attempts: 2, elapsed: time.Minute,
			script: []act{status(429, "Retry-After: 99999999999999999999999999"), ok},
		},
		{
			name: "B82 negative", attempts: 5, elapsed: retries4, kinds: unavailable,
			script: []act{status(429, "Retry-After: -5")}, says: []string{`Retry-After "-5"`},
		},
		{
			name: "B82 no number and no date", attempts: 5, elapsed: retries4, kinds: unavailable,
			script: []act{status(503, "Retry-After: abc")}, says: []string{`Retry-After "abc"`},
		},
		{
			name: "B82 zero says nothing", status: 200, attempts: 2, elapsed: 500 * time.Millisecond,
			script: []act{status(429, "Retry-After: 0"), ok},
		},
		{
			name: "B82 a date in 2099", status: 200, attempts: 2, elapsed: time.Minute,
			script: []act{status(429, "Retry-After: Thu, 01 Jan 2099 00:00:00 GMT"), ok},
		},
		{
			name: "B82 a date by the clock of the server, which is years ahead", status: 200, attempts: 2, elapsed: 7 * time.Second,
			script: []act{status(429, "Date: Sat, 21 Nov 2026 10:00:00 GMT", "Retry-After: Sat, 21 Nov 2026 10:00:07 GMT"), ok},
		},
		{
			name: "B82 a date by our clock", status: 200, attempts: 2, elapsed: 3 * time.Second,
			script: []act{status(429, "Retry-After: Sat, 01 Jan 2000 00:00:03 GMT"), ok},
		},
		{
			name: "B82 a date that is over", status: 200, attempts: 2, elapsed: 500 * time.Millisecond,
			script: []act{status(503, "Retry-After: Fri, 31 Dec 1999 00:00:00 GMT"), ok},
		},
		{
			name: "B82 the deadline is earlier", timeout: 10 * time.Second, attempts: 1,
			kinds: []error{errdefs.ErrUnavailable, context.DeadlineExceeded}, says: []string{`Retry-After "20"`, "deadline"},
			script: []act{status(429, "Retry-After: 20")},
		},
		{
			name: "B82 the deadline is the budget of all attempts", timeout: 12 * time.Second, attempts: 3, elapsed: 10 * time.Second,
			kinds: []error{errdefs.ErrUnavailable, context.DeadlineExceeded}, says: []string{"429, 429, 429", "after attempt 3 and 10s"},
			script: []act{status(429, "Retry-After: 5")},
		},
	}...)
	runCases(t, cases)
}

// TestStatuses has which statuses are asked again, and with which bodies.
func TestStatuses(t *testing.T) {
	t.Parallel()
	var cases []exchangeCase
	for _, code := range []int{408, 425, 429, 500, 502, 503, 504} {
		cases = append(cases, exchangeCase{
			name: fmt.Sprintf("%d passes", code), status: 200, attempts: 2, elapsed: 500 * time.Millisecond,
			script: []act{status(code), ok},
		})
	}
	for _, code := range []int{400, 403, 404, 405, 409, 413, 416, 501} {
		cases = append(cases, exchangeCase{name: fmt.Sprintf("%d stays", code), status: code, attempts: 1, script: []act{status(code)}})
	}
	lost := []string{"503 Service Unavailable", "gave up after attempt 1", "body cannot be had again"}
	cases = append(cases, []exchangeCase{
		{
			name: "the last error tells what was seen", attempts: 5, elapsed: retries4, kinds: unavailable,
			script: []act{status(500), then(status(502)), reset, status(504), reply(503, `{"errors":[{"code":"UNAVAILABLE","message":"in \"repair\""}]}`)},
			says:   []string{`503 Service Unavailable: UNAVAILABLE "in \"repair\""`, "attempt 5", "7.5s", "500, 502, EOF, 504, 503"},
		},
		{name: "a body that can be read once", method: "PUT", body: stream, traffic: Upload, attempts: 1, kinds: unavailable, says: lost, script: []act{status(503), ok}},
		{name: "one that breaks off", method: "PUT", body: stream, traffic: Upload, attempts: 1, kinds: unavailable, says: lost[1:], script: []act{reset, ok}},
		{
			name: "a body that can be reopened", method: "PUT", body: reopenable, traffic: Upload,
			status: 200, attempts: 3, elapsed: 1500 * time.Millisecond, script: []act{status(503), reset, ok},
		},
		{
			name: "POST has no body to lose", method: "POST", status: 202, attempts: 2, elapsed: 500 * time.Millisecond,
			script: []act{status(502), status(202)},
		},
		{
			name: "PATCH may have been appended", method: "PATCH", body: replayable, traffic: Upload, attempts: 1, kinds: unavailable,
			says: []string{"500 Internal Server Error", "may have appended"}, script: []act{status(500), ok},
		},
		{
			name: "PATCH may have been appended before the connection broke", method: "PATCH", body: replayable, traffic: Upload, attempts: 1,
			kinds: unavailable, says: []string{"may have appended"}, script: []act{then(raw("")), ok},
		},
		{
			name: "PATCH may have been appended in part before a 408", method: "PATCH", body: replayable, traffic: Upload, attempts: 1,
			kinds: unavailable, says: []string{"may have appended"}, script: []act{status(408), ok},
		},
		{
			name: "PATCH that the server says it did not take", method: "PATCH", body: replayable, traffic: Upload,
			status: 200, attempts: 2, elapsed: 500 * time.Millisecond, script: []act{status(503), ok},
		},
		{
			name: "PATCH with Content-Range shows when it is repeated", method: "PATCH", body: replayable, traffic: Upload,
			header: http.Header{"Content-Range": {"0-20"}}, status: 200, attempts: 2, elapsed: 500 * time.Millisecond,
			script: []act{status(500), ok},
		},
	}...)
	runCases(t, cases)
}
