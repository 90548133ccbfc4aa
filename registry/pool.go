package registry

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"sync"

	"github.com/dhowhq/dhow/registry/hosts"
	"github.com/dhowhq/dhow/registry/wire"
)

// connections are how an endpoint is connected to. Endpoints for which that is the
// same share a factory, and with it connections and what is known of hosts.
type connections struct {
	tls      string // empty for what Options.Wire says
	proxy    string
	attempts int // as wire.Options has it
}

// factory is one of package wire, and the origins that its settings are for: where
// these send us to is nothing that they were configured for.
type factory struct {
	wire *wire.Factory

	mu      sync.Mutex
	tls     map[wire.Origin]hosts.TLS
	proxies map[wire.Origin]*url.URL
}

// factory returns the factory for an endpoint. The caller holds c.mu.
func (c *Client) factory(at hosts.Endpoint, o wire.Origin, attempts int) *factory {
	key := connections{attempts: attempts}
	if len(at.TLS.CA) > 0 || len(at.TLS.Client) > 0 || at.TLS.SkipVerify {
		key.tls = fmt.Sprintf("%q", []any{at.TLS.CA, at.TLS.Client, at.TLS.SkipVerify})
	}
	if at.Proxy != nil {
		key.proxy = at.Proxy.String()
	}
	f := c.factories[key]
	if f == nil {
		f = &factory{tls: map[wire.Origin]hosts.TLS{}, proxies: map[wire.Origin]*url.URL{}}
		opts := c.opts.Wire
		opts.Attempts = attempts
		if key.tls != "" {
			opts.TLS = f.tlsFor(opts.TLS)
		}
		if key.proxy != "" {
			opts.Proxy = f.proxyFor(opts.Proxy)
		}
		f.wire = wire.New(opts)
		c.factories[key] = f
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tls[o], f.proxies[o] = at.TLS, at.Proxy
	return f
}

// tlsFor returns the settings of the factory's own origins, and those of otherwise
// for all others.
func (f *factory) tlsFor(otherwise func(wire.Origin) (*tls.Config, error)) func(wire.Origin) (*tls.Config, error) {
	return func(o wire.Origin) (*tls.Config, error) {
		f.mu.Lock()
		settings, ok := f.tls[o]
		f.mu.Unlock()
		switch {
		case ok:
			return settings.Config()
		case otherwise != nil:
			return otherwise(o)
		}
		return nil, nil //nolint:nilnil // as wire.Options has it
	}
}

// proxyFor is as tlsFor, for the proxy.
func (f *factory) proxyFor(otherwise func(*url.URL) (*url.URL, error)) func(*url.URL) (*url.URL, error) {
	return func(u *url.URL) (*url.URL, error) {
		if o, err := wire.OriginOf(u); err == nil {
			f.mu.Lock()
			proxy, ok := f.proxies[o]
			f.mu.Unlock()
			if ok {
				return proxy, nil
			}
		}
		if otherwise != nil {
			return otherwise(u)
		}
		return nil, nil //nolint:nilnil // as wire.Options has it
	}
}
