package containerd

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/store"
)

// maxHead is how many bytes of a writer are kept in memory too: those of a document, and
// of what is asked for by another algorithm than containerd's.
const maxHead = 8 << 20

// Writer writes a blob as it comes. Writing ends with the context.
func (b *batch) Writer(ctx context.Context, ref string) (store.Writer, error) {
	if ref == "" {
		return nil, fmt.Errorf("writing a blob: the ref is empty: %w", errdefs.ErrInvalidArgument)
	}
	b.mu.Lock()
	closed := b.closed
	b.mu.Unlock()
	if closed {
		return nil, b.over()
	}
	name, err := b.s.ingests.take(ref)
	if err != nil {
		return nil, err
	}
	in, err := b.s.openIngest(ctx, name, 0, "")
	if err != nil {
		b.s.ingests.give(name)
		return nil, err
	}
	return &writer{b: b, ctx: ctx, name: name, in: in, whole: in.offset == 0}, nil
}

// take takes a ref for writing, and returns the ref of its ingest.
func (i *ingests) take(ref string) (name string, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for number := 0; ; number++ {
		name := writerRef(ref, number)
		if _, open := i.open[name]; open {
			return "", fmt.Errorf("partial content %s is being written: %w", strictjson.Quote(ref), errdefs.ErrUnavailable)
		}
		if _, complete := i.complete[name]; !complete {
			i.open[name] = struct{}{}
			return name, nil
		}
	}
}

func (i *ingests) give(name string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.open, name)
}

type writer struct {
	b     *batch
	ctx   context.Context //nolint:containedctx // of the one who opened it: Write has none
	name  string
	in    *ingest // nil: closed
	head  []byte  // all bytes, if whole
	whole bool
}

func (w *writer) closed() error {
	return fmt.Errorf("the writer is closed: %w", errdefs.ErrFailedPrecondition)
}

func (w *writer) Write(p []byte) (int, error) {
	if w.in == nil {
		return 0, w.closed()
	}
	n, err := w.in.write(w.ctx, p)
	if w.whole = w.whole && len(w.head)+n <= maxHead; w.whole {
		w.head = append(w.head, p[:n]...)
	} else {
		w.head = nil
	}
	return n, err
}

func (w *writer) Offset() int64 {
	if w.in == nil {
		return 0
	}
	return w.in.offset
}

func (w *writer) Reset() error {
	if w.in == nil {
		return w.closed()
	}
	w.head, w.whole = nil, true
	return w.in.reset(w.ctx)
}

// Digest returns that by SHA-256, and by another algorithm that of what was written by
// this writer alone and has at most 8 MiB; else it is ErrNotImplemented.
func (w *writer) Digest(algorithm digest.Algorithm) (digest.Digest, error) {
	switch {
	case w.in == nil:
		return "", w.closed()
	case !algorithm.Available():
		return "", fmt.Errorf("algorithm %s: %w", strictjson.Quote(string(algorithm)), errdefs.ErrNotImplemented)
	case w.whole:
		return algorithm.FromBytes(w.head), nil
	case algorithm == digest.SHA256:
		return w.in.digest, nil
	}
	return "", fmt.Errorf("the digest by %s of what was written before: %w", algorithm, errdefs.ErrNotImplemented)
}

func (w *writer) Close() error {
	if w.in != nil {
		w.in.close()
		w.b.s.ingests.give(w.name)
		w.in = nil
	}
	return nil
}

// Commit makes what was written a blob of the batch. A document must have been written
// by this writer alone, else it is ErrFailedPrecondition.
func (w *writer) Commit(ctx context.Context, desc ocispec.Descriptor, role image.Role) (err error) {
	if w.in == nil {
		return w.closed()
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if _, err := image.ParseDigest(desc.Digest.String()); err != nil {
		return err
	}
	if err := w.check(desc); err != nil {
		if errdefs.IsDataLoss(err) {
			err = errors.Join(err, w.abort(ctx))
		}
		return err
	}
	c, done, err := w.b.claim(ctx, desc, role, w.all)
	if err != nil {
		return err
	}
	if done != nil {
		defer done()
		c, err = w.b.find(ctx, desc, role)
		if errors.Is(err, errAbsent) {
			return w.hand(ctx, desc, role, errors.Is(err, errDamaged))
		}
		if err != nil {
			return err
		}
		w.b.s.ingests.share(c)
	}
	return errors.Join(w.b.want(ctx, c), w.abort(ctx)) // there is one already
}

// check compares what was written with what it should be.
func (w *writer) check(desc ocispec.Descriptor) error {
	if desc.Size >= 0 && desc.Size != w.in.offset {
		return fmt.Errorf("%s: %d bytes were written, not %d: %w", desc.Digest, w.in.offset, desc.Size, errdefs.ErrDataLoss)
	}
	have, err := w.Digest(desc.Digest.Algorithm())
	if err != nil {
		return err
	}
	if have != desc.Digest {
		return fmt.Errorf("%s: what was written has digest %s: %w", desc.Digest, have, errdefs.ErrDataLoss)
	}
	return nil
}

// all returns what was written.
func (w *writer) all() ([]byte, error) {
	if !w.whole {
		return nil, fmt.Errorf("a document was written in parts: it must be written anew: %w", errdefs.ErrFailedPrecondition)
	}
	return w.head, nil
}

// hand gives what was written to the batch. It heals what is damaged.
func (w *writer) hand(ctx context.Context, desc ocispec.Descriptor, role image.Role, heals bool) error {
	c := newComplete(desc.Digest, w.in.offset, w.b.lease)
	c.heals = heals
	if isDocument(desc.MediaType, role) {
		data, err := w.all()
		if err != nil {
			return err
		}
		err = c.agrees(desc, role)
		if err == nil {
			err = c.understand(data, desc.MediaType)
		}
		if err != nil {
			return errors.Join(err, w.abort(ctx))
		}
	}
	_, document := c.state()
	if small := document != nil || w.whole && w.in.offset <= smallBlob; small && w.b.hasRoom(w.in.offset) {
		c.data = w.head
		w.b.s.ingests.share(c)
		return errors.Join(w.b.want(ctx, c), w.abort(ctx)) // it is written again by Publish
	}
	c.in, w.in = w.in, nil
	w.b.s.ingests.share(c) // its ref counts as complete before it counts as free
	w.b.s.ingests.give(w.name)
	return w.b.want(ctx, c)
}

// abort forgets the ingest.
func (w *writer) abort(ctx context.Context) error {
	w.in.close()
	w.in = nil
	defer w.b.s.ingests.give(w.name)
	return w.b.s.abort(context.WithoutCancel(ctx), w.name)
}
