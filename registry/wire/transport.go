package wire

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"time"
)

// transport sends one attempt over a connection that may serve it, and watches both
// bodies flow.
type transport struct {
	rate Rate
	tell *teller
}

// flight is one attempt on its way.
type flight struct {
	x         *exchange
	began     time.Time
	proto     string
	connected bool // to what the rest is about
	reused    bool
	remote    netip.Addr
	small     int64           // bytes of a body that nobody counts
	ctx       context.Context //nolint:containedctx // made for the attempt, and ended with it
	cancel    context.CancelCauseFunc
	patience  patience
}

func (t *transport) do(x *exchange) (*http.Response, error) {
	pool, err := x.host.transport(x)
	if err != nil {
		return nil, err
	}
	f := &flight{x: x, began: time.Now()}
	f.ctx, f.cancel = context.WithCancelCause(x.req.Context())
	req, err := t.request(f)
	if err != nil {
		f.cancel(nil)
		return nil, err
	}
	x.handed = true
	resp, err := pool.RoundTrip(req)
	f.patience.end()
	if err != nil {
		err = f.failed(err)
		f.cancel(nil)
		t.tell.attempt(f, 0, err)
		return nil, err
	}
	f.arrived(resp)
	resp.Request = x.req
	if resp.Body == http.NoBody || x.req.Method == http.MethodHead {
		t.tell.attempt(f, resp.StatusCode, nil)
		f.cancel(nil)
		return resp, nil
	}
	b := &body{rc: resp.Body, ctx: f.ctx, cancel: f.cancel, moved: f.received, clean: x.clean}
	b.watch = watch{rate: t.rate, stalled: f.cancel}
	b.left.Store(resp.ContentLength)
	status := resp.StatusCode
	b.atEnd(func(err error) { t.tell.attempt(f, status, err) })
	resp.Body = b
	return resp, nil
}

// request returns what the transport of net/http is given.
func (t *transport) request(f *flight) (*http.Request, error) {
	x := f.x
	trace := &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			if f.connected {
				t.repeated(f)
			}
			f.connected, f.reused = true, info.Reused
			f.remote, _ = remote(info.Conn)
		},
		WroteRequest: func(httptrace.WroteRequestInfo) { f.patience.begin(x.traffic, f.cancel) },
	}
	req := x.req.WithContext(httptrace.WithClientTrace(f.ctx, trace))
	req.Header = x.header
	if !hasBody(x.req) {
		return req, nil
	}
	rc := x.req.Body
	if x.attempt > 1 {
		var err error
		if rc, err = reopen(x.req); err != nil {
			return nil, fmt.Errorf("the request's body, once more: %w", err)
		}
	}
	if isSmall(x.req) {
		req.Body = rc
		f.small = x.req.ContentLength
		return req, nil
	}
	x.sending = &sending{rc: rc, moved: f.sent, closed: make(chan struct{})}
	x.sending.watch = watch{rate: t.rate, stalled: f.cancel, sending: true}
	req.Body = x.sending
	req.GetBody = nil // net/http would repeat what is ours to repeat
	return req, nil
}

// errClosed is the end of an attempt that net/http did not tell of.
var errClosed = &unavailableError{errors.New("the kept connection was closed")}

// repeated notes that net/http, which takes a connection for the request once more, has
// lost the one before.
func (t *transport) repeated(f *flight) {
	t.tell.attempt(f, 0, errClosed)
	f.x.repeats++
	f.began = time.Now()
}

// failed returns the error that an attempt without an answer failed with.
func (f *flight) failed(err error) error {
	x := f.x
	x.stale = f.reused
	if stalled, ok := errors.AsType[*StalledError](context.Cause(f.ctx)); ok {
		return stalled
	}
	if silent, ok := errors.AsType[*silentError](context.Cause(f.ctx)); ok {
		err = silent
	}
	if x.req.Context().Err() != nil {
		return context.Cause(x.req.Context())
	}
	if address, ok := errors.AsType[*addressError](err); ok {
		a := x.ask(x.proxy != nil)
		return a.refuse(a.addressKey(), "%w", address)
	}
	if explained := explain(x.target, err); explained != nil {
		return explained
	}
	if x.sending != nil && x.sending.failure() != nil {
		return x.clean(err) // where the body comes from failed
	}
	return &unavailableError{x.clean(err)}
}

// arrived notes what an answer says of the connection that it came over.
func (f *flight) arrived(resp *http.Response) {
	x := f.x
	x.stale = false
	x.sent.Add(f.small)
	f.proto = resp.Proto
	if x.traffic == Control && x.target.Scheme == "https" && resp.ProtoMajor == 1 {
		x.host.noH2.Store(true)
	}
	// The endpoint's own address counts once it has answered, and so has shown its
	// certificate where it has one: a name alone can be made to point anywhere.
	if x.target == x.client.endpoint.Origin && x.proxy == nil && f.remote.IsValid() {
		x.client.near.Or(uint32(kindOf(f.remote)))
	}
}

// sent and received count the bytes of bodies.
func (f *flight) sent(n int, now time.Time) {
	f.x.sent.Add(int64(n))
	f.x.lane().moved(n, now)
}

func (f *flight) received(n int, now time.Time) {
	f.x.received.Add(int64(n))
	f.x.lane().moved(n, now)
}
