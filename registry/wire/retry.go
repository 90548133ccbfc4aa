package wire

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	firstWait   = 500 * time.Millisecond
	longestWait = 30 * time.Second
)

// retry sends a request again where that may help and cannot harm. The rule is one
// for all methods:
//
//   - The outcome is one that may pass: a broken connection, 408, 425, 429, 500, 502,
//     503, 504, or an answer that breaks off where it was to be held.
//   - The body, if there is one, can be had again.
//   - To have done it twice is to have done it once. PATCH appends, so it is repeated
//     if the server has not taken it, or will notice by the Content-Range.
//   - There is an attempt left, and the context's deadline leaves the time.
//
// A GET or HEAD that a kept connection failed before it brought an answer is repeated
// by net/http itself, as part of the attempt; the hooks are told (see repeated).
type retry struct {
	most   int
	chance func() float64
	tell   *teller
	next   step
}

func (r *retry) do(x *exchange) (*http.Response, error) {
	ctx := x.req.Context()
	past := &GaveUpError{}
	for x.attempt = 1; ; x.attempt++ {
		began := time.Now()
		if err := x.host.ready(ctx); err != nil {
			return nil, past.interrupted(x, fmt.Errorf("while %s wants a pause: %w", x.target, err))
		}
		x.waited += time.Since(began)

		resp, err := r.once(x)
		o := judge(x, resp, err)
		x.learn(o)
		if !o.transient {
			if err != nil {
				return nil, past.interrupted(x, err)
			}
			return resp, nil
		}
		past.add(x, o)
		if past.Err = err; err == nil {
			past.Err = newResponseError(resp, x.secrets())
		}
		if past.Reason = r.last(x, o); past.Reason != "" {
			return nil, past
		}
		wait := r.wait(x, o)
		r.tell.waits(x, o, wait)
		if past.context = again(ctx, x, wait); past.context != nil {
			past.Reason = past.context.Error()
			return nil, past
		}
	}
}

// add adds the outcome of an attempt.
func (e *GaveUpError) add(x *exchange, o outcome) {
	e.Attempts, e.Waited, e.Advice = x.attempt, x.waited, o.advice.value
	e.Seen = append(e.Seen, o.seen)
}

// interrupted returns an error that another attempt would not change, with what was
// seen before it.
func (e *GaveUpError) interrupted(x *exchange, err error) error {
	if x.attempt == 1 {
		return err
	}
	return fmt.Errorf("%w (attempt %d; saw %s before)", err, x.attempt, strings.Join(e.Seen, ", "))
}

// once makes an attempt. An answer to Control counts when all of it is there.
func (r *retry) once(x *exchange) (*http.Response, error) {
	x.cuts = x.lane().epoch()
	resp, err := r.next.do(x)
	if err != nil || x.traffic != Control {
		return resp, err
	}
	if err := hold(resp); err != nil {
		return nil, fmt.Errorf("the answer with status %d broke off: %w", resp.StatusCode, err)
	}
	if err := readable(x, resp); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// learn has the host's other exchanges profit from an outcome.
func (x *exchange) learn(o outcome) {
	switch {
	case o.overload && !x.cut: // once: that it fails again says nothing new of the host
		x.cut = true
		x.lane().overload(x.cuts)
	case !o.transient:
		x.lane().success()
	}
	if o.advice.wait > 0 {
		x.host.pause(o.advice.wait)
	}
}

// last returns why an outcome is final, or nothing if it is not.
func (r *retry) last(x *exchange, o outcome) string {
	switch {
	case x.attempt >= r.most:
		return fmt.Sprintf("no more than %d are made", r.most)
	case !canReopen(x.req):
		return "the request's body cannot be had again"
	case x.req.Method == http.MethodPatch && !o.untouched && x.req.Header.Get("Content-Range") == "":
		return "the server may have appended what was sent"
	}
	return ""
}

// wait returns how long to wait before the next attempt, besides the host's pause,
// which is the server's own advice.
func (r *retry) wait(x *exchange, o outcome) time.Duration {
	if o.advice.wait > 0 || o.stale {
		return 0
	}
	wait := firstWait << (x.attempt - 1)
	if wait <= 0 || wait > longestWait {
		wait = longestWait
	}
	// Up to half as much again, so that those who failed together do not come together.
	return min(longestWait, wait+time.Duration(r.chance()*float64(wait)/2))
}

// again waits before the next attempt, for x.waited too. The error says why there is
// none.
func again(ctx context.Context, x *exchange, wait time.Duration) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= max(wait, x.host.left()) {
		return fmt.Errorf("the wait would not end before the deadline: %w", context.DeadlineExceeded)
	}
	if err := sleep(ctx, wait); err != nil {
		return fmt.Errorf("the wait was ended: %w", err)
	}
	x.waited += wait
	if x.sending != nil {
		if err := x.sending.wait(ctx); err != nil {
			return fmt.Errorf("the wait for the request's body was ended: %w", err)
		}
	}
	return nil
}
