package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/blobfile"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

// Put is that of store.Batch.
func (b *batch) Put(ctx context.Context, desc ocispec.Descriptor, role image.Role, open store.Opener) (store.Put, error) {
	k, err := b.accept(desc, role)
	if err != nil {
		return "", err
	}
	put, err := b.obtain(ctx, desc, k, func(ctx context.Context) (*blobfile.Ingest, error) {
		in, err := b.s.fill(ctx, desc, k, open)
		if err != nil {
			return nil, err
		}
		if err := b.bound(ctx, in); err != nil {
			return nil, errors.Join(err, in.Close())
		}
		return in, nil
	})
	if err != nil {
		return "", fmt.Errorf("writing %s: %w", desc.Digest, err)
	}
	return put, nil
}

// accept checks what is said of a blob before any of it is read.
func (b *batch) accept(desc ocispec.Descriptor, role image.Role) (kind, error) {
	if err := b.check(); err != nil {
		return opaque, err
	}
	if err := b.s.refused(); err != nil {
		return opaque, err
	}
	if _, err := image.ParseDigest(string(desc.Digest)); err != nil {
		return opaque, err
	}
	k, err := kindOf(role, desc.MediaType)
	if err != nil {
		return opaque, err
	}
	return k, b.s.checkLimit(desc.Digest, k, desc.Size)
}

// fill writes a blob under the ref of its Put.
func (s *Store) fill(ctx context.Context, desc ocispec.Descriptor, k kind, open store.Opener) (*blobfile.Ingest, error) {
	in, err := s.files.Create(ctx, putRef+string(desc.Digest), desc.Digest.Algorithm())
	if err != nil {
		return nil, err
	}
	err = s.checkFree(desc.Size - in.Offset())
	if err == nil {
		err = in.Fill(ctx, desc.Digest, desc.Size, s.bounded(desc.Digest, k, open))
	}
	if errdefs.IsResourceExhausted(err) && k != opaque {
		return nil, errors.Join(err, in.Abort()) // what is too large is not wanted later on either
	}
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return in, nil
}

// maxInMemory is how many bytes of small blobs a batch has in memory, beyond which they get
// files as large ones do.
const maxInMemory = 16 << 20

// bound has a blob that was written be in a file if the batch has enough in memory.
func (b *batch) bound(ctx context.Context, in *blobfile.Ingest) error {
	data, small := in.Bytes()
	if !small {
		return nil
	}
	b.mu.Lock()
	enough := b.inMemory+len(data) > maxInMemory
	if !enough {
		b.inMemory += len(data)
	}
	b.mu.Unlock()
	if !enough {
		return nil
	}
	return in.Spill(ctx)
}

// reserve is how much is left free on the disk, for the database.
const reserve = 64 << 20

// checkFree fails if the disk has no room for so many bytes more.
func (s *Store) checkFree(n int64) error {
	if n <= blobfile.Small {
		return nil
	}
	free, err := s.files.Free()
	if err != nil {
		return err
	}
	if need := uint64(n) + reserve; need > free {
		return fmt.Errorf("it needs %d bytes and %d beside them, the disk has %d: %w", n, reserve, free, errdefs.ErrResourceExhausted)
	}
	return nil
}

