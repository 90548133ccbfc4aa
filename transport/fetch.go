package transport

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
)

// Fetch returns all bytes of a small piece of content, verified: those that the
// descriptor embeds, or else the source's. It never reads more than one byte
// beyond the descriptor's size, or beyond limit where the size is -1.
//
// Errors are those of Open, errdefs.ErrResourceExhausted for content of more than
// limit bytes, and errdefs.ErrDataLoss for bytes that do not match.
func Fetch(ctx context.Context, src Source, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	data := desc.Data
	if data == nil {
		var err error
		if data, err = fetch(ctx, src, desc, limit); err != nil {
			return nil, err
		}
	}
	if err := image.VerifyBytes(data, desc); err != nil {
		return nil, err
	}
	return data, nil
}

func fetch(ctx context.Context, src Source, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	if desc.Size > limit {
		return nil, fmt.Errorf("%s has %d bytes, the limit is %d: %w", desc.Digest, desc.Size, limit, errdefs.ErrResourceExhausted)
	}
	if desc.Size >= 0 {
		limit = desc.Size
	}
	r, err := src.Open(ctx, desc, 0)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var buf bytes.Buffer
	buf.Grow(int(max(desc.Size, 0)) + bytes.MinRead)
	if _, err := io.Copy(&buf, io.LimitReader(r, min(limit, math.MaxInt64-1)+1)); err != nil {
		return nil, fmt.Errorf("reading %s: %w", desc.Digest, err)
	}
	if desc.Size < 0 && int64(buf.Len()) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes: %w", desc.Digest, limit, errdefs.ErrResourceExhausted)
	}
	return buf.Bytes(), nil
}
