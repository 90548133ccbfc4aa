package service

import (
	"context"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/platform"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/transport/archive"
)

// LoadOptions say what Load takes of an archive, and how. The zero value takes all that
// there is, under the names that the archive gives, and leaves alone the names that other
// images have here.
type LoadOptions struct {
	// Platforms are those whose instances are loaded, each strictly as package platform has
	// it, the best one for each; none: all that is there.
	Platforms []ocispec.Platform
	// Names are those that the image gets in the place of those that the archive claims,
	// each with latest if it has no tag. They move wherever they point now. The archive
	// must have one image.
	Names []string
	// Replace has names that the archive claims move although they are another image's
	// here, which then dangles if it has no other.
	Replace bool
	// LastWins takes an archive that gives one name to several images: the last one
	// counts. That is an error otherwise.
	LastWins bool
	// NoReferrers leaves out the manifests that refer to what is loaded, and NoDigestTags
	// the tags sha256-<hex>.sig, .att and .sbom.
	NoReferrers, NoDigestTags bool
	// TempDir is where an archive that is compressed, or comes from a stream, is kept
	// meanwhile; empty: os.TempDir. MaxStaged bounds it in bytes; 0: 256 GiB.
	TempDir   string
	MaxStaged int64
	// Parallel and Events are those of copy.Options. Images are loaded one after the other,
	// with the events of one copy: the last comes when all is visible.
	Parallel int
	Events   func(copy.Event)
}

// Loaded is what a Load has done.
type Loaded struct {
	// Images are those that were loaded, in the order of the archive.
	Images []LoadedImage
	// Notes are what is worth knowing, a sentence each; an image that was left out since
	// it has none of the platforms is one.
	Notes []string
}

// LoadedImage is one image of an archive.
type LoadedImage struct {
	// Target is its list or manifest.
	Target ocispec.Descriptor
	// Names are those that point at it now, of those that the archive claims or the
	// caller gave; none: it is found by its ID.
	Names []LoadedName
	// Kept are the records of names that the archive claims for it and that are another
	// image's here, as they still are.
	Kept []store.Record
	// Left are the instances that were not loaded, or are not in the archive, with what
	// attests them.
	Left []ocispec.Descriptor
	// Copied are the descriptors that were written, Reused those that were there, with
	// their bytes.
	Copied, Reused           int
	BytesCopied, BytesReused int64
	// Receipt has each of them.
	Receipt *copy.Receipt
	// Notes are what is worth knowing, a sentence each; that a name was kept is one.
	Notes []string
}

// LoadedName is a name of an image that was loaded.
type LoadedName struct {
	// Name is the name in its normal form.
	Name string
	// Before is the record that it had, zero if there was none. Dangling tells that its
	// target has no name any more.
	Before   store.Record
	Dangling bool
}

// Load brings the images of an archive: of whatever `docker save` has written since the
// beginning, and of OCI layouts, plain or compressed. All of them are written and verified
// before any is visible, and then appear at once, with their names. A broken archive
// changes no name, and leaves nothing behind.
//
// What an archive says it is called is a claim: a name that is another image's here stays
// there, which the result and a note say, unless LoadOptions.Replace is set. An image
// without any name dangles.
//
// An instance that the archive does not have with its config and all of its layers is not
// loaded. A single image that is not whole, or a list of which no instance is, is
// ErrInvalidArgument. With platforms, images that have none of them are left out with a
// note; if all are, it is ErrNotFound with the text "no images providing the requested
// platform(s) found". Else errors are those of archive.Open and copy.Image; in particular
// ErrInvalidArgument for what is no archive, and ErrDataLoss for content that is not that
// of its digest. It returns when the context ends, but may leave a read of the stream
// behind.
func (s *Service) Load(ctx context.Context, r io.Reader, opts LoadOptions) (Loaded, error) {
	loaded, err := s.load(ctx, r, opts)
	if err != nil {
		return Loaded{}, fmt.Errorf("load: %w", err)
	}
	for i := range loaded.Images {
		s.emitLoaded(&loaded.Images[i])
	}
	return loaded, nil
}

// emitLoaded tells that an image was loaded, under each name.
func (s *Service) emitLoaded(im *LoadedImage) {
	e := Event{Action: ActionLoad, ID: string(im.Target.Digest)}
	if len(im.Names) == 0 {
		s.emit(e)
	}
	for _, name := range im.Names {
		e.Name = Familiar(store.Record{Name: name.Name})
		s.emit(e)
	}
}

func (s *Service) load(ctx context.Context, r io.Reader, opts LoadOptions) (loaded Loaded, err error) {
	given, err := loadNames(opts)
	if err != nil {
		return loaded, err
	}
	from, err := archive.NewReader(ctx, r, archive.Docker, archive.Options{
		Limits: s.opts.Limits, LastWins: opts.LastWins, TempDir: opts.TempDir, MaxStaged: opts.MaxStaged, Logger: s.opts.Logger,
	})
	if err != nil {
		return loaded, err
	}
	defer s.closing(ctx, from)
	images, err := from.Images(ctx)
	if err != nil {
		return loaded, err
	}
	if len(given) > 0 && len(images) != 1 {
		return loaded, fmt.Errorf("names were given for one image, and there are %d: %w", len(images), errdefs.ErrInvalidArgument)
	}
	st, err := s.stage(ctx)
	if err != nil {
		return loaded, err
	}
	defer st.close()
	var places []*loadPlace
	shown := progress{tell: opts.Events}
	for _, im := range images {
		p := newLoadPlace(st, im, given)
		opts.Events = shown.next()
		if err := s.loadImage(ctx, p, opts); err != nil {
			return loaded, fmt.Errorf("image %s: %w", im.Root.Digest, err)
		}
		if p.skipped != "" {
			loaded.Notes = append(loaded.Notes, p.skipped)
			continue
		}
		places = append(places, p)
	}
	if len(places) == 0 {
		return loaded, noneLoaded(len(images), opts.Platforms)
	}
	naming := loadNaming{places: places, replace: opts.Replace || len(given) > 0}
	if err := naming.publish(ctx, st); err != nil {
		return loaded, err
	}
	shown.committed()
	for _, p := range places {
		loaded.Images = append(loaded.Images, p.LoadedImage)
	}
	return loaded, nil
}

// noneLoaded says why there is nothing to load.
func noneLoaded(images int, asked []ocispec.Platform) error {
	if images == 0 {
		return fmt.Errorf("the archive has no images: %w", errdefs.ErrInvalidArgument)
	}
	var all []string
	for _, p := range asked {
		all = append(all, platform.Format(p))
	}
	return fmt.Errorf("no images providing the requested platform(s) found: %v: %w", all, errdefs.ErrNotFound)
}

// loadNames returns the names that the image is to have, in full.
func loadNames(opts LoadOptions) ([]string, error) {
	var all []string
	for _, name := range opts.Names {
		to, err := parseTag(name)
		if err != nil {
			return nil, err
		}
		all = add(all, to.String())
	}
	return all, nil
}