// obtain has the batch have a blob that is visible, or that another batch has written,
// or that write writes.
func (b *batch) obtain(ctx context.Context, desc ocispec.Descriptor, k kind, write func(context.Context) (*blobfile.Ingest, error)) (store.Put, error) {
	d := desc.Digest
	for {
		if err := b.s.uses.acquire(ctx, d); err != nil {
			return "", err
		}
		p, mine := b.s.pendings.claim(d)
		w := &wanted{pending: p}
		put := store.Reused
		var err error
		if mine {
			put, err = b.s.produce(ctx, w, desc, k, write)
		} else {
			select {
			case <-p.ready:
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		if err == nil && b.s.pendings.stageOf(p) == failed {
			// Who wrote it has given up: it is this one's turn.
			b.drop(w) //nolint:contextcheck // what is given up is, when the context has ended too
			continue
		}
		if err == nil && !mine {
			err = b.s.join(ctx, w, desc, k)
		}
		if err != nil {
			b.drop(w) //nolint:contextcheck // what is given up is, when the context has ended too
			return "", err
		}
		b.adopt(w) //nolint:contextcheck // what is given up is, when the context has ended too
		return put, nil
	}
}

// produce has a blob be visible or written, as the only one who does so.
func (s *Store) produce(ctx context.Context, w *wanted, desc ocispec.Descriptor, k kind, write func(context.Context) (*blobfile.Ingest, error)) (_ store.Put, err error) {
	outcome := failed
	defer func() { s.pendings.settle(w.pending, outcome) }()
	there, err := s.believe(ctx, w, desc)
	if err != nil {
		return "", err
	}
	if there {
		if err := s.lacking(ctx, w, desc, k); err != nil {
			return "", err
		}
		outcome = visible
		return store.Reused, nil
	}
	in, err := write(ctx)
	if err != nil {
		return "", err
	}
	facts, err := s.deriveFrom(ctx, in, desc, k)
	if err != nil {
		return "", errors.Join(err, in.Abort())
	}
	_, size := in.Content()
	s.pendings.mu.Lock()
	w.ingest, w.size, w.pending.facts = in, size, facts
	s.pendings.mu.Unlock()
	outcome = written
	return store.Written, nil
}

// believe reports whether a blob is visible and can be believed: its bytes are right, or
// are in a file that was verified in this epoch. A file that is not right is set aside.
func (s *Store) believe(ctx context.Context, w *wanted, desc ocispec.Descriptor) (bool, error) {
	d := desc.Digest
	c, err := s.look(ctx, d)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err == nil || errdefs.IsDataLoss(err) && !catalog.IsDamaged(err) {
		if desc.Size >= 0 && desc.Size != c.Size {
			return false, fmt.Errorf("it has %d bytes, its descriptor says %d: %w", c.Size, desc.Size, errdefs.ErrDataLoss)
		}
	}
	if err == nil && c.File() {
		err = s.believeFile(ctx, w, c.Size)
	}
	if err == nil {
		w.size = c.Size
		return true, nil
	}
	if catalog.IsDamaged(err) || !errdefs.IsDataLoss(err) && !errdefs.IsNotFound(err) {
		return false, err
	}
	s.log.Warn("a blob is damaged and is written anew", "digest", d, "error", err)
	w.heals = true
	if c.File() {
		if err := s.files.SetAside(d); err != nil && !errdefs.IsNotFound(err) {
			return false, err
		}
	}
	return false, nil
}

// believeFile verifies a blob's file, unless that was done in this epoch.
func (s *Store) believeFile(ctx context.Context, w *wanted, size int64) error {
	d := w.digest
	if _, bad := s.distrusted.Load(d); !bad {
		if err := s.checkFile(d, size); err != nil {
			return err
		}
		var epoch uint64
		err := s.view(ctx, func(tx *catalog.Tx) (err error) {
			epoch, err = tx.Verified(d)
			return err
		})
		if err != nil || epoch != 0 && epoch == s.epoch.Load() {
			return err
		}
	}
	if err := s.files.Verify(ctx, d, size); err != nil {
		return err
	}
	w.verified = true
	return nil
}

// join checks that a blob which another one has written is what is wanted.
func (s *Store) join(ctx context.Context, w *wanted, desc ocispec.Descriptor, k kind) error {
	if desc.Size >= 0 && desc.Size != w.size {
		return fmt.Errorf("it has %d bytes, its descriptor says %d: %w", w.size, desc.Size, errdefs.ErrDataLoss)
	}
	return s.lacking(ctx, w, desc, k)
}

// lacking derives the facts of a blob that was not understood before as it is now.
func (s *Store) lacking(ctx context.Context, w *wanted, desc ocispec.Descriptor, k kind) (err error) {
	if k == opaque {
		return nil
	}
	s.pendings.mu.Lock()
	facts, in := w.pending.facts, w.ingest
	s.pendings.mu.Unlock()
	if in == nil || s.pendings.stageOf(w.pending) == visible {
		if facts, err = s.factsOf(ctx, desc.Digest); err != nil || !wants(k, facts) {
			return err
		}
		data, err := s.read(ctx, desc.Digest, k)
		if err != nil {
			return err
		}
		w.facts, err = s.derive(data, k, desc)
		return err
	}
	if !wants(k, facts) {
		return nil
	}
	w.facts, err = s.deriveFrom(ctx, in, desc, k)
	return err
}

// deriveFrom returns the facts of a blob that was written and is not published.
func (s *Store) deriveFrom(ctx context.Context, in *blobfile.Ingest, desc ocispec.Descriptor, k kind) (*store.Facts, error) {
	if k == opaque {
		return nil, nil //nolint:nilnil // there are none
	}
	_, size := in.Content()
	if err := s.checkLimit(desc.Digest, k, size); err != nil {
		return nil, err
	}
	data, err := contentOf(ctx, in)
	if errors.Is(err, fs.ErrClosed) { // it was just published
		data, err = s.readFile(ctx, desc.Digest, size)
	}
	if err != nil {
		return nil, err
	}
	return s.derive(data, k, desc)
}
