package wire

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
)

// Options are what all requests of a Factory have in common. The zero value is
// usable: no proxy, the system's certificate authorities, nothing logged.
type Options struct {
	// UserAgent is sent where a request has none.
	UserAgent string

	// Attempts is how often a request is sent at the most. Zero is 5, below zero 1.
	Attempts int

	// Limits bound how much is asked of one host at once.
	Limits Limits

	// MinRate is what a body has to flow at.
	MinRate Rate

	// Proxy returns the proxy for a URL, nil where there is none. It is asked for
	// each attempt. Nil is never a proxy. What changes with one is in docs/egress.md.
	Proxy func(*url.URL) (*url.URL, error)

	// TLS returns how to speak TLS with an origin: its authorities, client
	// certificates, whether it is verified at all. It is asked before the first
	// connection to an origin, and for that one only: nothing of a registry's holds
	// for where it sends us. Nil, or a nil config, is what crypto/tls does by itself.
	// Below TLS 1.2 nothing is spoken whatever the config says.
	TLS func(Origin) (*tls.Config, error)

	// DialTimeout returns how long it may take to look an origin's name up and to
	// connect, or to connect to the proxy that is asked for it. Zero, or a nil
	// function, is 15 s. It is asked when TLS is.
	DialTimeout func(Origin) time.Duration

	// Hooks are told of attempts and exchanges.
	Hooks Hooks

	// Log gets attempts at the level of debugging, and waits of a second and more at
	// that of information. Nil logs nothing.
	Log *slog.Logger

	env *env // of a test; nil is the real one
}

// Limits bound how much is asked of one host at once, by kind of traffic.
type Limits struct {
	Control, Download, Upload Limit
}

// Limit bounds how many exchanges of a kind a host has at once. It moves between 1
// and Max: up while more at once goes well, down by half when the host is
// overloaded or fails.
type Limit struct {
	Start int // at first; zero: 16, or Max if that is less
	Max   int // zero: 64, or Start if that is more
}

// Rate is the least that a body has to flow at, request and answer alike, while it
// is waited for. Below it the exchange fails with a *StalledError.
type Rate struct {
	Bytes  int64         // a second; zero: 1024
	Window time.Duration // that the rate is taken over; zero: 60 s
}

// Endpoint is a registry, or a mirror of one, at the place where it is asked.
type Endpoint struct {
	Origin Origin

	// Policy is what the operator allows this endpoint beyond the default.
	Policy Policy

	// Header is added to requests to the origin, and to no other. Its values are
	// taken for secrets.
	Header http.Header
}

// Factory makes clients that share connections and what is known of hosts. It is
// safe for use by several goroutines at once.
type Factory struct {
	opts  Options
	env   env
	hosts hosts
	chain step
}

// env is what of the world a test replaces.
type env struct {
	resolver *net.Resolver
	dial     dialFunc
	chance   func() float64 // in [0, 1)
}

// New returns a factory.
func New(opts Options) *Factory {
	if opts.env != nil {
		return newFactory(opts, *opts.env)
	}
	return newFactory(opts, env{resolver: net.DefaultResolver, dial: dial, chance: rand.Float64})
}

func newFactory(opts Options, e env) *Factory {
	f := &Factory{opts: opts, env: e}
	switch {
	case opts.Attempts == 0:
		f.opts.Attempts = 5
	case opts.Attempts < 0:
		f.opts.Attempts = 1
	}
	if opts.MinRate.Bytes <= 0 {
		f.opts.MinRate.Bytes = 1024
	}
	if opts.MinRate.Window <= 0 {
		f.opts.MinRate.Window = time.Minute
	}
	for _, l := range []*Limit{&f.opts.Limits.Control, &f.opts.Limits.Download, &f.opts.Limits.Upload} {
		l.fill()
	}
	tell := &teller{hooks: opts.Hooks, log: opts.Log}
	f.hosts.factory = f
	f.chain = &account{tell: tell, next: &govern{next: &retry{
		most:   f.opts.Attempts,
		chance: e.chance,
		tell:   tell,
		next:   &egress{opts: &f.opts, next: &transport{rate: f.opts.MinRate, tell: tell}},
	}}}
	return f
}

