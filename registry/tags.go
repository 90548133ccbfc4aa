package registry

import (
	"context"
	"fmt"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/registry/hosts"
)

// Tags calls yield with each tag of the repository, in the registry's order, until
// it returns false. Mirrors are not asked. One page of tags is held at a time, which
// is at most 16 MiB of JSON; a larger one, and more than 20,000 pages, are
// errdefs.ErrResourceExhausted, and pages that go in a circle are
// errdefs.ErrUnavailable.
//
// Tags that break the grammar are left out, counted, and logged once. A tag that is
// the same as the one before it is left out as well; a registry whose list changes
// meanwhile may still have one twice, or not at all.
func (r *Repository) Tags(ctx context.Context, yield func(tag string) bool) error {
	e, err := r.lister()
	if err == nil {
		l := &names{field: "tags", valid: ref.ValidTag, yield: yield}
		err = r.client.list(ctx, e, "/"+e.Path+"/tags/list", how{scopes: e.scopes(hosts.List)}, l)
	}
	if err != nil {
		return failed("list the tags of", r.String(), err)
	}
	return nil
}

// lister returns the endpoint that lists tags.
func (r *Repository) lister() (*endpoint, error) {
	name, err := ref.Parse(r.name.Name())
	if err != nil {
		return nil, err
	}
	all, err := r.client.endpoints(name, hosts.List)
	if err != nil {
		return nil, err
	}
	return all[len(all)-1], nil
}

// Repositories calls yield with the name of each repository of a registry, host[:port],
// until it returns false. What Tags says of pages, and of names that break the
// grammar, holds here as well. Many registries have no such list, or not for all:
// that is errdefs.ErrNotFound, errdefs.ErrNotImplemented or errdefs.ErrPermissionDenied,
// as they answer.
func (c *Client) Repositories(ctx context.Context, host string, yield func(name string) bool) error {
	e, err := c.hostEndpoint(host, hosts.List)
	if err != nil {
		return fmt.Errorf("list the repositories of %s: %w", host, err)
	}
	l := &names{field: "repositories", valid: ref.ValidName, yield: yield}
	if err := c.list(ctx, e, "/_catalog", how{scopes: []string{auth.ScopeRegistryCatalog}}, l); err != nil {
		return failed("list the repositories of", host, err)
	}
	return nil
}
