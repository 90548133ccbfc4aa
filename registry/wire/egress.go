package wire

import (
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/containerd/errdefs"
)

// egress asks the policy, and sends what it leaves of the request. Of the answer it
// reads what would have us send another one: redirects and challenges.
type egress struct {
	opts *Options
	next step
}

func (e *egress) do(x *exchange) (*http.Response, error) {
	if err := e.proxied(x); err != nil {
		return nil, err
	}
	if host := x.req.Host; host != "" && host != x.req.URL.Host {
		return nil, fmt.Errorf("a request to %s for the host %s: %w", x.target, quote(host), errdefs.ErrInvalidArgument)
	}
	var err error
	if x.verdict, err = x.client.endpoint.Policy.decide(x.ask(x.proxy != nil)); err != nil {
		return nil, err
	}
	e.prepare(x)
	resp, err := e.next.do(x)
	if err != nil {
		return nil, err
	}
	if err := x.client.answered(x, resp); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// proxied finds out whether there is a proxy on the way.
func (e *egress) proxied(x *exchange) (err error) {
	if e.opts.Proxy == nil {
		return nil
	}
	if x.proxy, err = e.opts.Proxy(x.req.URL); err != nil {
		text := fmt.Sprintf("the proxy for %s is not usable: %v", x.target, err)
		return &answerError{text: redactText(text), kind: errdefs.ErrInvalidArgument}
	}
	return nil
}

// prepare makes the header that is sent.
func (e *egress) prepare(x *exchange) {
	h := x.req.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	// What is encoded on the way has another digest.
	h.Set("Accept-Encoding", "identity")
	// net/http has it say the URL that redirected, which may be signed.
	h.Del("Referer")
	if e.opts.UserAgent != "" && h.Get("User-Agent") == "" {
		h.Set("User-Agent", e.opts.UserAgent)
	}
	if !x.verdict.credential {
		if x.purpose == Realm && len(x.via) == 0 && h.Get("Authorization") != "" {
			x.client.realms.withhold(x.target)
		}
		maps.DeleteFunc(h, func(name string, _ []string) bool {
			return slices.Contains(credentialHeaders(), http.CanonicalHeaderKey(name))
		})
	} else if x.target == x.client.endpoint.Origin {
		for name, values := range x.client.endpoint.Header {
			if h.Get(name) == "" {
				h[http.CanonicalHeaderKey(name)] = values
			}
		}
	}
	x.header = h
}

// credentialHeaders names the headers that authorise a request.
func credentialHeaders() []string { return []string{"Authorization", "Cookie", "Proxy-Authorization"} }

// answered checks an answer for what would have us send another request.
func (c *Client) answered(x *exchange, resp *http.Response) error {
	if err := c.denied(x, resp); err != nil {
		return err
	}
	if resp.StatusCode == http.StatusUnauthorized {
		if err := c.challenged(x, resp); err != nil {
			return err
		}
	}
	return redirects(resp)
}

// reach returns the kinds of addresses that the endpoint is known to have.
func (c *Client) reach() reach { return reach(c.near.Load()) }
