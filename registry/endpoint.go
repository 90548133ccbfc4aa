package registry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/registry/hosts"
	"github.com/dhowhq/dhow/registry/wire"
)

// endpoint is a repository, or none, at a server.
type endpoint struct {
	hosts.Endpoint
	server  *server
	session *session
}

// how says how a request is sent.
type how struct {
	purpose wire.Purpose
	traffic wire.Traffic
	scopes  []string
	once    bool // no further attempts, because there is another endpoint
}

// request returns a request for a path below the API's.
func (e *endpoint) request(ctx context.Context, method, path string, query url.Values, body []byte) (*http.Request, error) {
	target := e.URL() + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, content)
	if err != nil {
		return nil, fmt.Errorf("a request to %s: %w: %w", e, err, errdefs.ErrInvalidArgument)
	}
	return req, nil
}

// repository returns the path of something in the repository.
func (e *endpoint) repository(kind, reference string) string {
	return "/" + e.Path + "/" + kind + "/" + reference
}

// send sends a request to the endpoint, or to where it sent us. The answer may have
// any status that another attempt would not change.
func (e *endpoint) send(req *http.Request, h how) (*http.Response, error) {
	if e.Namespace != "" && (h.purpose == wire.Registry || h.purpose == wire.Link) {
		req = withNamespace(req, e.Namespace)
	}
	// A body that cannot be had again is not what to find anything out with.
	if e.server.settled.Load() == asUnknown && (req.Body == nil || req.Body == http.NoBody || req.GetBody != nil) {
		return e.settle(req, h)
	}
	return e.by(e.server.route(), req, h)
}

// by sends a request by a route. For the server itself it is authorised.
func (e *endpoint) by(r *route, req *http.Request, h how) (*http.Response, error) {
	if h.purpose == wire.Registry && req.URL.Scheme != r.origin.Scheme {
		req = req.Clone(req.Context())
		req.URL.Scheme = r.origin.Scheme
	}
	client := r.full
	if h.once {
		client = r.once
	}
	o, err := wire.OriginOf(req.URL)
	if err != nil || o != r.origin || h.purpose == wire.Foreign {
		return client.Do(req, h.purpose, h.traffic)
	}
	resp, err := e.session.do(client, e.Host, req, h)
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// withNamespace returns a request that tells a mirror whom it stands in for.
func withNamespace(req *http.Request, namespace string) *http.Request {
	query := req.URL.Query()
	if query.Has("ns") {
		return req
	}
	query.Set("ns", namespace)
	req = req.Clone(req.Context())
	req.URL.RawQuery = query.Encode()
	return req
}

// rewound returns a request once more, with its body from the beginning.
func rewound(req *http.Request) (*http.Request, error) {
	again := req.Clone(req.Context())
	if req.GetBody == nil {
		return again, nil
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, fmt.Errorf("the request's body, once more: %w", err)
	}
	again.Body = body
	return again, nil
}

// exchange sends a request and returns an answer with one of the statuses, whose
// body the caller closes. What the server warns of is logged.
func (c *Client) exchange(e *endpoint, req *http.Request, h how, accepted ...int) (*http.Response, error) {
	resp, err := e.send(req, h)
	if err != nil {
		return nil, err
	}
	for _, value := range resp.Header.Values("Warning") {
		// RFC 7234, 5.5: code, agent, text in quotes. The code of those is 299.
		text, ok := strings.CutPrefix(value, "299 - ")
		if ok && e.server.noteWarning(text) {
			c.log.Warn("the registry warns", "registry", e.URL(), "text", quote(text))
		}
	}
	return resp, wire.CheckResponse(resp, accepted...)
}

// read reads an answer's body and closes it. More than limit bytes are
// errdefs.ErrResourceExhausted.
func read(resp *http.Response, limit int64) (data []byte, err error) {
	defer resp.Body.Close()
	if resp.ContentLength > limit {
		return nil, fmt.Errorf("an answer of %d bytes, at most %d are read: %w", resp.ContentLength, limit, errdefs.ErrResourceExhausted)
	}
	if data, err = io.ReadAll(io.LimitReader(resp.Body, limit+1)); err != nil {
		return nil, fmt.Errorf("the answer broke off after %d bytes: %w", len(data), err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("an answer of more than %d bytes: %w", limit, errdefs.ErrResourceExhausted)
	}
	return data, nil
}
