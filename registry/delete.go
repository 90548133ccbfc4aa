package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/registry/hosts"
	"github.com/dhowhq/dhow/registry/wire"
)

// DeleteManifest deletes a manifest or list by its digest, and with it all tags that
// point at it. What it names stays. A registry that does not delete is
// errdefs.ErrNotImplemented.
//
// At a registry without the referrers API a manifest with a subject is then taken out
// of the list under the tag that stands in for it (OCI distribution specification,
// "Deleting Manifests"), in the way in which AddReferrer writes it. That takes a right
// to push; an error of it says that the manifest is deleted. Unless the registry is
// known to have the API, the manifest is read before, to see its subject.
func (r *Repository) DeleteManifest(ctx context.Context, d digest.Digest) error {
	_, err := image.ParseDigest(string(d))
	if err == nil {
		err = r.opened(hosts.Delete)
	}
	if err == nil {
		err = r.deleteManifest(ctx, r.first(), d)
	}
	if err != nil {
		return failed("delete", r.object(string(d)), err)
	}
	return nil
}

func (r *Repository) deleteManifest(ctx context.Context, e *endpoint, d digest.Digest) error {
	subject, err := r.listed(ctx, e, d)
	if err != nil {
		return err
	}
	// First, as many registries do not delete: the list would lose what stays.
	if err := r.delete(ctx, e, string(d)); err != nil || subject == "" {
		return err
	}
	if err := r.removeReferrer(ctx, e, subject, d); err != nil {
		return fmt.Errorf("the manifest is deleted, but is still listed as a referrer under the tag %s: %w", fallbackTag(subject), err)
	}
	return nil
}

// listed returns the subject of a manifest, if it is for clients to list its
// referrers, and else nothing.
func (r *Repository) listed(ctx context.Context, e *endpoint, d digest.Digest) (subject digest.Digest, err error) {
	if e.server.referrers.Load() == yes {
		return "", nil
	}
	desc, data, err := r.get(ctx, e, string(d), d, false)
	switch {
	case errdefs.IsNotFound(err), errdefs.IsDataLoss(err), errdefs.IsResourceExhausted(err), errors.Is(err, wire.ErrNotRegistry):
		return "", nil // not a manifest that has a subject; whether it can be deleted, the registry says
	case err != nil:
		return "", err
	}
	doc, err := image.Decode(data, image.Declared{Served: desc.MediaType}, r.client.opts.Limits)
	if err != nil || doc.Subject() == nil {
		return "", nil //nolint:nilerr // likewise
	}
	subject = doc.Subject().Digest
	if has, err := r.hasAPI(ctx, e, subject); has || err != nil {
		return "", err
	}
	return subject, nil
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
