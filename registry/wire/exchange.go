package wire

import (
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// step is a link of the chain. It returns either an answer, whose body ends the
// exchange (see atEnd), or an error.
type step interface {
	do(x *exchange) (*http.Response, error)
}

// exchange is one request that net/http sent us, and what becomes of it.
type exchange struct {
	client  *Client
	req     *http.Request // as it came; it is never changed
	purpose Purpose
	traffic Traffic
	target  Origin
	via     []*url.URL // of the requests that were redirected here, oldest to newest
	host    *host

	// What holds for the current attempt, which counts from 1.
	attempt int
	cuts    int         // of the place's limit, when the attempt began
	header  http.Header // what is sent
	verdict verdict
	proxy   *url.URL
	sending *sending // the request's body, nil if it has none
	stale   bool     // it failed on a connection that had served before

	repeats  int  // attempts that net/http made by itself, within those counted above
	cut      bool // the place's limit was cut because of it
	handed   bool // the transport has been given the body, and closes it
	waited   time.Duration
	sent     atomic.Int64 // bytes of bodies, in all attempts
	received atomic.Int64
}

// ask returns the question to the policy that the exchange is.
func (x *exchange) ask(proxied bool) ask {
	return ask{
		purpose:  x.purpose,
		endpoint: x.client.endpoint.Origin,
		near:     x.client.reach(),
		url:      x.req.URL,
		via:      x.via,
		body:     hasBody(x.req),
		proxied:  proxied,
	}
}

// hasBody reports whether a request has a body.
func hasBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }

// ending is a body that knows when it ends: when all of it was read, when reading
// failed, or when it was closed.
type ending interface {
	// atEnd has f called once at the end, with the error if reading failed.
	atEnd(f func(error))
}

// atEnd has f called when the body of an answer ends, at once if it did.
func atEnd(resp *http.Response, f func(error)) {
	if b, ok := resp.Body.(ending); ok {
		b.atEnd(f)
		return
	}
	f(nil)
}
