package containerd

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// Put writes a blob, unless containerd has it and it is not known that it is damaged.
func (b *batch) Put(ctx context.Context, desc ocispec.Descriptor, role image.Role, open store.Opener) (store.Put, error) {
	if _, err := image.ParseDigest(desc.Digest.String()); err != nil {
		return "", err
	}
	if isDocument(desc.MediaType, role) {
		if err := checkSize(desc.Digest, desc.Size, desc.MediaType); err != nil {
			return "", err
		}
	}
	c, done, err := b.claim(ctx, desc, role, func() ([]byte, error) { return readAllOf(ctx, desc, open) })
	if err != nil {
		return "", fmt.Errorf("putting %s: %w", desc.Digest, err)
	}
	if c != nil {
		return store.Reused, b.want(ctx, c)
	}
	defer done()
	put := store.Reused
	c, err = b.find(ctx, desc, role)
	if errors.Is(err, errAbsent) {
		put = store.Written
		heals := errors.Is(err, errDamaged)
		if c, err = b.fetch(ctx, desc, role, open); err == nil {
			c.heals = heals
		}
	}
	if err != nil {
		return "", fmt.Errorf("putting %s: %w", desc.Digest, err)
	}
	b.s.ingests.share(c)
	return put, b.want(ctx, c)
}

// claim returns a blob that another batch has made ready, or the right to write it. Where
// its bytes are needed read has them.
func (b *batch) claim(ctx context.Context, desc ocispec.Descriptor, role image.Role, read func() ([]byte, error)) (there *complete, done func(), err error) {
	i := b.s.ingests
	for {
		c, done, err := i.claim(ctx, desc.Digest)
		if c == nil {
			return nil, done, err
		}
		err = b.meet(ctx, c, desc, role, read)
		if err == nil {
			return c, nil, nil
		}
		absent := errors.Is(err, errAbsent)
		if absent { // it was published and collected before it was held, or is damaged
			i.forget(c)
		}
		i.leave(ctx, c)
		if !absent {
			return nil, nil, err
		}
	}
}

// meet has a blob that another batch has made ready be what this one wants. It is held at
// once: the other lease may end before this batch is published.
func (b *batch) meet(ctx context.Context, c *complete, desc ocispec.Descriptor, role image.Role, read func() ([]byte, error)) error {
	if err := c.agrees(desc, role); err != nil {
		return err
	}
	release, err := c.turn.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	visible, facts := c.state()
	document := isDocument(desc.MediaType, role) && facts == nil
	if document && !visible {
		data := c.data
		if c.in != nil { // which cannot be read
			if data, err = read(); err != nil {
				return err
			}
		}
		if err := c.understand(data, desc.MediaType); err != nil {
			return err
		}
	}
	if err := b.s.holdThere(ctx, b.lease, desc.Digest); err != nil {
		return lost(err)
	}
	if !visible {
		return b.holdForWriter(ctx, c)
	}
	info, err := b.look(ctx, desc.Digest)
	if err == nil && document {
		err = b.understand(ctx, c, info, desc.MediaType)
	}
	return err
}

// holdForWriter has the lease of the batch that has written a blob hold it: that batch does
// so when it publishes it, and by then this one may have published it and its lease ended.
func (b *batch) holdForWriter(ctx context.Context, c *complete) error {
	if c.lease == b.lease {
		return nil
	}
	err := b.s.holdThere(ctx, c.lease, c.desc.Digest)
	if errdefs.IsNotFound(err) { // that lease is over, as its own batch will find out
		return nil
	}
	return err
}

// errAbsent is ErrNotFound for what is to be written, and not that of an opener or a
// lease.
var errAbsent = fmt.Errorf("not there: %w", errdefs.ErrNotFound)

// look is info with errAbsent for what is to be written.
func (b *batch) look(ctx context.Context, d digest.Digest) (*contentapi.Info, error) {
	info, err := b.s.info(ctx, d)
	if errdefs.IsNotFound(err) && !errors.Is(err, errDamaged) {
		return nil, errAbsent
	}
	return info, err
}

// find has the lease hold a blob that is there. errAbsent if none is, and if it is
// damaged errDamaged.
func (b *batch) find(ctx context.Context, desc ocispec.Descriptor, role image.Role) (*complete, error) {
	d := desc.Digest
	info, err := b.look(ctx, d)
	if err != nil {
		return nil, err
	}
	if desc.Size >= 0 && desc.Size != info.GetSize() {
		return nil, fmt.Errorf("it has %d bytes, not %d: %w", info.GetSize(), desc.Size, errdefs.ErrDataLoss)
	}
	if err := b.s.holdThere(ctx, b.lease, d); err != nil {
		return nil, lost(err)
	}
	if info, err = b.look(ctx, d); err != nil { // it may have been collected before it was held
		return nil, err
	}
	c := newComplete(d, info.GetSize(), b.lease)
	c.show()
	if isDocument(desc.MediaType, role) {
		err = b.understand(ctx, c, info, desc.MediaType)
	}
	return c, err
}

// understand notes what is known of a document that is visible.
func (b *batch) understand(ctx context.Context, c *complete, info *contentapi.Info, mediaType string) error {
	facts, err := b.s.understand(ctx, info, mediaType)
	if errdefs.IsDataLoss(err) {
		return errDamaged
	}
	if err == nil {
		c.know(facts)
	}
	return err
}

