package service

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/archive"
)

// SaveIndex says what becomes of a list of which a part is not saved.
type SaveIndex string

// The ways to save such a list. One that is saved with all that it lists stays as it is.
const (
	// SaveAuto is SavePruned, but SaveWhole for a list that is signed.
	SaveAuto SaveIndex = ""
	// SavePruned writes a list of what is saved, which any reader takes, and which has
	// another digest. A list that is signed is ErrFailedPrecondition.
	SavePruned SaveIndex = "pruned"
	// SaveWhole keeps the list and its digest, although it lists what the archive does
	// not have. There are readers that refuse that.
	SaveWhole SaveIndex = "whole"
	// SaveCompleted takes what is missing here from SaveOptions.Complete.
	SaveCompleted SaveIndex = "completed"
)

// SaveOptions say what Save writes of images, and how. The zero value writes as much of
// them as there is.
type SaveOptions struct {
	// Platforms are those whose instances are saved, each strictly as package platform has
	// it for Get, the best one for each; none: all that is there. One is saved in the place
	// of its list, unless Index is SaveWhole.
	Platforms []ocispec.Platform
	Index     SaveIndex
	// Complete opens what an image that is not here as a whole is completed from; Save
	// closes it. It must be set for SaveCompleted, and for that alone. The reference is
	// the name of the image, or what was asked for.
	Complete func(ctx context.Context, reference string) (transport.Source, error)
	// NoReferrers leaves out the manifests that refer to what is saved, and NoDigestTags
	// the tags sha256-<hex>.sig, .att and .sbom that are here.
	NoReferrers, NoDigestTags bool
	// Parallel and Events are those of copy.Options. Images are saved one after the other, with
	// the events of one copy: the last comes when all has been written.
	Parallel int
	Events   func(copy.Event)
}

// SavedPart says which part of an image was saved.
type SavedPart string

// The parts that are saved.
const (
	// SavedAll: the image as it is, and all of it.
	SavedAll SavedPart = "whole"
	// SavedSparse: the list as it is, with a part of what it lists.
	SavedSparse SavedPart = "sparse list"
	// SavedPruned: a list of a part, and therefore with another digest.
	SavedPruned SavedPart = "pruned list"
	// SavedOne: one manifest, in the place of the list that it is in.
	SavedOne SavedPart = "one manifest"
)

// Saved is what a Save has written.
type Saved struct {
	// Images are in the order in which they were first asked for, each once.
	Images []SavedImage
}

// SavedImage is one image of an archive.
type SavedImage struct {
	// References are those by which it was asked for, and Names what it is called in the
	// archive, in full; none for one that was asked for by an ID or digest.
	References, Names []string
	// Record is what the first reference was resolved to, and Image the part of it that
	// was meant: its target, or a list or manifest below.
	Record store.Record
	Image  ocispec.Descriptor
	// Part is what of Image was saved, and Root what the archive has. Their digests agree
	// only for SavedAll and SavedSparse.
	Part SavedPart
	Root ocispec.Descriptor
	// Left are the instances of Image that were not saved, with what attests them.
	Left []ocispec.Descriptor
	// Receipt has each descriptor.
	Receipt *copy.Receipt
	// Notes are what is worth knowing, a sentence each; that less than the image was
	// saved is one.
	Notes []string
}

// Save writes images to a stream as one archive, which is an OCI layout and what `docker
// save` writes at once. Blobs are written as they are, and one that several images have is
// there once. The same images give the same bytes.
//
// An image is called in the archive as it was asked for: by a name with a tag; by a
// repository alone, by each of its tags, which are saved all, or latest if it has none; by
// a digest or an ID, not at all.
//
// An instance that is not here with its config and all of its layers counts as not here.
// Without any of a list, or of a platform that was asked for, it is ErrNotFound with the
// texts "was found but does not provide" and, for a platform, "no suitable export target
// found for platform". A single image that lacks something is ErrUnavailable. What Resolve
// does not find is an error as there, and none of all this writes a byte. After any later
// error what was written is worth nothing. Until it returns nothing that it saves is
// collected. It returns when the context ends, but may leave a write to the stream behind.
func (s *Service) Save(ctx context.Context, w io.Writer, references []string, opts SaveOptions) (Saved, error) {
	saved, err := s.save(ctx, w, references, opts)
	if err != nil {
		return Saved{}, fmt.Errorf("save: %w", err)
	}
	for i := range saved.Images {
		s.emitSaved(&saved.Images[i])
	}
	return saved, nil
}

// emitSaved tells that an image was saved, under each name.
func (s *Service) emitSaved(im *SavedImage) {
	e := Event{Action: ActionSave, ID: string(im.Record.Target.Digest)}
	if len(im.Names) == 0 {
		s.emit(e)
	}
	for _, name := range im.Names {
		e.Name = Familiar(store.Record{Name: name})
		s.emit(e)
	}
}

