package service

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/platform"
	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/archive"
	local "github.com/dhowhq/dhow/transport/store"
)

// savePlan is what is saved of an image.
type savePlan struct {
	SavedImage
	leaves    []pushLeaf             // of a list; or the image itself
	absent    map[digest.Digest]bool // what of them counts as not here
	root      ocispec.Descriptor     // what is copied
	selection copy.Selection         // of it
	local     *local.Source          // nil before it was opened
	remote    transport.Source       // what completes it; or nil
	dst       *archive.Destination
	plan      *copy.Plan
}

// pickAll finds the images that references mean.
func (v *view) pickAll(references []string) ([]*savePlan, error) {
	var all []*savePlan
	at := map[digest.Digest]*savePlan{}
	for _, reference := range references {
		found, err := v.pick(reference)
		if err != nil {
			return nil, err
		}
		for _, im := range found {
			p := at[im.Image.Digest]
			if p == nil {
				p = &savePlan{SavedImage: SavedImage{Record: im.Record, Image: im.Image, Notes: im.Notes}}
				at[im.Image.Digest], all = p, append(all, p)
			}
			p.References = add(p.References, reference)
			for _, name := range im.Names {
				p.Names = add(p.Names, name)
			}
		}
	}
	return all, nil
}

// add appends a text that is not there.
func add(all []string, text string) []string {
	if slices.Contains(all, text) {
		return all
	}
	return append(all, text)
}

