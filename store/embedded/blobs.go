package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/durable"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

// walked is how many blobs Walk looks up at once.
const walked = 500

// Stat is that of store.Blobs. A blob whose file is not there, or has another length, is
// not visible: who needs it gets it again.
func (s *Store) Stat(ctx context.Context, d digest.Digest) (store.Blob, error) {
	var blob store.Blob
	err := s.view(ctx, func(tx *catalog.Tx) (err error) {
		blob, err = s.stat(tx, d)
		return err
	})
	return blob, err
}

func (s *Store) stat(tx *catalog.Tx, d digest.Digest) (store.Blob, error) {
	blob, err := tx.Blob(d)
	if err != nil {
		return store.Blob{}, err
	}
	if blob.File() {
		if err := s.checkFile(d, blob.Size); err != nil {
			return store.Blob{}, err
		}
	}
	return store.Blob{Digest: d, Size: blob.Size, Created: blob.Created}, nil
}

// checkFile returns ErrNotFound for a blob whose file is not one of its size.
func (s *Store) checkFile(d digest.Digest, size int64) error {
	found, err := s.files.Size(d)
	switch {
	case errdefs.IsDataLoss(err) || errdefs.IsNotFound(err):
		return fmt.Errorf("blob %s: its file is missing or damaged: %w", d, errdefs.ErrNotFound)
	case err != nil:
		return err
	case found != size:
		return fmt.Errorf("blob %s: its file has %d bytes where it should have %d: %w", d, found, size, errdefs.ErrNotFound)
	}
	return nil
}

// Facts is that of store.Blobs.
func (s *Store) Facts(ctx context.Context, d digest.Digest) (store.Facts, error) {
	var facts store.Facts
	err := s.view(ctx, func(tx *catalog.Tx) (err error) {
		facts, err = tx.Facts(d)
		return err
	})
	return facts, err
}

// Walk is that of store.Blobs.
func (s *Store) Walk(ctx context.Context, after digest.Digest, f func(store.Blob) error) error {
	if after != "" {
		if _, err := image.ParseDigest(string(after)); err != nil {
			return err
		}
	}
	for more := true; more; {
		var found []store.Blob
		err := s.view(ctx, func(tx *catalog.Tx) (err error) {
			found, after, err = s.walk(tx, after)
			more = after != ""
			return err
		})
		if err != nil {
			return err
		}
		for _, blob := range found {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := f(blob); err != nil {
				return err
			}
		}
	}
	return nil
}

// walk returns some visible blobs after a digest, and after which one to go on; empty:
// these were all.
func (s *Store) walk(tx *catalog.Tx, after digest.Digest) (found []store.Blob, last digest.Digest, err error) {
	digests, blobs, err := tx.Walk(after, walked)
	for i, d := range digests {
		if !blobs[i].File() || s.checkFile(d, blobs[i].Size) == nil {
			found = append(found, store.Blob{Digest: d, Size: blobs[i].Size, Created: blobs[i].Created})
		}
	}
	if len(digests) == walked {
		last = digests[walked-1]
	}
	return found, last, err
}

// content is a blob that was looked up: its bytes if they are in the database.
type content struct {
	catalog.Blob
	data []byte
}

// look looks up a blob and the bytes of it that are in the database, of which it checks
// that they are the blob's.
func (s *Store) look(ctx context.Context, d digest.Digest) (content, error) {
	var c content
	err := s.view(ctx, func(tx *catalog.Tx) (err error) {
		c, err = lookIn(tx, d)
		return err
	})
	if err == nil && !c.File() {
		err = c.check(d)
	}
	return c, err
}

