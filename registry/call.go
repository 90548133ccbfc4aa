package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/dhowhq/dhow/registry/wire"
)

// call is one request on its way through oras' authentication: it is the transport
// below and the cache beside it. It tells the request itself from those for tokens,
// and knows which token was tried.
type call struct {
	session *session
	client  *wire.Client
	how     how
	method  string
	url     string
	sent    string   // the token that the request was last sent with
	realm   *url.URL // the token server that the registry named
}

// RoundTrip implements http.RoundTripper.
func (c *call) RoundTrip(req *http.Request) (*http.Response, error) {
	if !c.isOurs(req) {
		return c.askToken(req)
	}
	if req.URL.String() == c.url {
		_, c.sent, _ = strings.Cut(req.Header.Get("Authorization"), " ")
		if at := strings.IndexFunc(c.sent, func(r rune) bool { return r <= ' ' || r > '~' }); at >= 0 {
			return nil, closing(req, fmt.Errorf("the token server gave a token with a character that no header has: %w", errdefs.ErrUnavailable))
		}
	}
	resp, err := c.client.HTTP(c.how.purpose, c.how.traffic).Transport.RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		c.maskRealm(resp)
	}
	return resp, err
}

// isOurs reports whether a request is the one that was to be sent, or follows a
// redirect of it. All others are for tokens.
func (c *call) isOurs(req *http.Request) bool {
	for {
		if req.Method == c.method && req.URL.String() == c.url {
			return true
		}
		if req.Response == nil || req.Response.Request == nil {
			return false
		}
		req = req.Response.Request
	}
}

// closing closes a request's body, as a RoundTripper has to, and returns the error.
func closing(req *http.Request, err error) error {
	if req.Body != nil {
		_ = req.Body.Close() // nothing was read
	}
	return err
}

// GetScheme implements auth.Cache.
func (c *call) GetScheme(context.Context, string) (auth.Scheme, error) {
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	if c.session.scheme == auth.SchemeUnknown {
		return auth.SchemeUnknown, errdefs.ErrNotFound
	}
	return c.session.scheme, nil
}

// GetToken implements auth.Cache. A token for more than is asked serves as well:
// servers name other scopes in their challenges than clients ask for.
func (c *call) GetToken(_ context.Context, _ string, scheme auth.Scheme, key string) (string, error) {
	s := c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.scheme != scheme {
		return "", errdefs.ErrNotFound
	}
	if token, ok := s.tokens[key]; ok {
		return token, nil
	}
	for have, token := range s.tokens {
		if covers(have, key) {
			return token, nil
		}
	}
	return "", errdefs.ErrNotFound
}

// Set implements auth.Cache. Who comes while a token is being fetched waits for it,
// and who was refused with an older one than there is now takes that.
func (c *call) Set(ctx context.Context, _ string, scheme auth.Scheme, key string, get func(context.Context) (string, error)) (string, error) {
	s := c.session
	for {
		s.mu.Lock()
		if token, ok := s.tokens[key]; ok && s.scheme == scheme && token != c.sent {
			s.mu.Unlock()
			return token, nil
		}
		f, waits := s.fetches[key]
		if !waits {
			f = &fetch{done: make(chan struct{})}
			s.fetches[key] = f
		}
		s.mu.Unlock()
		if !waits {
			return c.fetch(ctx, f, scheme, key, get)
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
		if !errors.Is(f.err, context.Canceled) && !errors.Is(f.err, context.DeadlineExceeded) {
			return f.token, f.err
		}
		// That was another one's context, and not ours.
	}
}

// fetch fetches a token for all who wait for it.
func (c *call) fetch(ctx context.Context, f *fetch, scheme auth.Scheme, key string, get func(context.Context) (string, error)) (string, error) {
	s := c.session
	f.err = errors.New("the fetching of a token was broken off")
	defer func() {
		s.mu.Lock()
		delete(s.fetches, key)
		if f.err == nil {
			if s.scheme != scheme {
				s.scheme = scheme
				clear(s.tokens)
			}
			s.tokens[key] = f.token
		}
		s.mu.Unlock()
		close(f.done)
	}()
	f.token, f.err = get(ctx)
	return f.token, f.err
}

// covers reports whether a token for the scopes in have serves for those in want.
func covers(have, want string) bool {
	if want == "" {
		return false // it is not known to be for anything
	}
	scopes := strings.Fields(have)
	for scope := range strings.FieldsSeq(want) {
		name, actions := cutScope(scope)
		if !slices.ContainsFunc(scopes, func(s string) bool {
			n, a := cutScope(s)
			return n == name && within(actions, a)
		}) {
			return false
		}
	}
	return true
}

// cutScope returns a scope's type and name, and its actions.
func cutScope(scope string) (name string, actions []string) {
	at := strings.LastIndexByte(scope, ':')
	if at < 0 {
		return scope, nil
	}
	return scope[:at], strings.Split(scope[at+1:], ",")
}

// within reports whether all the actions are among others.
func within(actions, others []string) bool {
	for _, a := range actions {
		if !slices.Contains(others, a) && !slices.Contains(others, "*") {
			return false
		}
	}
	return true
}
