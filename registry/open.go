package registry

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// OpenBlob returns the bytes of a blob from the offset on, as blob.Repository.Open
// does, from wherever they can be had: where a mirror does not have the blob, fails,
// or breaks off and does not go on, the next endpoint is asked for what is still to be
// read, and at last the registry. What is read may so come from several of them; like
// all that Open returns it is for the reader to verify. Where the policy allows foreign
// layers, one that no endpoint has is read from the URLs of its descriptor. Its errors
// are those of Open, and of OpenForeign.
func (r *Repository) OpenBlob(ctx context.Context, desc ocispec.Descriptor, from int64) (io.ReadCloser, error) {
	b := &blobReader{desc: desc, at: from, round: r.round()}
	b.ctx, b.cancel = context.WithCancel(ctx)
	err := b.open()
	if err == nil {
		return b, nil
	}
	b.cancel()
	if errdefs.IsNotFound(err) && len(desc.URLs) > 0 && r.allowsForeign() {
		return r.blobs[len(r.blobs)-1].full.OpenForeign(ctx, desc, from)
	}
	return nil, err
}

// allowsForeign reports whether layers may be read from where a manifest says.
func (r *Repository) allowsForeign() bool {
	policy := r.client.opts.Policy
	return policy != nil && policy(r.endpoints[len(r.endpoints)-1].server.route().origin).ForeignLayers
}

// blobReader reads a blob from one endpoint after the other.
type blobReader struct {
	ctx    context.Context //nolint:containedctx // that of the reader, which OpenBlob was given
	cancel context.CancelFunc
	desc   ocispec.Descriptor

	mu    sync.Mutex
	round *round
	in    io.ReadCloser // nil before the first endpoint has answered
	at    int64         // of the blob, what is read next
	err   error         // that reading ended with
}

// open asks endpoints for what is still to be read, beginning with that whose turn it
// is.
func (b *blobReader) open() error {
	for {
		blobs := b.round.repo.blobs[b.round.at]
		from := blobs.full
		if b.round.once() {
			from = blobs.once
		}
		in, err := from.Open(b.ctx, b.desc, b.at)
		if err == nil {
			b.in = in
			b.round.keep()
			return nil
		}
		if errdefs.IsInvalidArgument(err) && !isResponse(err) {
			return err // it is ours
		}
		if err := b.round.next(b.ctx, err); err != nil {
			return err
		}
	}
}

// Read implements io.Reader.
func (b *blobReader) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.err == nil {
		n, err := b.in.Read(p)
		b.at += int64(n)
		if err != nil && !errors.Is(err, io.EOF) {
			if err = b.round.next(b.ctx, err); err == nil {
				_ = b.in.Close() // it failed
				err = b.open()
			}
		}
		b.err = err
		if n > 0 || len(p) == 0 {
			return n, err
		}
	}
	return 0, b.err
}

// Close implements io.Closer. It never fails.
func (b *blobReader) Close() error {
	b.cancel() // ends a Read
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.in.Close()
}