// pick finds the images that a reference means: one, or those of all tags of a repository.
func (v *view) pick(reference string) ([]SavedImage, error) {
	records, err := v.tagged(reference)
	if err != nil {
		return nil, err
	}
	found := make([]Resolution, 0, len(records))
	for _, rec := range records {
		found = append(found, Resolution{Record: rec, Matched: ByName, Digest: rec.Target.Digest})
	}
	if len(records) == 0 {
		r, err := v.resolve(reference)
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	var all []SavedImage
	for _, r := range found {
		im := SavedImage{Record: r.Record, Notes: r.Warnings}
		if im.Image, err = v.documentOf(r); err != nil {
			return nil, fmt.Errorf("%.512q: %w", reference, err)
		}
		if name, err := ref.Parse(r.Record.Name); r.Matched == ByName && err == nil && name.Digest() == "" {
			im.Names = []string{name.String()}
		}
		all = append(all, im)
	}
	return all, nil
}

// tagged returns the records of a repository's tags, if the reference is its name alone.
func (v *view) tagged(reference string) ([]store.Record, error) {
	name, err := ref.Parse(reference)
	if err != nil || !name.IsNameOnly() {
		return nil, nil //nolint:nilerr // it may be an ID
	}
	return v.repository(reference)
}

// name is what the image is called.
func (p *savePlan) name() string {
	if len(p.Names) > 0 {
		return p.Names[0]
	}
	return p.References[0]
}

// open has all of the image stay until close.
func (p *savePlan) open(ctx context.Context, s *Service) error {
	var beside local.Reference
	if name, err := ref.Parse(p.Record.Name); err == nil { // else no names are beside it
		beside.Name = name
	}
	src, err := local.SourceOf(ctx, p.Image, beside, local.Options{Store: s.store, Limits: s.opts.Limits, Logger: s.opts.Logger})
	if err != nil {
		return err
	}
	p.local = src
	_, err = src.Root(ctx)
	return err
}

// complete opens what an image that is not here as a whole is completed from.
func (p *savePlan) complete(ctx context.Context, opts SaveOptions) (err error) {
	if opts.Complete == nil || p.isWhole() {
		return nil
	}
	if p.remote, err = opts.Complete(ctx, p.name()); err != nil {
		return fmt.Errorf("opening what completes the image: %w", err)
	}
	return nil
}

func (p *savePlan) close(ctx context.Context, s *Service) {
	if p.local != nil {
		s.closing(ctx, p.local)
	}
	if p.remote != nil {
		s.closing(ctx, p.remote)
	}
}

// decide says which part is saved.
func (p *savePlan) decide(opts SaveOptions) error {
	p.absent = map[digest.Digest]bool{}
	for _, leaf := range p.leaves {
		if len(leaf.missing) > 0 && p.remote == nil {
			p.absent[leaf.desc.Digest] = true
		}
	}
	chosen, err := p.choose(opts.Platforms)
	if err != nil {
		return err
	}
	p.Part, p.root, p.selection = SavedAll, p.Image, copy.Selection{Mode: copy.All}
	switch {
	case !image.IsList(p.Image.MediaType):
	case len(opts.Platforms) == 1 && opts.Index != SaveWhole:
		p.Part, p.root = SavedOne, chosen[0].desc
		p.keep(func(leaf *pushLeaf) bool { return leaf.desc.Digest == p.root.Digest })
	case len(opts.Platforms) > 0 || len(p.absent) > 0:
		p.some(chosen, opts)
	}
	return nil
}

// some has the chosen images be saved, with what goes with them.
func (p *savePlan) some(chosen []pushLeaf, opts SaveOptions) {
	sent := map[digest.Digest]bool{}
	for _, leaf := range chosen {
		sent[leaf.desc.Digest] = true
	}
	p.keep(func(leaf *pushLeaf) bool {
		d := leaf.desc.Digest
		of, attests := image.AttestationOf(leaf.desc)
		switch {
		case p.absent[d]:
			return false
		case attests:
			return sent[of]
		}
		return sent[d] || leaf.role == image.RoleOpaque && len(opts.Platforms) == 0
	})
	if len(p.Left) == 0 {
		return
	}
	p.Part = SavedPruned
	p.selection = copy.Selection{Mode: copy.Some, Absent: copy.Strip}
	if opts.Index == SaveWhole {
		p.Part, p.selection.Absent = SavedSparse, copy.Keep
	}
	for _, leaf := range p.leaves {
		_, attests := image.AttestationOf(leaf.desc)
		if !attests && !slices.ContainsFunc(p.Left, func(l ocispec.Descriptor) bool { return l.Digest == leaf.desc.Digest }) {
			p.selection.Instances = append(p.selection.Instances, leaf.desc.Digest)
		}
	}
}

// keep notes the others as left.
func (p *savePlan) keep(saved func(*pushLeaf) bool) {
	for i := range p.leaves {
		if !saved(&p.leaves[i]) {
			p.Left = append(p.Left, p.leaves[i].desc)
		}
	}
}

// choose returns the images for the platforms, or else all that are here.
func (p *savePlan) choose(asked []ocispec.Platform) ([]pushLeaf, error) {
	if leaf := p.leaves; !image.IsList(p.Image.MediaType) && p.absent[p.Image.Digest] {
		return nil, notWhole(p.name(), leaf[0])
	}
	here := slices.DeleteFunc(slices.Clone(p.leaves), func(l pushLeaf) bool {
		return l.role != image.RoleManifest || p.absent[l.desc.Digest]
	})
	if len(asked) == 0 {
		if len(here) == 0 && len(p.absent) > 0 {
			return nil, fmt.Errorf("image with reference %.256s was found but does not provide any platform: %w", p.References[0], errdefs.ErrNotFound)
		}
		return here, nil
	}
	entries := make([]ocispec.Descriptor, len(here))
	for i, leaf := range here {
		entries[i] = leaf.desc
	}
	var chosen []pushLeaf
	for _, want := range asked {
		order, err := platform.Select(platform.Get, &want, entries, platform.Options{})
		if errdefs.IsNotFound(err) {
			return nil, fmt.Errorf("image with reference %.256s was found but does not provide the specified platform (%s): no suitable export target found for platform %s: %w",
				p.References[0], platform.Format(want), platform.Format(want), err)
		}
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, here[order[0]])
	}
	return chosen, nil
}

// source is where what is saved is read from.
func (p *savePlan) source() transport.Source {
	if p.remote != nil {
		return &completedSource{Source: p.local, root: p.root, remote: p.remote}
	}
	return &pushSource{Source: p.local, root: p.root, absent: p.absent}
}

// completedSource is an image that is here in part, and elsewhere.
type completedSource struct {
	*local.Source
	root   ocispec.Descriptor
	remote transport.Source
}

// Root returns what is saved.
func (s *completedSource) Root(context.Context) (ocispec.Descriptor, error) { return s.root, nil }

// Open has what is not here from elsewhere.
func (s *completedSource) Open(ctx context.Context, desc ocispec.Descriptor, from int64) (io.ReadCloser, error) {
	r, err := s.Source.Open(ctx, desc, from)
	if errdefs.IsNotFound(err) {
		return s.remote.Open(ctx, desc, from)
	}
	return r, err
}
