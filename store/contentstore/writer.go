package contentstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// Writer writes under a ref, which must not be empty. Content of the descriptor's
// digest that is there already is ErrAlreadyExists, and held; a ref that is being
// written ErrUnavailable.
func (c *contentStore) Writer(ctx context.Context, opts ...content.WriterOpt) (content.Writer, error) {
	var options content.WriterOpts
	for _, opt := range opts {
		if err := opt(&options); err != nil {
			return nil, err
		}
	}
	if options.Ref == "" {
		return nil, fmt.Errorf("writing content: the ref is empty: %w", errdefs.ErrInvalidArgument)
	}
	desc := options.Desc
	if desc.Digest != "" {
		if err := c.absent(ctx, desc.Digest); err != nil {
			return nil, fmt.Errorf("writing content under %q: %w", options.Ref, err)
		}
	}
	w := &writer{of: c, ref: options.Ref, desc: desc, lease: c.lease}
	if err := w.begin(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("writing content under %q: %w", options.Ref, err), w.end(ctx))
	}
	return w, nil
}

// absent returns nil if content is not there. If it is, it stays.
func (c *contentStore) absent(ctx context.Context, d digest.Digest) error {
	if _, err := c.store.Stat(ctx, d); errdefs.IsNotFound(err) {
		return nil
	} else if err != nil {
		return err
	}
	if err := c.hold(ctx, d); err != nil {
		return err
	}
	if _, err := c.store.Stat(ctx, d); errdefs.IsNotFound(err) {
		return nil // it was collected before it was held
	} else if err != nil {
		return err
	}
	return fmt.Errorf("content %s: %w", d, errdefs.ErrAlreadyExists)
}

// writer writes one blob in a batch of its own.
type writer struct {
	of     *contentStore
	ref    string
	desc   ocispec.Descriptor
	lease  string // the caller's, or one that is released at the end
	batch  store.Batch
	writer store.Writer // nil: closed
	start  time.Time
	update time.Time
	digest digest.Digest // when it is committed
}

// begin opens the store's writer.
func (w *writer) begin(ctx context.Context) error {
	s := w.of.store
	if w.of.lease == "" {
		l, err := s.Lease(ctx, store.Lease{Process: true})
		if err != nil {
			return err
		}
		w.lease = l.ID
	}
	var err error
	if w.batch, err = s.Begin(ctx, w.lease); err != nil {
		return err
	}
	if w.writer, err = w.batch.Writer(ctx, w.ref); err != nil {
		return err
	}
	w.start = time.Now()
	w.update = w.start
	if w.writer.Offset() > 0 {
		status, err := w.of.Status(ctx, w.ref)
		if err != nil {
			return err
		}
		w.start, w.update = status.StartedAt, status.UpdatedAt
	}
	w.updated(w.update)
	return nil
}

// updated notes when something was written.
func (w *writer) updated(at time.Time) {
	w.update = at
	w.of.note(w.ref, ingest{total: w.desc.Size, expected: w.desc.Digest, updated: at})
}

// end gives up the batch and its lease, even when the context has ended. What was
// written is kept.
func (w *writer) end(ctx context.Context) error {
	var errs []error
	if w.writer != nil {
		errs = append(errs, w.writer.Close())
		w.writer = nil
	}
	if w.batch != nil {
		errs = append(errs, w.batch.Close())
		w.batch = nil
	}
	if w.lease != w.of.lease {
		errs = append(errs, w.of.store.Release(context.WithoutCancel(ctx), w.lease))
		w.lease = w.of.lease
	}
	return errors.Join(errs...)
}

// closed is the error for what is done after the end.
func (w *writer) closed() error {
	return fmt.Errorf("content under %q: the writer is closed: %w", w.ref, errdefs.ErrFailedPrecondition)
}

func (w *writer) Write(p []byte) (int, error) {
	if w.writer == nil {
		return 0, w.closed()
	}
	n, err := w.writer.Write(p)
	w.updated(time.Now())
	return n, err
}

// Close keeps what was written for the next writer of the ref.
func (w *writer) Close() error { return w.end(context.Background()) }

