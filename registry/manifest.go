package registry

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/registry/hosts"
)

// acceptTypes are the media types of all documents that package image knows.
const acceptTypes = ocispec.MediaTypeImageIndex + ", " + ocispec.MediaTypeImageManifest + ", " +
	image.MediaTypeDockerList + ", " + image.MediaTypeDockerManifest + ", " +
	image.MediaTypeDockerSchema1Signed + ", " + image.MediaTypeDockerSchema1

// Get returns a manifest or list by tag or digest, with its descriptor: media type,
// digest and size. It takes one request.
//
// By digest the bytes are verified against it. By tag the digest is that of the
// bytes: a sha256, or of the algorithm that the registry names it by if that is the
// bytes' as well. The media type is that which the registry serves it under or, where
// that says nothing, what the bytes look like; a type that package image does not
// know is returned as it was served.
//
// Bytes that do not match the digest are errdefs.ErrDataLoss, more than
// Limits.DocumentBytes are errdefs.ErrResourceExhausted, and an answer that is no
// document is errdefs.ErrUnavailable.
func (r *Repository) Get(ctx context.Context, tagOrDigest string) (desc ocispec.Descriptor, data []byte, err error) {
	want, err := parseReference(tagOrDigest)
	if err != nil {
		return desc, nil, failed("get", r.object(tagOrDigest), err)
	}
	err = r.ask(ctx, keep, func(e *endpoint, once bool) (err error) {
		desc, data, err = r.get(ctx, e, r.at(e, tagOrDigest), want, once)
		return err
	})
	if err != nil {
		return ocispec.Descriptor{}, nil, failed("get", r.object(tagOrDigest), err)
	}
	return desc, data, nil
}

func (r *Repository) get(ctx context.Context, e *endpoint, reference string, want digest.Digest, once bool) (desc ocispec.Descriptor, data []byte, err error) {
	resp, err := r.manifest(ctx, e, http.MethodGet, reference, once)
	if err != nil {
		return desc, nil, err
	}
	if data, err = read(resp, r.client.opts.Limits.DocumentBytes); err != nil {
		return desc, nil, fmt.Errorf("%s: %w", e, err)
	}
	if desc, err = r.client.describe(e, resp.Header, data, want); err != nil {
		return desc, nil, fmt.Errorf("%s: %w", e, err)
	}
	return desc, data, nil
}

// manifest asks for a manifest, or for its header only.
func (r *Repository) manifest(ctx context.Context, e *endpoint, method, reference string, once bool) (*http.Response, error) {
	req, err := e.request(ctx, method, e.repository("manifests", reference), nil, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", acceptTypes)
	return r.client.exchange(e, req, how{scopes: e.scopes(r.use), once: once}, http.StatusOK)
}

// Head returns the descriptor of a manifest or list by tag or digest as the registry
// tells it: nothing of it is verified. It takes one request, and is a Get where the
// answer lacks the digest, the size or the media type, or tells another digest than
// was asked for, or where the registry does not answer HEAD. For a Pull, the first
// time that a server has not found something, a Get makes sure; where that does find
// it, the server is not asked by HEAD any more. Errors are as Get has them.
func (r *Repository) Head(ctx context.Context, tagOrDigest string) (desc ocispec.Descriptor, err error) {
	want, err := parseReference(tagOrDigest)
	if err != nil {
		return desc, failed("head", r.object(tagOrDigest), err)
	}
	err = r.ask(ctx, keep, func(e *endpoint, once bool) (err error) {
		desc, err = r.head(ctx, e, r.at(e, tagOrDigest), want, once)
		return err
	})
	if err != nil {
		return ocispec.Descriptor{}, failed("head", r.object(tagOrDigest), err)
	}
	return desc, nil
}

func (r *Repository) head(ctx context.Context, e *endpoint, reference string, want digest.Digest, once bool) (ocispec.Descriptor, error) {
	missing := false
	if e.server.heads.Load() != no {
		resp, err := r.manifest(ctx, e, http.MethodHead, reference, once)
		if err == nil {
			_ = resp.Body.Close() // it has none
			if desc, ok := announced(resp, want); ok {
				e.server.heads.Store(yes)
				return desc, nil
			}
		}
		switch missing = status(err) == http.StatusNotFound; {
		case err == nil, status(err) == http.StatusForbidden, errdefs.IsNotImplemented(err):
		case missing && r.use == hosts.Pull && e.server.heads.Load() == unknown:
		default:
			return ocispec.Descriptor{}, err
		}
	}
	desc, _, err := r.get(ctx, e, reference, want, once)
	switch {
	case missing && err == nil:
		e.server.heads.Store(no)
	case missing && errdefs.IsNotFound(err):
		e.server.heads.Store(yes)
	}
	return desc, err
}

// announced returns the descriptor that the header of an answer tells, if it is
// whole and of the digest that was asked for.
func announced(resp *http.Response, want digest.Digest) (ocispec.Descriptor, bool) {
	d, err := image.ParseDigest(resp.Header.Get(headerDigest))
	desc := ocispec.Descriptor{
		MediaType: image.NormalizeContentType(resp.Header.Get("Content-Type")),
		Digest:    d,
		Size:      resp.ContentLength,
	}
	return desc, err == nil && desc.MediaType != "" && desc.Size > 0 && (want == "" || want == d)
}

// typeName returns a media type without parameters.
func typeName(contentType string) string {
	name, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(name))
}
