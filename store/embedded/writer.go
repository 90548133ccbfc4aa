package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/blobfile"
)

// The refs in package blobfile: a Put's is its digest after a prefix, that of a Writer is
// its own, unless it begins with one of the two, which then comes before it.
const (
	putRef   = "put "
	otherRef = "ref "
)

// fileRef returns the ref in package blobfile of that of a Writer.
func fileRef(ref string) string {
	if strings.HasPrefix(ref, putRef) || strings.HasPrefix(ref, otherRef) {
		return otherRef + ref
	}
	return ref
}

// Writer is that of store.Batch.
func (b *batch) Writer(ctx context.Context, ref string) (store.Writer, error) {
	if err := errors.Join(ctx.Err(), b.check(), b.s.refused()); err != nil {
		return nil, err
	}
	if ref == "" {
		return nil, fmt.Errorf("a writer without a ref: %w", errdefs.ErrInvalidArgument)
	}
	in, err := b.s.files.Create(ctx, fileRef(ref), "")
	if err != nil {
		return nil, err
	}
	return &writer{in: in, b: b}, nil
}

// writer is a store.Writer.
type writer struct {
	in    *blobfile.Ingest
	b     *batch
	ended bool // by Commit or Close
}

var errWriterClosed = fmt.Errorf("the writer is closed: %w", errdefs.ErrFailedPrecondition)

func (w *writer) Write(p []byte) (int, error) {
	if w.ended {
		return 0, errWriterClosed
	}
	return w.in.Write(p)
}

func (w *writer) Offset() int64 { return w.in.Offset() }

func (w *writer) Reset() error {
	if w.ended {
		return errWriterClosed
	}
	return w.in.Reset()
}

func (w *writer) Digest(algorithm digest.Algorithm) (digest.Digest, error) {
	if w.ended {
		return "", errWriterClosed
	}
	return w.in.Digest(context.Background(), algorithm)
}

func (w *writer) Close() error {
	if w.ended {
		return nil
	}
	w.ended = true
	return w.in.Close()
}

func (w *writer) Commit(ctx context.Context, desc ocispec.Descriptor, role image.Role) error {
	if w.ended {
		return errWriterClosed
	}
	w.ended = true
	if err := w.commit(ctx, desc, role); err != nil {
		err = fmt.Errorf("committing what was written of %.256q: %w", w.in.Ref(), err)
		return errors.Join(err, w.in.Close())
	}
	return nil
}

func (w *writer) commit(ctx context.Context, desc ocispec.Descriptor, role image.Role) error {
	k, err := w.b.accept(desc, role)
	if err != nil {
		return err
	}
	if err := w.in.Verify(ctx, desc.Digest, desc.Size); err != nil {
		return err
	}
	_, desc.Size = w.in.Content()
	used := false
	_, err = w.b.obtain(ctx, desc, k, func(ctx context.Context) (*blobfile.Ingest, error) {
		used = true
		if err := w.in.Rename(ctx, putRef+string(desc.Digest)); err != nil {
			return nil, err
		}
		return w.in, w.b.bound(ctx, w.in)
	})
	if err == nil && !used {
		return w.in.Abort()
	}
	return err
}

// contentOf returns the bytes of what was written and verified.
func contentOf(ctx context.Context, in *blobfile.Ingest) ([]byte, error) {
	if data, small := in.Bytes(); small {
		return data, nil
	}
	r, err := in.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
