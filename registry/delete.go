package registry

import (
	"context"
	"fmt"
	"net/http"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/registry/hosts"
)

// DeleteManifest deletes a manifest or list by its digest, and with it all tags that
// point at it. What it names stays. A registry that does not delete is
// errdefs.ErrNotImplemented.
func (r *Repository) DeleteManifest(ctx context.Context, d digest.Digest) error {
	_, err := image.ParseDigest(string(d))
	if err == nil {
		err = r.opened(hosts.Delete)
	}
	if err == nil {
		err = r.delete(ctx, r.first(), string(d))
	}
	if err != nil {
		return failed("delete", r.object(string(d)), err)
	}
	return nil
}

// DeleteTag deletes a tag and leaves the manifest that it points at. It takes three
// requests: the registry is asked for the tag before, and for the manifest after.
//
// errdefs.ErrNotImplemented is a registry that does not delete tags, or that deletes
// the manifest with it, and says which. errdefs.ErrNotFound is a tag that was not
// there.
func (r *Repository) DeleteTag(ctx context.Context, tag string) error {
	err := ref.ValidTag(tag)
	if err == nil {
		err = r.opened(hosts.Delete)
	}
	if err == nil {
		err = r.deleteTag(ctx, r.first(), r.at(r.first(), tag))
	}
	if err != nil {
		return failed("delete the tag", r.object(tag), err)
	}
	return nil
}

func (r *Repository) deleteTag(ctx context.Context, e *endpoint, tag string) error {
	desc, err := r.head(ctx, e, tag, "", false)
	if err != nil {
		return err
	}
	if err := r.delete(ctx, e, tag); err != nil {
		switch status(err) {
		case http.StatusBadRequest, http.StatusNotFound:
			// The tag was there: it is the deleting of one that the registry does not know.
			return &plainError{text: fmt.Sprintf("the registry deletes no tags by themselves: %v", err), kind: errdefs.ErrNotImplemented}
		}
		return err
	}
	switch _, err := r.head(ctx, e, string(desc.Digest), desc.Digest, false); {
	case errdefs.IsNotFound(err):
		return fmt.Errorf("the registry has deleted the manifest %s with the tag: %w", desc.Digest, errdefs.ErrNotImplemented)
	case err != nil:
		return fmt.Errorf("the tag is deleted, but whether its manifest %s still is there is not known: %w", desc.Digest, err)
	}
	return nil
}

func (r *Repository) delete(ctx context.Context, e *endpoint, reference string) error {
	req, err := e.request(ctx, http.MethodDelete, e.repository("manifests", reference), nil, nil)
	if err != nil {
		return err
	}
	resp, err := r.client.exchange(e, req, how{scopes: e.scopes(r.use)}, http.StatusAccepted, http.StatusOK, http.StatusNoContent)
	if err != nil {
		return unsupported(err)
	}
	return resp.Body.Close()
}