// Open is that of store.Blobs. The reader of a blob in a file has the method CopyTo of
// durable.FileCopier: who uses it has to verify what has arrived.
func (s *Store) Open(ctx context.Context, d digest.Digest, from int64) (_ io.ReadCloser, err error) {
	c, release, err := s.open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			release()
		}
	}()
	if from < 0 || from > c.Size {
		return nil, fmt.Errorf("reading blob %s of %d bytes from byte %d: %w", d, c.Size, from, errdefs.ErrInvalidArgument)
	}
	if !c.File() {
		return &memory{Reader: bytes.NewReader(c.data[from:]), data: c.data, release: release}, nil
	}
	r, err := s.files.Open(ctx, d, c.Size, from)
	if err != nil {
		return nil, s.unreadable(d, err)
	}
	if copier, ok := r.(durable.FileCopier); ok {
		return &copyReader{fileReader{r, s, d, release}, copier}, nil
	}
	return &fileReader{r, s, d, release}, nil
}

// OpenAt is that of store.Blobs.
func (s *Store) OpenAt(ctx context.Context, d digest.Digest) (_ store.ReaderAt, err error) {
	c, release, err := s.open(ctx, d)
	if err != nil {
		return nil, err
	}
	if !c.File() {
		return &memory{Reader: bytes.NewReader(c.data), data: c.data, release: release}, nil
	}
	r, err := s.files.OpenAt(ctx, d, c.Size)
	if err != nil {
		release()
		return nil, s.unreadable(d, err)
	}
	return &fileReaderAt{r, release}, nil
}

// open looks up a blob and keeps it from being collected until release.
func (s *Store) open(ctx context.Context, d digest.Digest) (c content, release func(), err error) {
	if _, err := image.ParseDigest(string(d)); err != nil {
		return content{}, nil, err
	}
	if err := s.uses.acquire(ctx, d); err != nil {
		return content{}, nil, err
	}
	if c, err = s.look(ctx, d); err != nil {
		s.uses.release(d)
		return content{}, nil, err
	}
	return c, sync.OnceFunc(func() { s.uses.release(d) }), nil
}

// unreadable notes that a blob's file was found damaged or missing, if that is what the
// error says.
func (s *Store) unreadable(d digest.Digest, err error) error {
	if errdefs.IsNotFound(err) {
		return fmt.Errorf("blob %s: its file is missing: %w", d, errdefs.ErrNotFound)
	}
	if errdefs.IsDataLoss(err) {
		s.distrust(d)
	}
	return err
}

// distrust has the next Put of a blob not believe its file.
func (s *Store) distrust(d digest.Digest) {
	if _, known := s.distrusted.LoadOrStore(d, true); known || s.refused() != nil {
		return
	}
	s.log.Warn("a blob is damaged", "digest", d)
	o := &op{
		ctx: context.Background(), done: make(chan error, 1),
		run: func(tx *catalog.Tx) error { return tx.SetVerified(d, 0) },
		after: func(err error) {
			if err != nil {
				s.log.Warn("noting that a blob is damaged", "digest", d, "error", err)
			}
		},
	}
	if err := s.enqueue(o); err != nil {
		o.finish(err)
	}
}

// Partial is that of store.Blobs.
func (s *Store) Partial(ctx context.Context) ([]store.Partial, error) {
	found, err := s.files.Partial(ctx)
	if err != nil {
		return nil, err
	}
	var all []store.Partial
	for _, p := range found {
		if text, ok := strings.CutPrefix(p.Ref, putRef); ok && s.pendings.complete(digest.Digest(text)) {
			continue
		}
		ref := strings.TrimPrefix(strings.TrimPrefix(p.Ref, putRef), otherRef)
		// The clock of files may be some milliseconds behind.
		updated := p.Updated
		if updated.Before(p.Started) {
			updated = p.Started
		}
		all = append(all, store.Partial{Ref: ref, Offset: p.Offset, Started: p.Started, Updated: updated})
	}
	return all, nil
}

// Abort is that of store.Blobs. A digest is the ref of what a Put has left, if there is
// no other of that ref.
func (s *Store) Abort(ctx context.Context, ref string) error {
	if err := errors.Join(ctx.Err(), s.refused()); err != nil {
		return err
	}
	err := s.files.Abort(ctx, fileRef(ref))
	if errdefs.IsNotFound(err) {
		err = s.files.Abort(ctx, putRef+ref)
	}
	return err
}
