package registry

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// OpenBlob returns the bytes of a blob from the offset on, as blob.Repository.Open
// does, from wherever they can be had: where a mirror does not have the blob, fails,
// or breaks off and does not go on, the next endpoint is asked for what is still to be
// read, and at last the registry. What is read may so come from several of them; like
// all that Open returns it is for the reader to verify. Where the policy allows foreign
// layers, one that no endpoint has is read from the URLs of its descriptor. Its errors
// are those of Open, and of OpenForeign. See Distrust for what is read and wrong.
func (r *Repository) OpenBlob(ctx context.Context, desc ocispec.Descriptor, from int64) (io.ReadCloser, error) {
	b := &blobReader{desc: desc, at: from, round: r.roundFor(desc.Digest)}
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

// Distrust is told that what OpenBlob gave out of a blob was not its content. Where some
// of that may have come from a mirror it returns true, and the blob is from now on
// opened at the registry itself; otherwise false, as all the times after the first.
func (r *Repository) Distrust(d digest.Digest) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mirrored[d] != fromMirror {
		return false
	}
	r.mirrored[d] = distrusted
	r.client.log.Warn("what mirrors gave is not the content of a blob, the registry is asked", "repository", r.String(), "digest", d)
	return true
}

// trust is what is known of a blob that mirrors have given out.
type trust uint8

const (
	fromMirror trust = 1 + iota
	distrusted
)

// roundFor begins a round about a blob: with the last endpoint if mirrors have others'
// bytes for it.
func (r *Repository) roundFor(d digest.Digest) *round {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mirrored[d] == distrusted {
		return &round{repo: r, at: len(r.endpoints) - 1}
	}
	return r.round()
}

// mirror notes that a mirror gives a blob out.
func (r *Repository) mirror(d digest.Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mirrored == nil {
		r.mirrored = map[digest.Digest]trust{}
	}
	if r.mirrored[d] == 0 {
		r.mirrored[d] = fromMirror
	}
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
			if !b.round.last() {
				b.round.repo.mirror(b.desc.Digest)
			}
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
