package registry

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/registry/wire"
)

// maskedRealm is the path of the token server as oras sees it.
const maskedRealm = "/.token-server"

// maskRealm has a challenge name a token server at the registry's own host. Whether
// one may be asked, and with what, is for package wire to decide, which has read the
// challenge. oras has a rule of its own beside that, and to apply it looks names up
// by itself: it refuses every token server at a private address that is not on the
// registry's host, as that of a registry in a company's network often is.
func (c *call) maskRealm(resp *http.Response) {
	// This is how package wire writes what it has read.
	rest, ok := strings.CutPrefix(resp.Header.Get("Www-Authenticate"), "Bearer realm=")
	if !ok {
		return
	}
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil {
		return
	}
	raw, err := strconv.Unquote(quoted)
	if err != nil {
		return
	}
	realm, err := url.Parse(raw)
	if err != nil {
		return
	}
	c.realm = realm
	at := resp.Request.URL
	masked := url.URL{Scheme: at.Scheme, Host: at.Host, Path: maskedRealm, RawQuery: realm.RawQuery}
	resp.Header.Set("Www-Authenticate", "Bearer realm="+strconv.Quote(masked.String())+rest[len(quoted):])
}

// unmask gives an error of oras the token server's real name.
func (c *call) unmask(err error) error {
	if c.realm == nil {
		return err
	}
	u, parseErr := url.Parse(c.url)
	if parseErr != nil {
		return err
	}
	text := err.Error()
	masked := u.Scheme + "://" + u.Host + maskedRealm
	if !strings.Contains(text, masked) {
		return err
	}
	realm := c.realm.Scheme + "://" + c.realm.Host + c.realm.EscapedPath()
	return &retoldError{text: strings.ReplaceAll(text, masked, realm), err: err}
}

// askToken asks the token server, or follows its redirect. An error status is an
// error here, because package wire knows what of it must not be shown.
func (c *call) askToken(req *http.Request) (*http.Response, error) {
	if req.Response == nil && req.URL.Path == maskedRealm && c.realm != nil {
		realm := *c.realm
		realm.RawQuery = req.URL.RawQuery
		req = req.Clone(req.Context())
		req.URL, req.Host = &realm, realm.Host
	}
	resp, err := c.client.HTTP(wire.Registry, wire.Control).Transport.RoundTrip(req)
	switch {
	case errors.Is(err, wire.ErrNotRegistry):
		// Nor is that it shows a page that the registry does.
		return nil, &plainError{text: fmt.Sprintf("the token server at %s: %v", req.URL.Host, err), kind: errdefs.ErrUnavailable}
	case err != nil:
		return nil, fmt.Errorf("the token server at %s: %w", req.URL.Host, err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		// It does not wrap the answer: that the token server does not find something is
		// not that the registry does not have it.
		err := wire.CheckResponse(resp)
		return nil, &plainError{text: "the token server refuses: " + err.Error(), kind: errdefs.ErrPermissionDenied}
	}
	if next, err := resp.Location(); err == nil {
		resp.Header.Set("Location", next.String()) // relative to where it really is
	}
	return resp, nil
}
