package hosts

import (
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
)

// candidate is a name under which registries.conf has a name be asked for.
type candidate struct {
	name
	insecure bool
	mirror   bool
	listed   bool // a [[registry]] table led to it
}

// endpoints returns the endpoints of a name in the order to try them.
func (c *Config) endpoints(n name, use Use) ([]Endpoint, error) {
	all, err := c.candidates(n, use)
	if err != nil {
		return nil, err
	}
	var endpoints []Endpoint
	for _, cand := range all {
		h, err := c.hostsFile(cand)
		if err != nil {
			return nil, err
		}
		for _, u := range h.serving(cand.name, use) {
			e, err := c.endpoint(cand, u)
			if err != nil {
				return nil, err
			}
			e.Mirror = cand.mirror || u.extra
			endpoints = append(endpoints, e)
		}
		if !cand.mirror && len(endpoints) == 0 {
			return nil, fmt.Errorf("%s: no server in %s is for this use, %s: %w", n, h.file, use, errdefs.ErrPermissionDenied)
		}
	}
	if use == List {
		endpoints = endpoints[len(endpoints)-1:]
	}
	return endpoints, nil
}

// candidates applies registries.conf: the mirrors, for a pull, and the name
// itself or where it was moved to, which comes last.
func (c *Config) candidates(n name, use Use) ([]candidate, error) {
	r := c.find(n)
	if r == nil {
		return []candidate{{name: n}}, nil
	}
	if r.blocked {
		return nil, fmt.Errorf("%s is blocked: %s: %w", n, r.place, errdefs.ErrPermissionDenied)
	}
	var all []candidate
	add := func(location name, insecure, mirror bool) error {
		moved, err := n.move(r.prefix, location)
		if err != nil {
			return fmt.Errorf("%s: %w: %w", r.place, err, errdefs.ErrInvalidArgument)
		}
		all = append(all, candidate{name: moved, insecure: insecure, mirror: mirror, listed: true})
		return nil
	}
	for _, m := range r.mirrors {
		if use != Pull || m.serves == servesDigests && n.digest == "" || m.serves == servesTags && n.digest != "" {
			continue
		}
		if err := add(m.location, m.insecure, true); err != nil {
			return nil, err
		}
	}
	if !r.moves {
		return append(all, candidate{name: n, insecure: r.insecure, listed: true}), nil
	}
	return all, add(r.location, r.insecure, false)
}

// serving returns the upstreams for a use of a name: for pulls all that may serve
// it, the registry last; for a list the last of those for a tag; for writes the
// first that was named for pushes, or the registry.
func (h hostsFile) serving(n name, use Use) []upstream {
	var all []upstream
	for _, u := range append(slices.Clip(h.hosts), h.server) {
		switch use {
		case Push, Delete:
			if u.rights.push && (u.rights.stated || !u.extra) {
				return []upstream{u}
			}
		case Pull, List:
			if u.rights.pull && (u.rights.resolve || n.digest != "") {
				all = append(all, u)
			}
		}
	}
	return all
}

// endpoint returns the endpoint for a name at an upstream of its host.
func (c *Config) endpoint(cand candidate, u upstream) (Endpoint, error) {
	e := Endpoint{
		Scheme: u.scheme, Host: u.host, Prefix: u.prefix, Path: cand.path, Tag: cand.tag,
		DialTimeout: u.timeout, Proxy: u.proxy, Header: u.header.Clone(),
	}
	if e.Scheme == "" {
		e.Scheme = "https"
	}
	if e.Host == "" {
		e.Host = cand.host
	}
	own := server(e.Host) == server(cand.host)
	if !own {
		e.Namespace = cand.host
	}
	tls, err := c.tls(e.Host, u.tls)
	if err != nil {
		return Endpoint{}, err
	}
	insecure := own && cand.insecure
	if u.tls.skipVerify == nil {
		tls.SkipVerify = insecure
	}
	e.TLS, e.PlainHTTP = tls, insecure && u.scheme == ""
	if u.scheme == "http" && u.tls.stated() {
		e.Scheme, e.PlainHTTP = "https", true
	}
	c.verify(&e)
	if e.Scheme == "http" {
		e.TLS = TLS{}
	}
	e.Host = server(e.Host)
	return e, nil
}

// verify applies Options.Verify.
func (c *Config) verify(e *Endpoint) {
	switch c.opts.Verify {
	case VerifyAlways:
		e.Scheme, e.PlainHTTP, e.TLS.SkipVerify = "https", false, false
	case VerifyNever:
		e.TLS.SkipVerify = true
		e.PlainHTTP = e.Scheme == "https"
	case VerifyConfigured:
	}
}

// server returns the host that answers for a host.
func server(host string) string {
	if host == dockerHub {
		return dockerHubServer
	}
	return host
}

// tls returns the settings for a host: what was stated, or else the files of its
// directory.
func (c *Config) tls(host string, stated tlsSettings) (TLS, error) {
	var t TLS
	if c.opts.CertDir != "" {
		var err error
		if t, err = readCerts(c.opts.CertDir, c.opts.Logger); err != nil {
			return TLS{}, err
		}
	} else {
		dir, err := c.dir(host)
		if err != nil {
			return TLS{}, err
		}
		t = dir.certs
	}
	if stated.ca != nil {
		t.CA = stated.ca
	}
	if stated.client != nil {
		t.Client = stated.client
	}
	if stated.skipVerify != nil {
		t.SkipVerify = *stated.skipVerify
	}
	return t, nil
}
