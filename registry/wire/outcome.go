package wire

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"
)

// outcome is what an attempt came to, as far as the next one depends on it.
type outcome struct {
	seen      string // for a message
	transient bool   // another attempt may do better
	untouched bool   // the server has not done what it was asked
	overload  bool   // less at once may help
	stale     bool   // a kept connection broke before an answer: the server had closed it
	advice    advice
}

// judge returns the outcome of an attempt.
func judge(x *exchange, resp *http.Response, err error) outcome {
	if err != nil {
		return judgeError(x, err)
	}
	o := outcome{seen: strconv.Itoa(resp.StatusCode)}
	switch resp.StatusCode {
	case http.StatusTooEarly:
		o.transient, o.untouched = true, true
	case http.StatusRequestTimeout:
		o.transient = true
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		o.transient, o.untouched, o.overload = true, true, true
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
		o.transient, o.overload = true, true
	}
	if o.transient {
		o.advice = readAdvice(resp.Header, time.Now())
	}
	return o
}

func judgeError(x *exchange, err error) outcome {
	o := outcome{seen: cut(x.show(rootText(err)), 64)}
	if x.req.Context().Err() != nil || lasting(err) {
		return o
	}
	if x.sending != nil && x.sending.failure() != nil {
		return o // where the body comes from failed, and not the host that it goes to
	}
	o.transient = true
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		o.untouched = true
	}
	o.stale = x.stale && x.attempt == 1 && !isStalled(err)
	o.overload = !o.stale
	return o
}

// lasting reports whether an error would come again.
func lasting(err error) bool {
	_, refused := errors.AsType[*RefusedError](err)
	_, certificate := errors.AsType[*certificateError](err)
	_, answer := errors.AsType[*answerError](err)
	name, unknown := errors.AsType[*net.DNSError](err)
	return refused || certificate || answer || unknown && name.IsNotFound
}

func isStalled(err error) bool {
	_, ok := errors.AsType[*StalledError](err)
	return ok
}

// rootText returns the text of what an error began with.
func rootText(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		if isStalled(err) {
			return "stalled"
		}
		return "timeout"
	}
	if e, ok := errors.AsType[*unavailableError](err); ok {
		err = e.error
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
