package registry

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/dhowhq/dhow/registry/blob"
	"github.com/dhowhq/dhow/registry/hosts"
	"github.com/dhowhq/dhow/registry/wire"
)

// blobs are those of a repository at an endpoint.
type blobs struct {
	full *blob.Repository // whose requests have all the attempts that requests have
	once *blob.Repository // and those, one: there is something else to try
}

// blobs returns the blobs of a repository at an endpoint.
func (c *Client) blobs(e *endpoint, use hosts.Use) (b blobs, err error) {
	base, err := url.Parse(e.Scheme + "://" + e.Host + strings.TrimSuffix(e.Prefix, "/v2"))
	if err != nil {
		return b, err
	}
	for _, way := range []struct {
		to   **blob.Repository
		once bool
	}{{&b.full, false}, {&b.once, true}} {
		by := func(p wire.Purpose, t wire.Traffic) blob.Doer {
			return &doer{endpoint: e, how: how{purpose: p, traffic: t, scopes: e.scopes(use), once: way.once}}
		}
		*way.to, err = blob.New(base, e.Path, blob.Clients{
			Control:  by(wire.Registry, wire.Control),
			Download: by(wire.Registry, wire.Download),
			Post:     by(wire.Registry, wire.Upload),
			Foreign:  by(wire.Foreign, wire.Download),
			Upload:   by(wire.Location, wire.Upload),
			Session:  by(wire.Location, wire.Control),
		}, c.opts.Blobs)
		if err != nil {
			return b, err
		}
	}
	return b, nil
}

// doer sends the requests of package blob.
type doer struct {
	endpoint *endpoint
	how      how
}

// Do implements blob.Doer.
func (d *doer) Do(req *http.Request) (*http.Response, error) {
	h := d.how
	if from := req.URL.Query().Get("from"); from != "" && req.Method == http.MethodPost {
		// A mount reads another repository.
		h.scopes = append(slices.Clip(h.scopes), auth.ScopeRepository(from, auth.ActionPull))
	}
	if h.purpose == wire.Registry && req.Response == nil {
		req = d.prefixed(req)
	}
	resp, err := d.endpoint.send(req, h)
	if err != nil {
		return nil, classify(err)
	}
	return resp, nil
}

// prefixed returns a request below the prefix that the endpoint has in the place of
// /v2, which is what package blob adds to its base.
func (d *doer) prefixed(req *http.Request) *http.Request {
	prefix := d.endpoint.Prefix
	if strings.HasSuffix(prefix, "/v2") {
		return req
	}
	rest, ok := strings.CutPrefix(req.URL.Path, prefix+"/v2/")
	if !ok {
		return req
	}
	req = req.Clone(req.Context())
	req.URL.Path, req.URL.RawPath = prefix+"/"+rest, ""
	return req
}