// lost gives the error for a lease that is not there a kind of its own.
func lost(err error) error {
	if errdefs.IsNotFound(err) {
		return fmt.Errorf("the lease is over (%v): %w", err, errdefs.ErrFailedPrecondition) //nolint:errorlint // not that kind
	}
	return err
}

// understand learns a document that is there, and has containerd keep what is below it.
func (s *Store) understand(ctx context.Context, info *contentapi.Info, mediaType string) (store.Facts, error) {
	d := digest.Digest(info.GetDigest())
	if info.GetLabels()[labelDocument] == mediaType {
		return s.learn(ctx, d, info.GetSize(), mediaType)
	}
	return s.adopt(ctx, d, info.GetSize(), mediaType)
}

// fetch reads a blob from its opener.
func (b *batch) fetch(ctx context.Context, desc ocispec.Descriptor, role image.Role, open store.Opener) (*complete, error) {
	c, err := b.fetchSmall(ctx, desc, role, open)
	if c == nil && err == nil {
		return b.fetchLarge(ctx, desc, open)
	}
	if err == nil && !b.hasRoom(c.desc.Size) {
		c.in, err = b.s.spill(ctx, c)
		c.data = nil
	}
	return c, err
}

// fetchSmall reads a document, or a small blob of which nothing is there, into memory.
// For any other one it returns nil.
func (b *batch) fetchSmall(ctx context.Context, desc ocispec.Descriptor, role image.Role, open store.Opener) (*complete, error) {
	document := isDocument(desc.MediaType, role)
	if !document && (desc.Size < 0 || desc.Size > smallBlob) {
		return nil, nil //nolint:nilnil // see above
	}
	if !document {
		status, err := b.s.content.Status(ctx, &contentapi.StatusRequest{Ref: putRef(desc.Digest, 0)})
		if err == nil && status.GetStatus().GetOffset() > 0 {
			return nil, nil //nolint:nilnil // see above
		} else if err != nil && !errdefs.IsNotFound(err) {
			return nil, err
		}
	}
	data, err := readAllOf(ctx, desc, open)
	if err != nil {
		return nil, err
	}
	c := newComplete(desc.Digest, int64(len(data)), b.lease)
	c.data = data
	if document {
		err = c.understand(data, desc.MediaType)
	}
	return c, err
}

// readAllOf reads a blob from its opener, up to its size or that of a document.
func readAllOf(ctx context.Context, desc ocispec.Descriptor, open store.Opener) ([]byte, error) {
	r, err := open(ctx, 0)
	if err != nil {
		return nil, err
	}
	limit := desc.Size
	if limit < 0 {
		limit = limitOf(desc.MediaType)
	}
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	if desc.Size < 0 && int64(len(data)) > limit {
		return nil, fmt.Errorf("it has more than %d bytes: %w", limit, errdefs.ErrResourceExhausted)
	}
	// Not by media type: a signed manifest is known to containerd by its bytes.
	return data, image.VerifyBytes(data, ocispec.Descriptor{Digest: desc.Digest, Size: max(desc.Size, -1)})
}

// fetchLarge reads a blob into an ingest, from where an earlier Put has stopped. What
// was resumed can only be verified by containerd, which does so by SHA-256.
func (b *batch) fetchLarge(ctx context.Context, desc ocispec.Descriptor, open store.Opener) (_ *complete, err error) {
	in, err := b.s.openPut(ctx, desc.Digest, max(desc.Size, 0), "")
	if err != nil {
		return nil, err
	}
	var other hash.Hash
	if alg := desc.Digest.Algorithm(); alg != digest.SHA256 {
		other = alg.Hash()
	}
	if other != nil || desc.Size >= 0 && in.offset > desc.Size {
		if err := in.reset(ctx); err != nil {
			in.close()
			return nil, err
		}
	}
	if err := in.fill(ctx, desc.Size, open, other); err != nil {
		in.close()
		return nil, err
	}
	have := in.digest
	if other != nil {
		have = digest.NewDigest(desc.Digest.Algorithm(), other)
	} else if in.offset == 0 {
		have = digest.SHA256.FromBytes(nil)
	}
	if desc.Size >= 0 && in.offset != desc.Size || have != desc.Digest {
		in.close()
		err := fmt.Errorf("it has %d bytes and digest %s where %d bytes are wanted: %w", in.offset, have, desc.Size, errdefs.ErrDataLoss)
		return nil, errors.Join(err, b.s.abort(context.WithoutCancel(ctx), in.ref))
	}
	c := newComplete(desc.Digest, in.offset, b.lease)
	c.in = in
	return c, nil
}

// fill writes what an opener has after what is there, up to one byte beyond the size.
func (in *ingest) fill(ctx context.Context, size int64, open store.Opener, other hash.Hash) error {
	r, err := open(ctx, in.offset)
	if err != nil {
		return err
	}
	var src io.Reader = r
	if size >= 0 {
		src = io.LimitReader(r, size-in.offset+1)
	}
	buf := make([]byte, chunk)
	for err == nil {
		var n int
		n, err = io.ReadFull(src, buf)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = io.EOF
		}
		if n > 0 {
			if other != nil {
				other.Write(buf[:n]) // a hash never returns an error
			}
			if _, bad := in.write(ctx, buf[:n]); bad != nil {
				err = bad
			}
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, r.Close())
}
