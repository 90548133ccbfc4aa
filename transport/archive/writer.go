package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/durable"
	"github.com/dhowhq/dhow/internal/ocilayout"
)

// Writer writes images into one archive, each blob once. Images are put into it through the
// destinations that Image returns, one after the other or several at once, and Finish ends
// the archive; without it there is none. The same images in the same order give the same
// bytes.
//
// Nothing is kept elsewhere on the way: a blob whose size is known goes straight into the
// archive. One of at most 1 MiB is verified before; a larger one while it passes, and if it
// is not right a file is cut back to what it was before. A stream cannot be: its archive is
// lost then, and every further call fails. Its methods may be called concurrently, but for
// Close.
type Writer struct {
	kind Kind
	opts Options
	out  sink
	turn chan struct{} // holds a token while a job uses what follows

	pump     durable.Pump
	tar      tarWriter
	content  int64         // bytes of the archive before index.json
	ended    bool          // index.json and what follows it have been written
	finished digest.Digest // of index.json and manifest.json, if so
	broken   error         // why nothing can be written any more

	mu        sync.Mutex
	blobs     map[digest.Digest]int64 // sizes of what is in the archive
	documents map[digest.Digest]document
	configs   map[digest.Digest]config
	index     *image.List
}

// NewWriter returns a Writer of an archive that goes to a stream, which stays open.
func NewWriter(w io.Writer, kind Kind, opts Options) (*Writer, error) {
	return newWriter(newStream(w), kind, opts)
}

// Create returns a Writer of an archive that becomes the file at path when it is finished, in
// the place of the one that is there. Nothing is written before the first Put. A directory
// that is not there, a directory in the place of the file, and a file that is no archive and
// not empty are errdefs.ErrFailedPrecondition. A pipe or device is written to as a stream.
func Create(ctx context.Context, path string, kind Kind, opts Options) (*Writer, error) {
	out, err := newSink(ctx, path, opts)
	if err != nil {
		return nil, fmt.Errorf("opening %s for writing: %w", Reference{Kind: kind, Path: path}, err)
	}
	w, err := newWriter(out, kind, opts)
	if err != nil {
		return nil, errors.Join(err, out.close())
	}
	return w, nil
}

func newWriter(out sink, kind Kind, opts Options) (*Writer, error) {
	index, err := image.NewList(ocispec.MediaTypeImageIndex)
	if err != nil {
		return nil, err
	}
	return &Writer{
		kind: kind, opts: opts.withDefaults(), out: out, turn: make(chan struct{}, 1), index: index,
		tar:   tarWriter{w: out, dirs: map[string]bool{}},
		blobs: map[digest.Digest]int64{}, documents: map[digest.Digest]document{}, configs: map[digest.Digest]config{},
	}, nil
}

// do runs a job when no other one runs, and waits for it as long as the context lasts.
func (w *Writer) do(ctx context.Context, job func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return w.out.run(ctx, func() error {
		select {
		case w.turn <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		defer func() { <-w.turn }()
		if err := ctx.Err(); err != nil {
			return err
		}
		if w.broken != nil {
			return fmt.Errorf("the archive was given up: %w", w.broken)
		}
		return job()
	})
}

// append adds an entry to the archive, by a write that returns only when all of it is there.
// If that fails, the archive is as it was before.
func (w *Writer) append(ctx context.Context, write func() error) error {
	if err := w.open(ctx); err != nil {
		return err
	}
	before := w.tar.size
	err := write()
	if err == nil {
		w.content = w.tar.size
		return nil
	}
	if bad := w.out.cut(before); bad != nil {
		w.broken = err
		return fmt.Errorf("%w (%v)", err, bad) //nolint:errorlint // it is what came of the error
	}
	w.tar.size = before
	return err
}

// open makes the archive ready for another entry.
func (w *Writer) open(ctx context.Context) error {
	if w.ended {
		if err := w.out.resume(ctx, w.content); err != nil {
			return err
		}
		w.ended, w.tar.size = false, w.content
	}
	if err := w.out.begin(); err != nil {
		return err
	}
	if w.tar.size > 0 {
		return nil
	}
	err := w.tar.file(ocispec.ImageLayoutFile, []byte(ocilayout.Marker))
	if err == nil {
		err = w.tar.directory(ocispec.ImageBlobsDir)
	}
	if err != nil {
		w.broken = err
		return err
	}
	w.content = w.tar.size
	return nil
}

// Finish ends the archive, and makes it visible if it becomes a file. Only what has been
// committed through a destination is in its index. It may be called again, and where more
// has been committed since then, a file is replaced by a new one with all of it; a stream
// ends by it, which makes that errdefs.ErrFailedPrecondition. An index that would be larger
// than what is read again is errdefs.ErrResourceExhausted.
func (w *Writer) Finish(ctx context.Context) error {
	err := w.do(ctx, func() error { return w.finish(ctx) })
	if err != nil {
		return fmt.Errorf("finishing the archive: %w", err)
	}
	return nil
}

// Close gives the archive up, unless it was finished.
func (w *Writer) Close() error {
	if _, ok := w.out.(*file); ok {
		return w.out.close()
	}
	select {
	case w.turn <- struct{}{}:
		defer func() { <-w.turn }()
		w.broken = os.ErrClosed
		return w.out.close()
	default:
		return nil // a job that was cancelled still writes
	}
}

// has returns the size of a blob that is in the archive.
func (w *Writer) has(d digest.Digest) (size int64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	size, ok = w.blobs[d]
	return size, ok
}

// checkSize checks a descriptor against what is in the archive.
func checkSize(desc ocispec.Descriptor, size int64) error {
	if desc.Size >= 0 && desc.Size != size {
		return fmt.Errorf("%s has %d bytes, its descriptor says %d: %w", desc.Digest, size, desc.Size, errdefs.ErrDataLoss)
	}
	return nil
}
