package wire

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
)

const (
	maxHosts       = 128 // that are remembered while nobody uses them
	maxHeaderBytes = 256 << 10
	headerTimeout  = 30 * time.Second
	commitTimeout  = 5 * time.Minute // for the answer to an upload
	idleTimeout    = 90 * time.Second
	pingAfter      = 15 * time.Second
)

// host is what is known of an origin, and the connections to it.
type host struct {
	origin Origin
	lanes  [Upload + 1]*lane
	noH2   atomic.Bool // it was asked for HTTP/2, and speaks HTTP/1.1

	mu         sync.Mutex
	paused     time.Time // until then
	transports map[route]*http.Transport

	users int       // exchanges, guarded by hosts.mu
	used  time.Time // when the last one ended, guarded by hosts.mu
}

// route is what connections have in common that may serve one another's exchanges.
// Those that were made where more was within reach serve nobody who has less.
type route struct {
	h2     bool // what they may speak; bodies have connections of HTTP/1.1
	within reach
	proxy  string // its URL; empty for none
}

// hosts are the hosts of a factory.
type hosts struct {
	factory *Factory

	mu  sync.Mutex
	all map[Origin]*host
}

// get returns the host of an origin, for one exchange.
func (h *hosts) get(o Origin) *host {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.all[o]
	if one == nil {
		if h.all == nil {
			h.all = map[Origin]*host{}
		}
		h.forget()
		limits := h.factory.opts.Limits
		one = &host{origin: o, transports: map[route]*http.Transport{}, lanes: [...]*lane{
			Control:  newLane(limits.Control, nil),
			Download: newLane(limits.Download, &climb{}),
			Upload:   newLane(limits.Upload, &climb{}),
		}}
		h.all[o] = one
	}
	one.users++
	return one
}

// put ends what get began.
func (h *hosts) put(one *host) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one.users--
	one.used = time.Now()
}

// forget makes room for a host: a registry can name as many as it likes. A host that
// is in use, or wants a pause, is not forgotten.
func (h *hosts) forget() {
	for len(h.all) >= maxHosts {
		var oldest *host
		for _, one := range h.all {
			if one.users == 0 && one.left() <= 0 && (oldest == nil || one.used.Before(oldest.used)) {
				oldest = one
			}
		}
		if oldest == nil {
			return
		}
		oldest.closeIdle()
		delete(h.all, oldest.origin)
	}
}

func (h *hosts) closeIdle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, one := range h.all {
		one.closeIdle()
	}
}

func (h *host) closeIdle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range h.transports {
		t.CloseIdleConnections()
	}
}

// transport returns the connections that may serve an exchange.
func (h *host) transport(x *exchange) (*http.Transport, error) {
	h2 := x.traffic == Control && h.origin.Scheme == "https" && !h.noH2.Load()
	r := route{h2: h2, within: x.verdict.reach}
	if x.proxy != nil {
		r.proxy = x.proxy.String()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if t := h.transports[r]; t != nil {
		return t, nil
	}
	t, err := x.client.factory.newTransport(h.origin, r, x.proxy)
	if err == nil {
		h.transports[r] = t
	}
	return t, err
}

// newTransport returns a transport for a route.
func (f *Factory) newTransport(o Origin, r route, proxy *url.URL) (*http.Transport, error) {
	config, err := f.tlsConfig(o)
	if err != nil {
		return nil, err
	}
	d := f.dialer(o)
	g := &guard{dialer: *d, dial: f.env.dial, within: r.within}
	t := &http.Transport{
		DialContext:            g.DialContext,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    connectTimeout,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    f.opts.Limits.most(),
		IdleConnTimeout:        idleTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxHeaderBytes,
		Protocols:              new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	if r.h2 {
		t.Protocols.SetHTTP2(true)
		// A connection that died is found out before a request times out on it.
		t.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter}
	}
	if proxy != nil {
		// The operator chose it, and it looks the host up.
		t.Proxy = http.ProxyURL(proxy)
		t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			return f.env.dial(ctx, d, network, address)
		}
	}
	t.DialContext = inChunks(t.DialContext)
	return t, nil
}

// inChunks has connections take bodies in larger pieces.
func inChunks(dial func(ctx context.Context, network, address string) (net.Conn, error)) func(ctx context.Context, network, address string) (net.Conn, error) {
	shared := newChunks()
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &wideConn{Conn: c, chunks: shared}, nil
	}
}

// most returns how many connections are kept: as many as there may be places.
func (l Limits) most() int { return l.Control.Max + l.Download.Max + l.Upload.Max }

// tlsConfig returns how to speak TLS with an origin.
func (f *Factory) tlsConfig(o Origin) (*tls.Config, error) {
	config := &tls.Config{}
	if f.opts.TLS != nil && o.Scheme == "https" {
		given, err := f.opts.TLS(o)
		if err != nil {
			return nil, &answerError{text: fmt.Sprintf("the TLS configuration of %s: %v", o, err), kind: errdefs.ErrFailedPrecondition}
		}
		if given != nil {
			config = given.Clone()
		}
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	if config.ClientSessionCache == nil {
		// Many connections go to one host: only the first exchanges certificates.
		config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	return config, nil
}
