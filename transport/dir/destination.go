package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/durable"
	"github.com/dhowhq/dhow/internal/once"
	"github.com/dhowhq/dhow/transport"
)

// Destination writes an image to a directory, in the place of the one that is
// there. It is a transport.Destination that also tells what is there
// (transport.Presence, transport.Namer) and keeps signatures
// (transport.SignatureWriter). It holds every media type, and lists.
//
// Put adds files under names of their digests, beside those of the old image.
// Commit then turns the directory into the new one: see there. Two Destinations
// of one directory may be at work; the last Commit wins, and the other one fails
// if it needs a file that was removed.
type Destination struct {
	ref  Reference
	opts Options

	// before is asked before each step of Commit that changes something.
	before func(step) error

	prepared *once.Step // the directory is there, and marked as ours

	mu     sync.Mutex
	root   *os.Root // nil while there is no directory
	writer *durable.Writer
	wanted map[string]bool                         // files of the new image: false if Put, true if found
	sigs   map[digest.Digest][]transport.Signature // as PutSignatures set them
}

var (
	_ transport.Destination     = (*Destination)(nil)
	_ transport.Presence        = (*Destination)(nil)
	_ transport.Namer           = (*Destination)(nil)
	_ transport.SignatureWriter = (*Destination)(nil)
)

// OpenDestination opens a directory for writing. It writes nothing: a directory
// that is not there is made by the first Put, if its parent is there, else the
// error is errdefs.ErrFailedPrecondition. The same kind, and nothing is touched,
// if there is something that is not a directory, or a directory that is not empty
// and has no valid version file. The caller closes the Destination.
func OpenDestination(ctx context.Context, ref Reference, opts Options) (*Destination, error) {
	if err := ref.check(ctx); err != nil {
		return nil, err
	}
	d := &Destination{
		ref: ref, opts: opts.withDefaults(), prepared: once.New(),
		wanted: map[string]bool{}, sigs: map[digest.Digest][]transport.Signature{},
	}
	info, err := os.Stat(ref.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = checkParent(ref.path)
	case err == nil && !info.IsDir():
		err = fmt.Errorf("it is not a directory: %w", errdefs.ErrFailedPrecondition)
	case err == nil:
		err = d.attach()
	}
	if err != nil {
		return nil, ref.at("opening the directory for writing", err)
	}
	return d, nil
}

func checkParent(path string) error {
	parent := filepath.Dir(filepath.Clean(path))
	info, err := os.Stat(parent)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("neither it nor %s exists: %w", parent, errdefs.ErrFailedPrecondition)
	case err == nil && !info.IsDir():
		return fmt.Errorf("%s is not a directory: %w", parent, errdefs.ErrFailedPrecondition)
	}
	return err
}

// attach opens the directory, which is there, if it may be written to.
func (d *Destination) attach() error {
	root, err := os.OpenRoot(d.ref.path)
	if err != nil {
		return err
	}
	if err := checkOurs(root); err != nil {
		return errors.Join(err, root.Close())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.root = root
	d.writer = durable.NewWriter(root, durable.Options{Logger: d.opts.Logger})
	return nil
}

// checkOurs refuses a directory that may hold something else than an image.
// Files that a killed process left before it wrote the version do not count.
func checkOurs(root *os.Root) error {
	// First the list: another process may be about to write the first files, and the
	// version is the first of them.
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	isForeign := func(e fs.DirEntry) bool { return !durable.IsOurs(e.Name()) && e.Name() != lockName }
	if _, err := readVersion(root); err != nil && slices.ContainsFunc(entries, isForeign) {
		return fmt.Errorf("not a containers image directory, don't want to overwrite important data (%s): %w", err, errdefs.ErrFailedPrecondition) //nolint:errorlint // its kind is that of a source
	}
	return nil
}

// prepare makes the directory, if it must, and marks it as ours: with a version
// file it is a directory that a repeat of a killed run may write to, and without
// manifest.json no image.
func (d *Destination) prepare(ctx context.Context) error {
	return d.prepared.Do(ctx, func() error { return d.build(ctx) })
}

func (d *Destination) build(ctx context.Context) error {
	if root, _ := d.opened(); root != nil {
		if err := checkOurs(root); err != nil {
			return err
		}
	} else if err := d.create(); err != nil {
		return err
	}
	_, writer := d.opened()
	for _, f := range []step{write(versionName, sha256Version().content()), write(lockName, nil)} {
		if err := writer.Create(ctx, f.name, f.data); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// create makes the directory and opens it.
func (d *Destination) create() error {
	if err := checkParent(d.ref.path); err != nil {
		return err
	}
	if err := durable.MkdirAll(d.ref.path); err != nil {
		return err
	}
	return d.attach()
}

// opened returns the directory and its writer, or nil if there is no directory.
func (d *Destination) opened() (*os.Root, *durable.Writer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.root, d.writer
}

// wants reports whether a file belongs to the new image.
func (d *Destination) wants(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.wanted[name]
	return ok
}

// notePut and noteFound note how a file of the new image came to be there.
func (d *Destination) notePut(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wanted[name] = false
}

func (d *Destination) noteFound(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.wanted[name]; !ok {
		d.wanted[name] = true
	}
}

// Named implements transport.Namer. The only name is the empty one, for the image
// that is there now; a manifest.json that is no image is errdefs.ErrNotFound.
func (d *Destination) Named(ctx context.Context, name string) (ocispec.Descriptor, error) {
	if err := ctx.Err(); err != nil {
		return ocispec.Descriptor{}, err
	}
	if name != "" {
		return ocispec.Descriptor{}, d.ref.at("looking up a name", fmt.Errorf("a directory has no names, and not %.256q: %w", name, errdefs.ErrNotFound))
	}
	root, _ := d.opened()
	if root == nil {
		return ocispec.Descriptor{}, d.ref.at("looking for an image", errdefs.ErrNotFound)
	}
	doc, err := currentRoot(root, d.opts.Limits)
	if err == nil && doc == nil {
		err = errdefs.ErrNotFound
	}
	if err != nil {
		return ocispec.Descriptor{}, d.ref.at("looking for an image", err)
	}
	return doc.desc, nil
}

// currentRoot returns the root of the image that is there, or nil if there is
// none or what is there is not one: then it is in nobody's way.
func currentRoot(root *os.Root, lim image.Limits) (*document, error) {
	doc, err := readRoot(root, lim)
	switch {
	case err == nil:
		return &doc, nil
	case errdefs.IsNotFound(err), errdefs.IsInvalidArgument(err), errdefs.IsResourceExhausted(err):
		return nil, nil //nolint:nilnil // said above
	}
	return nil, err
}

// PutSignatures implements transport.SignatureWriter; the limits are those of
// Source.Signatures. A manifest whose signatures are not set has none.
func (d *Destination) PutSignatures(ctx context.Context, manifest digest.Digest, sigs []transport.Signature) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m, err := image.ParseDigest(string(manifest))
	if err == nil {
		err = checkSignatures(sigs)
	}
	if err != nil {
		return d.ref.at("setting the signatures of a manifest", err)
	}
	mine := make([]transport.Signature, len(sigs))
	for i, sig := range sigs {
		mine[i] = slices.Clone(sig)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sigs[m] = mine
	return nil
}

// Close implements transport.Destination. Files that were Put stay, so that a
// repeat finds them; until a Commit they belong to no image.
func (d *Destination) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.root == nil {
		return nil
	}
	return d.ref.at("closing the directory", errors.Join(d.writer.Close(), d.root.Close()))
}
