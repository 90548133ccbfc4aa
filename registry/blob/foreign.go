package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// OpenForeign is Open for a blob that registries need not have, from the URLs that its
// descriptor has for it (image specification, "Descriptor": urls). They are asked in
// order until one answers with the blob; reading goes on there after a break.
//
// That the blob is at none of them is errdefs.ErrUnavailable: it was to be there. A
// descriptor without URLs is errdefs.ErrInvalidArgument.
func (r *Repository) OpenForeign(ctx context.Context, desc ocispec.Descriptor, from int64) (io.ReadCloser, error) {
	src, err := r.source(desc, from)
	if err != nil {
		return nil, err
	}
	if len(desc.URLs) == 0 || r.clients.Foreign == nil {
		return nil, fmt.Errorf("blob %s has no URLs to be read from: %w", desc.Digest, errdefs.ErrInvalidArgument)
	}
	var failed error
	for _, text := range desc.URLs {
		in, err := src.openURL(ctx, text, from)
		if err == nil || ctx.Err() != nil {
			return in, err
		}
		if errdefs.IsNotFound(err) {
			err = fmt.Errorf("%s: %w", err.Error(), errdefs.ErrUnavailable)
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

// openURL opens the blob at a URL.
func (s *source) openURL(ctx context.Context, text string, from int64) (io.ReadCloser, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, s.failed(fmt.Errorf("the URL %s is none: %w", quote(text), errdefs.ErrInvalidArgument))
	}
	there := &source{repo: s.repo, desc: s.desc, foreign: u}
	return there.open(ctx, from)
}
