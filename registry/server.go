package registry

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dhowhq/dhow/registry/credentials"
	"github.com/dhowhq/dhow/registry/hosts"
	"github.com/dhowhq/dhow/registry/wire"
)

// server is one place that speaks the API, for all its repositories.
type server struct {
	secure *route // by the scheme that was configured
	plain  *route // by http, where that is allowed as well; else nil

	impatient bool // there are no further attempts anyway

	settled  atomic.Int32 // asUnknown, asSecure or asPlain
	settling turn         // to find out which

	referrers atomic.Int32 // support for the referrers API
	finding   turn         // to find that out
	heads     atomic.Int32 // whether a 404 to HEAD means what it says

	mu       sync.Mutex
	sessions map[string]*session // by repository
	warnings map[string]bool     // that were logged
}

// How a server is asked that may speak TLS or not.
const (
	asUnknown = iota
	asSecure
	asPlain
)

// What is known of a server's ability.
const (
	unknown = iota
	yes
	no
)

// route is a way to a server.
type route struct {
	origin wire.Origin
	full   *wire.Client // that tries again where that helps
	once   *wire.Client // that does not, because there is something else to try
}

// server returns the server of an endpoint, always the same for the same settings.
func (c *Client) server(at hosts.Endpoint) (*server, error) {
	// In it are header fields and a proxy, which may be secret: it is never shown.
	key := fmt.Sprint(at.URL(), at.PlainHTTP, at.TLS, at.Proxy, at.Header, at.DialTimeout)
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.servers[key]; s != nil {
		return s, nil
	}
	s := &server{settling: newTurn(), finding: newTurn(), sessions: map[string]*session{}, warnings: map[string]bool{}}
	s.impatient = c.opts.Wire.Attempts < 0 || c.opts.Wire.Attempts == 1
	var err error
	if s.secure, err = c.route(at, at.Scheme); err != nil {
		return nil, err
	}
	s.settled.Store(asSecure)
	if at.PlainHTTP && at.Scheme == "https" {
		if s.plain, err = c.route(at, "http"); err != nil {
			return nil, err
		}
		s.settled.Store(asUnknown)
	}
	c.servers[key] = s
	return s, nil
}

// onlyOne is the number of attempts of a request after which there is something else
// to try, as wire.Options has it.
const onlyOne = -1

// route returns the way to an endpoint by a scheme. The caller holds c.mu.
func (c *Client) route(at hosts.Endpoint, scheme string) (*route, error) {
	o, err := wire.OriginOf(&url.URL{Scheme: scheme, Host: at.Host})
	if err != nil {
		return nil, fmt.Errorf("the address of %s: %w", at, err)
	}
	e := wire.Endpoint{Origin: o, Header: at.Header}
	if c.opts.Policy != nil {
		e.Policy = c.opts.Policy(o)
	}
	r := &route{origin: o}
	if r.full, err = c.factory(at, o, c.opts.Wire.Attempts).wire.Client(e); err != nil {
		return nil, fmt.Errorf("the way to %s: %w", at, err)
	}
	if r.once, err = c.factory(at, o, onlyOne).wire.Client(e); err != nil {
		return nil, fmt.Errorf("the way to %s: %w", at, err)
	}
	return r, nil
}

// route returns the way to the server, as far as it is known.
func (s *server) route() *route {
	if s.settled.Load() == asPlain {
		return s.plain
	}
	return s.secure
}

// session returns the authorisation for a repository.
func (s *server) session(repository string, store credentials.Store) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.sessions[repository]
	if a == nil {
		a = newSession(repository, store)
		s.sessions[repository] = a
	}
	return a
}

// noteWarning reports whether a warning was not there before. A server has so many
// and no more.
func (s *server) noteWarning(text string) bool {
	const most = 16
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.warnings[text] || len(s.warnings) == most {
		return false
	}
	s.warnings[text] = true
	return true
}

// settle sends the first request to a server that may speak TLS or not, and others
// that come meanwhile after it.
func (e *endpoint) settle(req *http.Request, h how) (*http.Response, error) {
	s := e.server
	if err := s.settling.take(req.Context()); err != nil {
		return nil, err
	}
	if s.settled.Load() != asUnknown {
		s.settling.give()
		return e.send(req, h)
	}
	resp, err := e.first(req, h)
	s.settling.give()
	if err == nil || h.once || s.impatient || !isTransient(err) || ended(req.Context()) {
		return resp, err
	}
	// Now with all the attempts that a request has.
	again, err := rewound(req)
	if err != nil {
		return nil, err
	}
	return e.by(s.route(), again, h)
}

// first sends a request once by https and, if there is no TLS, once by http. To ask
// with the request itself costs none beside it. A server on this machine is asked the
// other way round: there it is http as a rule, and nobody is between.
func (e *endpoint) first(req *http.Request, h how) (*http.Response, error) {
	s := e.server
	h.once = true
	if s.secure.origin.IsLoopback() && s.secure.origin.Port == s.plain.origin.Port {
		resp, err := e.by(s.plain, req, h)
		if !wantsTLS(resp, err) {
			s.settled.Store(asPlain)
			return resp, err
		}
		if req, err = rewound(req); err != nil {
			return nil, err
		}
	}
	resp, err := e.by(s.secure, req, h)
	if err == nil || isResponse(err) {
		s.settled.Store(asSecure)
		return resp, err
	}
	// Where no port was given, http has another one than https.
	if !noTLS(err) && !unreachable(err) {
		return nil, err
	}
	again, rewindErr := rewound(req)
	if rewindErr != nil {
		return nil, rewindErr
	}
	resp, plainErr := e.by(s.plain, again, h)
	if plainErr == nil || isResponse(plainErr) || noTLS(err) {
		s.settled.Store(asPlain)
		return resp, plainErr
	}
	return nil, err
}

// wantsTLS reports whether what came by http may be how a server for https takes that:
// no answer, or one that says so. It reads the answer then, and closes it.
func wantsTLS(resp *http.Response, err error) bool {
	if err != nil || resp.StatusCode != http.StatusBadRequest {
		return err != nil && unreachable(err)
	}
	const most = 4 << 10
	text, err := io.ReadAll(io.LimitReader(resp.Body, most))
	says := strings.ToLower(string(text))
	if err == nil && (strings.Contains(says, "https") || strings.Contains(says, "ssl-enabled")) {
		_ = resp.Body.Close() // nobody wants the rest
		return true
	}
	resp.Body = &prefixedBody{Reader: io.MultiReader(bytes.NewReader(text), resp.Body), Closer: resp.Body}
	return false
}

// prefixedBody is a body of which some was read already.
type prefixedBody struct {
	io.Reader
	io.Closer
}

// noTLS reports whether a connection by https failed because there was no TLS.
func noTLS(err error) bool {
	_, record := errors.AsType[tls.RecordHeaderError](err)
	return record || errors.Is(err, http.ErrSchemeMismatch)
}

// unreachable reports whether there was no answer, for reasons that may pass.
func unreachable(err error) bool { return isTransient(err) && !isResponse(err) }

func isTransient(err error) bool {
	_, ok := errors.AsType[*wire.GaveUpError](err)
	return ok
}
