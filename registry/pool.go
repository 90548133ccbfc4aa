package registry

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/dhowhq/dhow/registry/hosts"
	"github.com/dhowhq/dhow/registry/wire"
)

// connections are how an endpoint is connected to. Endpoints for which that is the
// same share a factory, and with it connections and what is known of hosts.
type connections struct {
	tls      string // empty for what Options.Wire says
	proxy    string
	dial     time.Duration
	attempts int // as wire.Options has it
}

// factory is one of package wire, and the origins that its settings are for: where
// these send us to is nothing that they were configured for.
type factory struct {
	wire *wire.Factory

	mu  sync.Mutex
	own map[wire.Origin]hosts.Endpoint
}

// factory returns the factory for an endpoint. The caller holds c.mu.
func (c *Client) factory(at hosts.Endpoint, o wire.Origin, attempts int) *factory {
	key := connections{attempts: attempts, dial: at.DialTimeout}
	if !at.TLS.IsZero() {
		key.tls = fmt.Sprintf("%q", []any{at.TLS.CA, at.TLS.Client, at.TLS.SkipVerify})
	}
	if at.Proxy != nil {
		key.proxy = at.Proxy.String()
	}
	f := c.factories[key]
	if f == nil {
		f = &factory{own: map[wire.Origin]hosts.Endpoint{}}
		opts := c.opts.Wire
		opts.Attempts = attempts
		opts.TLS = f.tlsFor(opts.TLS, c.opts.Hosts)
		if key.proxy != "" {
			opts.Proxy = f.proxyFor(opts.Proxy)
		}
		if key.dial != 0 {
			opts.DialTimeout = f.dialTimeoutFor(opts.DialTimeout)
		}
		f.wire = wire.New(opts)
		c.factories[key] = f
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.own[o] = at
	return f
}

// settings returns what is configured for an origin, if it is one of the factory's own.
func (f *factory) settings(o wire.Origin) (hosts.Endpoint, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, ok := f.own[o]
	return at, ok
}

// tlsFor returns the settings of the factory's own origins, and for all others those of
// otherwise, or the certificates that are configured for them.
func (f *factory) tlsFor(otherwise func(wire.Origin) (*tls.Config, error), conf *hosts.Config) func(wire.Origin) (*tls.Config, error) {
	return func(o wire.Origin) (*tls.Config, error) {
		at, own := f.settings(o)
		switch {
		case own && !at.TLS.IsZero():
			return at.TLS.Config()
		case otherwise != nil:
			return otherwise(o)
		case own || conf == nil:
			return nil, nil //nolint:nilnil // as wire.Options has it
		}
		certs, err := conf.Certificates(certificateHost(o))
		if err != nil || certs.IsZero() {
			return nil, err
		}
		return certs.Config()
	}
}

// certificateHost returns how an origin is named in the files: without the port that
// https has anyway.
func certificateHost(o wire.Origin) string {
	const https = 443
	if o.Port == https {
		return o.Host
	}
	return o.HostPort()
}

// proxyFor is as tlsFor, for the proxy.
func (f *factory) proxyFor(otherwise func(*url.URL) (*url.URL, error)) func(*url.URL) (*url.URL, error) {
	return func(u *url.URL) (*url.URL, error) {
		if o, err := wire.OriginOf(u); err == nil {
			if at, ok := f.settings(o); ok {
				return at.Proxy, nil
			}
		}
		if otherwise != nil {
			return otherwise(u)
		}
		return nil, nil //nolint:nilnil // as wire.Options has it
	}
}

// dialTimeoutFor is as tlsFor, for the time that connecting may take.
func (f *factory) dialTimeoutFor(otherwise func(wire.Origin) time.Duration) func(wire.Origin) time.Duration {
	return func(o wire.Origin) time.Duration {
		if at, ok := f.settings(o); ok {
			return at.DialTimeout
		}
		if otherwise != nil {
			return otherwise(o)
		}
		return 0
	}
}
