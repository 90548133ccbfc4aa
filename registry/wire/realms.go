package wire

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
)

// maxRealms is how many token servers an endpoint may name in the time of a Client.
const maxRealms = 64

// realms are the token servers that an endpoint has named in challenges.
type realms struct {
	mu       sync.Mutex
	named    map[string]bool
	withheld Origin // the last one that was not given the credential that was meant for it
}

// key is what of a realm is in each request to it; the client adds to the query.
func (r *realms) key(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }

// knows reports whether a URL is one of a token server.
func (r *realms) knows(u *url.URL) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.named[r.key(u)]
}

// add remembers a token server.
func (r *realms) add(u *url.URL) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := r.key(u)
	if !r.named[key] && len(r.named) == maxRealms {
		return fmt.Errorf("the registry has named more than %d token servers: %w", maxRealms, errdefs.ErrUnavailable)
	}
	if r.named == nil {
		r.named = map[string]bool{}
	}
	r.named[key] = true
	return nil
}

// withhold notes that a token server was asked without the credential.
func (r *realms) withhold(o Origin) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.withheld = o
}

// without returns the token server that was asked without the credential, if one was.
func (r *realms) without() (Origin, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.withheld, r.withheld != Origin{}
}

// challenged reads the challenges of an answer with status 401, and leaves the one
// to answer, so that all who read it read it alike. Only the endpoint itself can
// challenge: who it sends us to would be asking for its credential.
func (c *Client) challenged(x *exchange, resp *http.Response) error {
	values := resp.Header.Values("Www-Authenticate")
	resp.Header.Del("Www-Authenticate")
	if !x.verdict.credential || x.purpose == Realm || len(values) == 0 {
		return nil
	}
	all, err := parseChallenges(values)
	if err != nil {
		return answerErrorf("its challenge cannot be read: %v", err)
	}
	chosen, ok := choose(all)
	if !ok {
		return &answerError{text: "it wants authentication by " + schemes(all) + ", and not by Basic or Bearer", kind: errdefs.ErrUnauthenticated}
	}
	if chosen.scheme == "bearer" {
		realm, err := chosen.realm()
		if err != nil {
			return answerErrorf("the realm of its challenge: %v", err)
		}
		// Without a body: whether it may have one is decided when it is asked.
		if _, err := c.endpoint.Policy.decide(ask{purpose: Realm, endpoint: c.endpoint.Origin, near: c.reach(), url: realm}); err != nil {
			return err
		}
		if err := c.realms.add(realm); err != nil {
			return err
		}
	}
	resp.Header.Set("Www-Authenticate", chosen.header())
	return nil
}

// schemes names the schemes of challenges.
func schemes(all []challenge) string {
	names := make([]string, len(all))
	for i, c := range all {
		names[i] = quote(c.scheme)
	}
	return strings.Join(names, ", ")
}

// denied returns an error for an answer with status 401 or 403 that comes of a
// credential withheld, and nil for any other.
func (c *Client) denied(x *exchange, resp *http.Response) error {
	realm, ok := c.realms.without()
	switch {
	case !ok, resp.StatusCode != http.StatusUnauthorized && resp.StatusCode != http.StatusForbidden:
		return nil
	case x.purpose == Realm:
		ok = x.target == realm
	default:
		// Before there is a token, the answer is a challenge and no denial.
		ok = x.target == c.endpoint.Origin && x.req.Header.Get("Authorization") != ""
	}
	if !ok {
		return nil
	}
	behind := newResponseError(resp, x.secrets())
	return &RefusedError{
		What: "credential for " + Realm.String(), URL: realm.String(), Endpoint: c.endpoint.Origin, Key: keyRealms, Err: behind,
		Reason: "it is not of the registry's domain, was asked without, and that was not enough: " + behind.text(),
	}
}
