package wire

import (
	"net/http"
	"net/url"
	"strings"
)

const (
	maxURL   = 8 << 10 // bytes of a URL that somebody sends us to
	maxLinks = 16      // in the Link headers of one answer
)

// absolute reads a URL that has to stand for itself.
func absolute(raw string) (*url.URL, error) {
	u, err := parseTarget(raw)
	if err != nil {
		return nil, err
	}
	if _, err := OriginOf(u); err != nil {
		return nil, malformed("%s: %v", quote(redactURL(u)), err)
	}
	return u, nil
}

// resolve reads a URL or a reference relative to base (RFC 3986, 5). What it returns
// has an origin, and neither userinfo nor fragment.
func resolve(base *url.URL, raw string) (*url.URL, error) {
	u, err := parseTarget(raw)
	if err != nil {
		return nil, err
	}
	u = base.ResolveReference(u)
	if _, err := OriginOf(u); err != nil {
		return nil, malformed("%s: %v", quote(redactURL(u)), err)
	}
	return u, nil
}

// parseTarget parses a URL of printable ASCII without a fragment. A backslash is
// refused because some take it for a slash.
func parseTarget(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, malformed("it is empty")
	}
	if len(raw) > maxURL {
		return nil, malformed("it is a URL of %d bytes, at most %d are allowed", len(raw), maxURL)
	}
	for _, c := range []byte(raw) {
		if c <= ' ' || c > '~' || c == '\\' || c == '#' {
			return nil, malformed("it is a URL with the character %q", rune(c))
		}
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, malformed("it is no URL: %s", quote(redactText(err.Error())))
	}
	if u.Opaque != "" {
		return nil, malformed("it is no URL with a host, but one of %s", quote(u.Scheme))
	}
	return u, nil
}

// Location returns where the endpoint wants a blob uploaded: the Location of resp,
// which is an answer to c. The policy has been asked; a request there is of purpose
// Location, and with the endpoint's credential only if it is of its origin. A
// Location that is missing or no URL is an error of kind errdefs.ErrUnavailable, one
// that may not be asked a *RefusedError.
func (c *Client) Location(resp *http.Response) (*url.URL, error) {
	return c.target(Location, resp, resp.Header.Get("Location"))
}

// NextPage returns where a list goes on: the Link of resp with the relation "next"
// (RFC 8288), or nil if there is none. Otherwise it is as Location is, for the
// purpose Link.
func (c *Client) NextPage(resp *http.Response) (*url.URL, error) {
	raw, ok, err := nextLink(resp.Header.Values("Link"))
	if err != nil {
		return nil, c.malformedTarget(Link, err)
	}
	if !ok {
		return nil, nil //nolint:nilnil // as documented
	}
	return c.target(Link, resp, raw)
}

// target returns a URL that an answer to c sends us to, if that may be asked.
func (c *Client) target(p Purpose, resp *http.Response, raw string) (*url.URL, error) {
	u, err := resolve(resp.Request.URL, raw)
	if err != nil {
		return nil, c.malformedTarget(p, err)
	}
	if _, err := c.endpoint.Policy.decide(ask{purpose: p, endpoint: c.endpoint.Origin, near: c.reach(), url: u}); err != nil {
		return nil, err
	}
	return u, nil
}

func (c *Client) malformedTarget(p Purpose, err error) error {
	return answerErrorf("%s that %s gave: %v", p, c.endpoint.Origin, err)
}

// nextLink returns the target of the first link with the relation "next".
func nextLink(values []string) (target string, ok bool, err error) {
	links := 0
	for _, value := range values {
		for rest := strings.TrimLeft(value, " \t,"); rest != ""; rest = strings.TrimLeft(rest, " \t,") {
			if links++; links > maxLinks {
				return "", false, malformed("more than %d links", maxLinks)
			}
			inner, after, closed := strings.Cut(rest, ">")
			if !strings.HasPrefix(inner, "<") || !closed {
				return "", false, malformed("a link without < and > around its target at %s", quote(rest))
			}
			var relations string
			if relations, rest, err = linkRelations(after); err != nil {
				return "", false, err
			}
			for relation := range strings.FieldsSeq(relations) {
				if strings.EqualFold(relation, "next") {
					return inner[1:], true, nil
				}
			}
		}
	}
	return "", false, nil
}

// linkRelations reads the parameters after a link's target, up to the comma before
// the next link. It returns the value of the first "rel".
func linkRelations(rest string) (relations, after string, err error) {
	p := &challengeParser{rest: rest}
	seen := false
	for {
		p.skip(" \t")
		if p.rest == "" || p.rest[0] == ',' {
			return relations, p.rest, nil
		}
		if p.rest[0] != ';' {
			return "", "", malformed("a link goes on with %s", quote(p.rest))
		}
		p.skip("; \t")
		name := p.token()
		p.skip(" \t")
		if !strings.HasPrefix(p.rest, "=") {
			if name == "" && p.rest != "" && p.rest[0] != ',' {
				return "", "", malformed("a parameter of a link begins with %s", quote(p.rest))
			}
			continue
		}
		p.rest = strings.TrimLeft(p.rest[1:], " \t")
		value, err := p.value()
		if err != nil {
			return "", "", malformed("the parameter %s of a link: %v", quote(name), err)
		}
		if strings.EqualFold(name, "rel") && !seen {
			relations, seen = value, true
		}
	}
}
