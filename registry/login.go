package registry

import (
	"context"
	"fmt"
	"net/http"

	"github.com/dhowhq/dhow/registry/credentials"
	"github.com/dhowhq/dhow/registry/hosts"
)

// Check asks a registry, host[:port], whether it takes a credential, and nothing
// else of it: one request, and those that its authentication takes. The empty
// credential asks whether it can be used anonymously. What the client holds
// otherwise, tokens too, has no part in it.
//
// A credential that is refused is errdefs.ErrPermissionDenied. A registry that wants
// none takes any.
func (c *Client) Check(ctx context.Context, host string, cred credentials.Credential) error {
	if err := c.check(ctx, host, cred); err != nil {
		return failed("log in to", host, err)
	}
	return nil
}

func (c *Client) check(ctx context.Context, host string, cred credentials.Credential) error {
	e, err := c.hostEndpoint(host, hosts.Pull)
	if err != nil {
		return err
	}
	store, err := credentials.Static(e.Host, cred)
	if err != nil {
		return err
	}
	e.session = newSession("", store)
	req, err := e.request(ctx, http.MethodGet, "/", nil, nil)
	if err != nil {
		return err
	}
	resp, err := c.exchange(e, req, how{}, http.StatusOK)
	if err != nil {
		return fmt.Errorf("%s: %w", e.Host, err)
	}
	return resp.Body.Close()
}
