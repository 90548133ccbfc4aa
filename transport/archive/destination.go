package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/transport"
)

// Destination is where one image is put into an archive. Besides a transport.Destination it is
// a transport.Acceptor, and transport.Sequential, so that the archive always has the same
// order. It is either the only one of its archive, which OpenDestination returns and whose
// Commit finishes the archive, or one of several of a Writer.
type Destination struct {
	w     *Writer
	names []string // that Naming.Name "" stands for
	label string   // for messages
	whole bool     // the archive is this image's
}

var (
	_ transport.Destination = (*Destination)(nil)
	_ transport.Acceptor    = (*Destination)(nil)
	_ transport.Sequential  = (*Destination)(nil)
)

// OpenDestination opens an archive for writing, which a Commit of names finishes, in the place
// of the file that is there: see Create. A reference by position is errdefs.ErrInvalidArgument.
func OpenDestination(ctx context.Context, ref Reference, opts Options) (*Destination, error) {
	d := &Destination{label: ref.String(), whole: true}
	err := ref.check()
	if n, ok := ref.Position(); ok && err == nil {
		err = fmt.Errorf("a destination must not be a position (@%d): %w", n, errdefs.ErrInvalidArgument)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s for writing: %w", ref, err)
	}
	if ref.Name != "" {
		d.names = []string{ref.Name}
	}
	if d.w, err = Create(ctx, ref.Path, ref.Kind, opts); err != nil {
		return nil, err
	}
	return d, nil
}

// Image returns a destination for one more image of the archive, under these names or none.
// For Docker a name is a reference in any form but with a digest, and gets the tag latest if
// it has none; for OCI it is a ref.name. Other names are errdefs.ErrInvalidArgument. The image
// is in the archive when it was committed to the destination and then the Writer finished.
// The destination need not be closed.
func (w *Writer) Image(names ...string) (*Destination, error) {
	d := &Destination{w: w, label: w.kind.String()}
	for _, name := range names {
		if full := fullName(name); w.kind == Docker && full != "" {
			name = full
		}
		if err := checkName(w.kind, name); err != nil {
			return nil, fmt.Errorf("naming an image of an archive: %w", err)
		}
		if !slices.Contains(d.names, name) {
			d.names = append(d.names, name)
		}
	}
	return d, nil
}

// newSink returns what a path stands for.
func newSink(ctx context.Context, path string, opts Options) (sink, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("it is a directory: %w", errdefs.ErrFailedPrecondition)
	case !info.Mode().IsRegular():
		return &stream{open: func() (io.WriteCloser, error) { return os.OpenFile(path, os.O_WRONLY, 0) }}, nil
	default:
		if err := checkReplaceable(path, info.Size()); err != nil {
			return nil, err
		}
	}
	return newFile(path, opts.Logger)
}

// checkReplaceable refuses to replace a file that is no archive: it may be a slip of the hand.
func checkReplaceable(path string, size int64) error {
	if size == 0 {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, blockSize)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if !isArchive(head[:n]) {
		return fmt.Errorf("the file is there, and is no archive: it is not overwritten: %w", errdefs.ErrFailedPrecondition)
	}
	return nil
}

// Accepts says that an archive holds OCI and Docker documents but for schema 1, and no simple
// signatures.
func (d *Destination) Accepts() transport.Accepts {
	return transport.Accepts{Types: acceptedTypes(), NoSignatures: "an archive cannot hold simple signatures"}
}

func acceptedTypes() []string {
	return []string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, image.MediaTypeDockerManifest, image.MediaTypeDockerList}
}

// Sequential implements transport.Sequential.
func (d *Destination) Sequential() {}

// Put appends a node to the archive, unless that has it. A manifest or list of a type that
// Accepts does not name is errdefs.ErrNotImplemented, one that cannot be decoded an error of
// image.Decode.
func (d *Destination) Put(ctx context.Context, node transport.Node, open transport.Opener) (transport.Outcome, error) {
	out, err := d.w.put(ctx, node, open)
	if err != nil {
		return transport.Outcome{}, fmt.Errorf("%s: %w", d.label, err)
	}
	return out, nil
}

// Commit gives what was Put its names, which a name of another image had before in this
// archive. Of a destination of OpenDestination it then finishes the archive; no names leave it
// as it is, and unfinished. A name that the archive cannot hold becomes a note, and so does an
// image that manifest.json cannot have. A manifest that is not there is
// errdefs.ErrFailedPrecondition, and a name for two of them errdefs.ErrInvalidArgument.
func (d *Destination) Commit(ctx context.Context, names []transport.Naming) ([]string, error) {
	notes, err := d.commit(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("committing to %s: %w", d.label, err)
	}
	return notes, nil
}

func (d *Destination) commit(ctx context.Context, names []transport.Naming) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	notes, err := d.w.record(ctx, d.names, names)
	if err != nil || len(names) == 0 || !d.whole {
		return notes, err
	}
	return notes, d.w.Finish(ctx)
}

// Close gives the archive up, unless it was finished; of a destination of a Writer it does
// nothing.
func (d *Destination) Close() error {
	if !d.whole {
		return nil
	}
	if err := d.w.Close(); err != nil {
		return fmt.Errorf("closing %s: %w", d.label, err)
	}
	return nil
}

// unnamed says of an image that its name is not in the archive.
func unnamed(desc ocispec.Descriptor, name string, err error) string {
	return fmt.Sprintf("%s is in the archive without its name %s: %v", desc.Digest, strictjson.Quote(name), err)
}
