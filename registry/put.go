package registry

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/registry/hosts"
)

// Put writes a manifest or list under a tag or under its digest. It takes one
// request, of a Repository for hosts.Push.
//
// What a tag points at has the digest that the registry gives it, which is a sha256.
// Where desc has one of another algorithm, the registry is asked to give the tag to
// that (OCI distribution specification, the parameter tag of a manifest). One that does
// not know how gets the tag by a second request; that it then has another digest is
// logged as a warning where its answer tells.
//
// Data that is not what desc says is errdefs.ErrDataLoss, and is not sent; so is an
// answer by which the registry keeps something else. A reference that is neither a
// tag nor the digest of desc is errdefs.ErrInvalidArgument. ErrTypeRefused and
// ErrBlobUnknown say why the registry does not take it, as far as its answer tells.
func (r *Repository) Put(ctx context.Context, desc ocispec.Descriptor, data []byte, tagOrDigest string) error {
	err := r.opened(hosts.Push)
	if err == nil {
		err = r.put(ctx, r.first(), r.use, desc, data, tagOrDigest)
	}
	if err != nil {
		return failed("put", r.object(tagOrDigest), err)
	}
	return nil
}

// put writes a document with the rights of a use.
func (r *Repository) put(ctx context.Context, e *endpoint, use hosts.Use, desc ocispec.Descriptor, data []byte, reference string) error {
	want, err := parseReference(reference)
	if err != nil {
		return err
	}
	if want != "" && want != desc.Digest {
		return fmt.Errorf("it is %s: %w", desc.Digest, errdefs.ErrInvalidArgument)
	}
	if err := image.VerifyBytes(data, desc); err != nil {
		return err
	}
	reference = r.at(e, reference)
	if want == "" && desc.Digest.Algorithm() != digest.SHA256 {
		done, err := r.putTagged(ctx, e, use, desc, data, reference)
		if done || err != nil {
			return err
		}
	}
	_, err = r.write(ctx, e, use, desc, data, reference, nil)
	return err
}

// putTagged writes a document under its digest and has the registry give that a tag.
// It reports whether the registry did.
func (r *Repository) putTagged(ctx context.Context, e *endpoint, use hosts.Use, desc ocispec.Descriptor, data []byte, tag string) (bool, error) {
	h, err := r.write(ctx, e, use, desc, data, string(desc.Digest), url.Values{"tag": {tag}})
	switch status(err) {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return false, nil // it does not know the algorithm, or fails for a reason that the next request shows too
	}
	return slices.Contains(h.Values(headerTag), tag), err
}

// write writes a document and returns the header of the answer.
func (r *Repository) write(ctx context.Context, e *endpoint, use hosts.Use, desc ocispec.Descriptor, data []byte, reference string, query url.Values) (http.Header, error) {
	req, err := e.request(ctx, http.MethodPut, e.repository("manifests", reference), query, data)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", desc.MediaType)
	resp, err := r.client.exchange(e, req, how{scopes: e.scopes(use)}, http.StatusCreated, http.StatusOK, http.StatusAccepted)
	if err != nil {
		return nil, refusedManifest(err)
	}
	_ = resp.Body.Close() // what it says is in the header
	if resp.Header.Get(headerSubject) != "" {
		e.server.referrers.Store(yes)
	}
	return resp.Header, r.kept(e, resp.Header, desc, data)
}

// kept checks the digest that the registry says it keeps a manifest by.
func (r *Repository) kept(e *endpoint, h http.Header, desc ocispec.Descriptor, data []byte) error {
	told := h.Get(headerDigest)
	d, err := image.ParseDigest(told)
	if err != nil {
		return nil //nolint:nilerr // many do not say, and what cannot be read says nothing
	}
	own, err := image.DigestOf(data, desc.MediaType, d.Algorithm())
	if err != nil {
		return err
	}
	if own != d {
		return fmt.Errorf("%s keeps %s where %s was sent: %w", e, d, own, errdefs.ErrDataLoss)
	}
	if d != desc.Digest {
		r.client.log.Warn("the registry names a manifest by another digest", "repository", e.String(), "sent", desc.Digest, "named", d)
	}
	return nil
}