// algorithm is that of the descriptor.
func (w *writer) algorithm() digest.Algorithm {
	if d, err := image.ParseDigest(w.desc.Digest.String()); err == nil {
		return d.Algorithm()
	}
	return digest.Canonical
}

// Digest returns that of what was written, by the algorithm of the descriptor or
// SHA-256; empty once the writer was closed without Commit.
func (w *writer) Digest() digest.Digest {
	if w.writer == nil {
		return w.digest
	}
	d, err := w.writer.Digest(w.algorithm())
	if err != nil {
		return "" // the interface has no error; Commit will tell
	}
	return d
}

// Status returns how far it is.
func (w *writer) Status() (content.Status, error) {
	if w.writer == nil {
		return content.Status{}, w.closed()
	}
	return content.Status{
		Ref: w.ref, Offset: w.writer.Offset(), Total: w.desc.Size, Expected: w.desc.Digest, StartedAt: w.start, UpdatedAt: w.update,
	}, nil
}

// Truncate to 0 forgets everything. Another size must be that of what was written.
func (w *writer) Truncate(size int64) error {
	switch {
	case w.writer == nil:
		return w.closed()
	case size == w.writer.Offset():
		return nil
	case size != 0:
		return fmt.Errorf("truncating content under %q to %d bytes: %w", w.ref, size, errdefs.ErrNotImplemented)
	}
	w.updated(time.Now())
	return w.writer.Reset()
}

// Commit makes what was written content, durably, unless its size or digest is not the
// expected one: that is ErrFailedPrecondition and what was written is kept. Content
// that is there already is ErrAlreadyExists, and held as if it had been committed.
func (w *writer) Commit(ctx context.Context, size int64, expected digest.Digest, opts ...content.Opt) (err error) {
	if w.writer == nil {
		return w.closed()
	}
	defer func() { err = errors.Join(err, w.end(ctx)) }()
	for _, opt := range opts {
		if err := opt(&content.Info{}); err != nil {
			return err
		}
	}
	desc, err := w.describe(size, expected)
	if err != nil {
		return err
	}
	_, absent := w.of.store.Stat(ctx, desc.Digest)
	if absent != nil && !errdefs.IsNotFound(absent) {
		return absent
	}
	last := w.writer
	w.writer = nil // Commit closes it
	if err := last.Commit(ctx, desc, roleOf(desc.MediaType)); err != nil {
		return fmt.Errorf("committing content under %q: %w", w.ref, err)
	}
	w.of.forget(w.ref)
	if _, err := w.batch.Publish(ctx); err != nil {
		return fmt.Errorf("committing content %s: %w", desc.Digest, err)
	}
	if w.of.lease == "" {
		if err := w.of.hold(ctx, desc.Digest); err != nil {
			return fmt.Errorf("holding content %s: %w", desc.Digest, err)
		}
	}
	w.digest = desc.Digest
	if absent == nil {
		return fmt.Errorf("content %s: %w", desc.Digest, errdefs.ErrAlreadyExists)
	}
	return nil
}

// describe returns the descriptor of what was written, if it is what is expected.
func (w *writer) describe(size int64, expected digest.Digest) (ocispec.Descriptor, error) {
	desc := ocispec.Descriptor{MediaType: w.desc.MediaType, Size: w.writer.Offset()}
	if size > 0 && size != desc.Size {
		return desc, fmt.Errorf("content under %q has %d bytes, not %d: %w", w.ref, desc.Size, size, errdefs.ErrFailedPrecondition)
	}
	algorithm := w.algorithm()
	if expected != "" {
		d, err := image.ParseDigest(expected.String())
		if err != nil {
			return desc, err
		}
		algorithm = d.Algorithm()
	}
	var err error
	if desc.Digest, err = w.writer.Digest(algorithm); err != nil {
		return desc, err
	}
	if expected != "" && expected != desc.Digest {
		return desc, fmt.Errorf("content under %q has digest %s, not %s: %w", w.ref, desc.Digest, expected, errdefs.ErrFailedPrecondition)
	}
	return desc, nil
}
