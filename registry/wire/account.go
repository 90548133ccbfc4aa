package wire

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// Hooks are told of what is sent. A nil hook is not. They are called by several
// goroutines at once, and must not wait. No event has a secret in it.
type Hooks struct {
	// Attempt is called at the end of each attempt: when it failed, or its answer was
	// read to the end or closed.
	Attempt func(Attempt)

	// Exchange is called at the end of each exchange, after its attempts. A redirect
	// is followed by another exchange.
	Exchange func(Exchange)
}

// Attempt is the sending of a request, once. That on a kept connection which the
// server had closed counts, though it is not known how much of it has arrived.
type Attempt struct {
	Method string
	URL    string // redacted
	Number int    // in its exchange, from 1
	Status int    // 0 if there was no answer
	Proto  string // of the answer, as in HTTP/1.1
	Reused bool   // the connection had served before
	Took   time.Duration
	Err    error // redacted; nil if all went well, whatever the status
}

// Exchange is a request and what came of it.
type Exchange struct {
	Method   string
	URL      string // redacted
	Purpose  Purpose
	Traffic  Traffic
	Redirect int           // how many redirects led here
	Attempts int           // 0 if it was not sent
	Status   int           // 0 if there was no answer that counts
	Sent     int64         // bytes of bodies, in all attempts
	Received int64         // likewise
	Waited   time.Duration // for a place, in pauses and between attempts
	Took     time.Duration // all in all
	Err      error         // redacted; nil if all went well, whatever the status
}

// teller tells the hooks and the log.
type teller struct {
	hooks Hooks
	log   *slog.Logger
}

// account is told of exchanges, and tells.
type account struct {
	tell *teller
	next step
}

func (a *account) do(x *exchange) (*http.Response, error) {
	if !a.tell.exchanges(x) {
		return a.next.do(x)
	}
	began := time.Now()
	resp, err := a.next.do(x)
	if err != nil {
		a.tell.exchange(x, began, 0, err)
		return nil, err
	}
	status := resp.StatusCode
	atEnd(resp, func(err error) { a.tell.exchange(x, began, status, err) })
	return resp, nil
}

// exchanges reports whether anybody wants to know of an exchange.
func (t *teller) exchanges(x *exchange) bool {
	return t.hooks.Exchange != nil || t.logs(x, slog.LevelDebug)
}

func (t *teller) logs(x *exchange, level slog.Level) bool {
	return t.log != nil && t.log.Enabled(x.req.Context(), level)
}

func (t *teller) exchange(x *exchange, began time.Time, status int, err error) {
	e := Exchange{
		Method: x.req.Method, URL: redactURL(x.req.URL), Purpose: x.purpose, Traffic: x.traffic, Redirect: len(x.via),
		Attempts: x.attempt + x.repeats, Status: status, Sent: x.sent.Load(), Received: x.received.Load(),
		Waited: x.waited, Took: time.Since(began), Err: Redact(err),
	}
	if t.hooks.Exchange != nil {
		t.hooks.Exchange(e)
	}
	if !t.logs(x, slog.LevelDebug) {
		return
	}
	t.log.LogAttrs(x.req.Context(), slog.LevelDebug, "http exchange", append([]slog.Attr{
		slog.String("method", e.Method), slog.String("url", e.URL), slog.String("purpose", e.Purpose.String()),
		slog.String("traffic", e.Traffic.String()), slog.Int("redirect", e.Redirect), slog.Int("attempts", e.Attempts),
		slog.Int("status", e.Status), slog.Int64("sent", e.Sent), slog.Int64("received", e.Received),
		slog.Duration("waited", e.Waited), slog.Duration("took", e.Took),
	}, errorAttr(e.Err)...)...)
}

func (t *teller) attempt(f *flight, status int, err error) {
	if t.hooks.Attempt == nil && !t.logs(f.x, slog.LevelDebug) {
		return
	}
	a := Attempt{
		Method: f.x.req.Method, URL: redactURL(f.x.req.URL), Number: f.x.attempt + f.x.repeats, Status: status, Proto: f.proto,
		Reused: f.reused, Took: time.Since(f.began), Err: Redact(err),
	}
	if t.hooks.Attempt != nil {
		t.hooks.Attempt(a)
	}
	if !t.logs(f.x, slog.LevelDebug) {
		return
	}
	t.log.LogAttrs(f.x.req.Context(), slog.LevelDebug, "http attempt", append([]slog.Attr{
		slog.String("method", a.Method), slog.String("url", a.URL), slog.Int("number", a.Number),
		slog.Int("status", a.Status), slog.String("proto", a.Proto), slog.Bool("reused", a.Reused), slog.Duration("took", a.Took),
	}, errorAttr(a.Err)...)...)
}

// waits tells that an exchange is going to wait before its next attempt.
func (t *teller) waits(x *exchange, o outcome, wait time.Duration) {
	wait = max(wait, x.host.left())
	if wait < time.Second || !t.logs(x, slog.LevelInfo) {
		return
	}
	t.log.LogAttrs(context.WithoutCancel(x.req.Context()), slog.LevelInfo, "waiting before another attempt",
		slog.String("method", x.req.Method), slog.String("url", redactURL(x.req.URL)), slog.Int("attempt", x.attempt),
		slog.String("saw", o.seen), slog.String("retry-after", cut(o.advice.value, maxShown)), slog.Duration("wait", wait))
}

func errorAttr(err error) []slog.Attr {
	if err == nil {
		return nil
	}
	return []slog.Attr{slog.String("error", err.Error())}
}