// fill puts in what zero stands for.
func (l *Limit) fill() {
	if l.Start <= 0 {
		l.Start = 16
		if l.Max > 0 {
			l.Start = min(l.Start, l.Max)
		}
	}
	if l.Max <= 0 {
		l.Max = max(64, l.Start)
	}
	l.Start = min(l.Start, l.Max)
}

// Close closes the connections that are not in use. What is in use goes on, and
// clients can be used again.
func (f *Factory) Close() { f.hosts.closeIdle() }

// Client is the way to one endpoint. It is safe for use by several goroutines at
// once.
type Client struct {
	factory  *Factory
	endpoint Endpoint
	near     atomic.Uint32 // a reach: the kinds of addresses that the endpoint itself has
	realms   realms
}

// Client returns a client for an endpoint. It is an error of kind
// errdefs.ErrInvalidArgument if the origin is not one that OriginOf could have
// returned, or the policy has an entry that is no host.
func (f *Factory) Client(e Endpoint) (*Client, error) {
	if err := e.Origin.check(); err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	if err := e.Policy.check(); err != nil {
		return nil, fmt.Errorf("egress policy for %s: %w", e.Origin, err)
	}
	e.Header = e.Header.Clone()
	c := &Client{factory: f, endpoint: e}
	if kind, ok := kindOfHost(e.Origin.Host); ok {
		c.near.Store(uint32(kind))
	}
	return c, nil
}

// HTTP returns an http.Client for requests of that purpose and traffic. It follows
// up to 5 redirects, each decided on as the policy has it. It is cheap to make, and
// the library that it is given to may set CheckRedirect: nothing depends on it. Its
// errors have URLs with their queries; see Redact.
func (c *Client) HTTP(p Purpose, t Traffic) *http.Client {
	return &http.Client{Transport: &view{client: c, purpose: p, traffic: t}}
}

// Do sends a request of that purpose and traffic as HTTP(p, t).Do does, and redacts
// the error. An answer with an error status that another attempt would not change
// is no error; see CheckResponse.
func (c *Client) Do(req *http.Request, p Purpose, t Traffic) (*http.Response, error) {
	resp, err := c.HTTP(p, t).Do(req)
	return resp, Redact(err)
}

// view is the chain as one purpose and traffic see it.
type view struct {
	client  *Client
	purpose Purpose
	traffic Traffic
}

// RoundTrip implements http.RoundTripper.
func (v *view) RoundTrip(req *http.Request) (*http.Response, error) {
	x, err := v.exchange(req)
	if err == nil {
		var resp *http.Response
		if resp, err = v.client.factory.run(x); err == nil {
			return resp, nil
		}
	}
	if req.Body != nil && (x == nil || !x.handed) {
		_ = req.Body.Close() // RoundTrippers close it; what was not read has nothing to lose
	}
	return nil, err
}

// run sends the exchange through the chain, in the name of its host.
func (f *Factory) run(x *exchange) (*http.Response, error) {
	x.host = f.hosts.get(x.target)
	resp, err := f.chain.do(x)
	if err != nil {
		f.hosts.put(x.host)
		return nil, err
	}
	atEnd(resp, func(error) { f.hosts.put(x.host) })
	return resp, nil
}

// exchange returns what the chain is to do for a request.
func (v *view) exchange(req *http.Request) (*exchange, error) {
	if req.URL == nil {
		return nil, fmt.Errorf("a request without a URL: %w", errdefs.ErrInvalidArgument)
	}
	if v.traffic > Upload || v.purpose > Foreign {
		return nil, fmt.Errorf("purpose %d and traffic %d: %w", v.purpose, v.traffic, errdefs.ErrInvalidArgument)
	}
	x := &exchange{client: v.client, req: req, purpose: v.purpose, traffic: v.traffic}
	// Response is the answer that redirected to this request.
	for r := req; r.Response != nil && r.Response.Request != nil; r = r.Response.Request {
		x.via = append([]*url.URL{r.Response.Request.URL}, x.via...)
	}
	first := req.URL
	if len(x.via) > 0 {
		first = x.via[0]
	}
	if x.purpose == Registry && v.client.realms.knows(first) {
		x.purpose = Realm
	}
	target, err := OriginOf(req.URL)
	if err != nil {
		return nil, x.ask(false).refuse("", "%w", err)
	}
	x.target = target
	return x, nil
}