func (s *Service) save(ctx context.Context, w io.Writer, references []string, opts SaveOptions) (saved Saved, err error) {
	if err := checkSave(references, opts); err != nil {
		return saved, err
	}
	var plans []*savePlan
	err = s.view(ctx, func(v *view) error {
		plans, err = v.pickAll(references)
		return err
	})
	if err != nil {
		return saved, err
	}
	defer func() {
		for _, p := range plans {
			p.close(ctx, s)
		}
	}()
	aw, err := archive.NewWriter(w, archive.Docker, s.archiveOptions(opts.Platforms))
	if err != nil {
		return saved, err
	}
	defer s.closing(ctx, aw)
	for _, p := range plans {
		if err := s.prepareSave(ctx, aw, p, opts); err != nil {
			return saved, fmt.Errorf("%.512q: %w", p.References[0], err)
		}
	}
	shown := progress{tell: opts.Events}
	for _, p := range plans {
		opts.Events = shown.next()
		if err := s.runSave(ctx, p, opts); err != nil {
			return saved, fmt.Errorf("%.512q: %w", p.References[0], err)
		}
		saved.Images = append(saved.Images, p.SavedImage)
	}
	if err := aw.Finish(ctx); err != nil {
		return saved, err
	}
	shown.committed()
	return saved, nil
}

// checkSave checks what was asked for by itself.
func checkSave(references []string, opts SaveOptions) error {
	switch opts.Index {
	case SaveAuto, SavePruned, SaveWhole, SaveCompleted:
	default:
		return fmt.Errorf("a list is not saved %.64q: %w", opts.Index, errdefs.ErrInvalidArgument)
	}
	if (opts.Index == SaveCompleted) != (opts.Complete != nil) {
		return fmt.Errorf("what completes images goes with %q alone: %w", SaveCompleted, errdefs.ErrInvalidArgument)
	}
	if len(references) == 0 {
		return fmt.Errorf("no image is named: %w", errdefs.ErrInvalidArgument)
	}
	return nil
}

// archiveOptions are those for an archive of which old readers get one of the platforms, or
// the host's.
func (s *Service) archiveOptions(platforms []ocispec.Platform) archive.Options {
	o := archive.Options{Limits: s.opts.Limits, Platform: s.opts.Host, Logger: s.opts.Logger}
	if len(platforms) > 0 {
		o.Platform = &platforms[0]
	}
	return o
}

// copyOptions are those for what is saved of an image.
func (s *Service) copyOptions(p *savePlan, opts SaveOptions) copy.Options {
	return copy.Options{
		Selection: p.selection, NoReferrers: opts.NoReferrers, NoDigestTags: opts.NoDigestTags,
		Parallel: opts.Parallel, Events: opts.Events, Limits: s.opts.Limits, Logger: s.opts.Logger,
	}
}

// prepareSave finds out what is written of an image, and has it stay until it is.
func (s *Service) prepareSave(ctx context.Context, aw *archive.Writer, p *savePlan, opts SaveOptions) error {
	if err := p.open(ctx, s); err != nil {
		return err
	}
	err := s.view(ctx, func(v *view) (err error) {
		p.leaves, err = v.leaves(p.Image)
		return err
	})
	if err == nil {
		err = p.complete(ctx, opts)
	}
	if err == nil {
		err = p.decide(opts)
	}
	if err == nil {
		p.dst, err = aw.Image(p.Names...)
	}
	if err != nil {
		return err
	}
	p.plan, err = copy.Prepare(ctx, p.dst, p.source(), s.copyOptions(p, opts))
	if errdefs.IsFailedPrecondition(err) && opts.Index == SaveAuto && p.Part == SavedPruned {
		p.Notes = append(p.Notes, fmt.Sprintf("list %s is saved as it is, although it lists what is not saved: %v", p.Image.Digest, err))
		p.Part, p.selection.Absent = SavedSparse, copy.Keep
		p.plan, err = copy.Prepare(ctx, p.dst, p.source(), s.copyOptions(p, opts))
	}
	return err
}

// runSave writes an image.
func (s *Service) runSave(ctx context.Context, p *savePlan, opts SaveOptions) error {
	receipt, err := copy.Run(ctx, p.dst, p.source(), p.plan, s.copyOptions(p, opts))
	if err != nil {
		return err
	}
	p.Receipt, p.Root = receipt, receipt.Root
	p.Notes = append(p.Notes, receipt.Notes...)
	if note := p.note(); note != "" {
		p.Notes = append(p.Notes, note)
	}
	return nil
}

// note says what was saved, if that is not simply the image.
func (p *savePlan) note() string {
	switch p.Part {
	case SavedOne:
		return fmt.Sprintf("manifest %s%s was saved in the place of the list %s", p.Root.Digest, forPlatform(p.root.Platform), p.Image.Digest)
	case SavedPruned:
		return fmt.Sprintf("list %s without %d of the %d manifests was saved in the place of the list %s", p.Root.Digest, len(p.Left), len(p.leaves), p.Image.Digest)
	case SavedSparse:
		return fmt.Sprintf("list %s was saved as it is, without %d of its %d manifests", p.Root.Digest, len(p.Left), len(p.leaves))
	}
	return ""
}

// forPlatform says which platform something is for.
func forPlatform(p *ocispec.Platform) string {
	if p == nil {
		return ""
	}
	return " for " + quoted(p)
}

// isWhole reports whether all of an image is here.
func (p *savePlan) isWhole() bool {
	return !slices.ContainsFunc(p.leaves, func(leaf pushLeaf) bool { return len(leaf.missing) > 0 })
}
