package wire

import "net/url"

// maxRedirects is how many redirects an exchange may be away from the first.
const maxRedirects = 5

// Policy is what the operator allows an endpoint beyond the default. The zero value
// is the default, by docs/egress.md.
//
// An entry of a list is a host, which stands for all its ports, or host:port, or
// *.domain for the names below a domain. Nothing allows a way from https to http.
type Policy struct {
	// TrustedRealms are token servers that are given the endpoint's credential
	// although they are not of its registrable domain, at any address. An error names
	// it as trusted-realms.
	TrustedRealms []string

	// AllowedHosts are hosts that the endpoint may send uploads and the rest of lists
	// to, and anything at an address that is not public. They never get its
	// credential. An error names it as allowed-hosts.
	AllowedHosts []string

	// ForeignLayers has URLs asked that a manifest has for a layer. An error names it
	// as include-foreign.
	ForeignLayers bool
}

// The names of the policy's fields in configuration.
const (
	keyRealms  = "trusted-realms"
	keyHosts   = "allowed-hosts"
	keyForeign = "include-foreign"
)

// ask is a question to the policy.
type ask struct {
	purpose  Purpose
	endpoint Origin
	near     reach      // the kinds of addresses that the endpoint has itself
	url      *url.URL   // what is to be asked
	via      []*url.URL // what redirected here, oldest to newest
	body     bool       // the request has one
	proxied  bool       // a proxy is going to look the host up
}

// verdict is the answer: the request may be sent.
type verdict struct {
	credential bool  // what authorises it may go along
	reach      reach // addresses that may be connected
}

// decide answers whether the policy lets a request be sent. It is a pure function.
// The error is a *RefusedError.
func (p Policy) decide(a ask) (verdict, error) {
	target, err := OriginOf(a.url)
	if err != nil {
		return verdict{}, a.refuse("", "%w", err)
	}
	if err := a.downgrade(target); err != nil {
		return verdict{}, err
	}
	v := verdict{reach: public}
	if a.purpose != Foreign { // which the author of an image chose, and not the registry
		v.reach |= a.near
	}
	switch {
	case target == a.endpoint, matches(p.AllowedHosts, target), a.purpose == Realm && matches(p.TrustedRealms, target):
		v.reach = anywhere // the operator named it
	}
	if len(a.via) == 0 {
		v.credential, err = p.first(a, target)
	} else {
		v.credential, err = p.redirected(a, target)
	}
	if err != nil {
		return verdict{}, err
	}
	return v, a.literal(target, v.reach)
}

// first decides on a request that no redirect led to.
func (p Policy) first(a ask, target Origin) (credential bool, err error) {
	switch a.purpose {
	case Realm:
		trusted := p.trusts(a.endpoint, target)
		if !trusted && a.body {
			// Its form has the password or the refresh token.
			return false, a.refuse(keyRealms, "it is not of the registry's domain, and is not given its credential")
		}
		return trusted, nil
	case Foreign:
		if !p.ForeignLayers {
			return false, a.refuse(keyForeign, "layers are not fetched from where a manifest says")
		}
		return false, nil
	}
	if target != a.endpoint && !matches(p.AllowedHosts, target) {
		return false, a.refuse(keyHosts, "it is not the registry")
	}
	return target == a.endpoint, nil
}

// redirected decides on a request that a redirect led to. Its origin has to be that
// of all before it, or the credential stays behind.
func (p Policy) redirected(a ask, target Origin) (credential bool, err error) {
	if len(a.via) > maxRedirects {
		return false, a.refuse("", "it is redirect %d, and %d are allowed", len(a.via), maxRedirects)
	}
	same := true
	var before Origin
	for _, u := range a.via {
		before, err = OriginOf(u)
		if err != nil {
			return false, a.refuse("", "%w", err)
		}
		same = same && before == target
	}
	if a.body && before != target && !p.takesBody(a, target) {
		key := keyHosts
		if a.purpose == Realm {
			key = keyRealms
		}
		return false, a.refuse(key, "the request has a body, and would go to another host, port or scheme")
	}
	if !same {
		return false, nil
	}
	a.url, a.via, a.body = a.via[0], nil, false
	return p.first(a, target)
}

// takesBody reports whether a redirect may take a request's body to target.
func (p Policy) takesBody(a ask, target Origin) bool {
	if a.purpose == Realm {
		return p.trusts(a.endpoint, target)
	}
	return target == a.endpoint || matches(p.AllowedHosts, target)
}

// downgrade refuses to ask by http what https led to.
func (a ask) downgrade(target Origin) error {
	if target.Scheme == "https" {
		return nil
	}
	secure := a.endpoint.Scheme == "https"
	for _, u := range a.via {
		secure = secure || u.Scheme == "https"
	}
	if secure {
		return a.refuse("", "it goes from https to http")
	}
	return nil
}

// literal refuses a host that says by itself that it has an address out of reach.
func (a ask) literal(target Origin, within reach) error {
	kind, ok := kindOfHost(target.Host)
	if !ok && a.proxied {
		kind, ok = kindOfName(target.Host), true
	}
	if ok && kind&within == 0 {
		return a.refuse(a.addressKey(), "it is %s", kind)
	}
	return nil
}

// addressKey returns the key that allows a host at any address.
func (a ask) addressKey() string {
	if a.purpose == Realm && len(a.via) == 0 {
		return keyRealms
	}
	return keyHosts
}

// refuse returns the refusal of what is asked. The key is that of the policy that
// would allow it, if one does.
func (a ask) refuse(key, format string, args ...any) *RefusedError {
	return newRefused(a, key, format, args...)
}
