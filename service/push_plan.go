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
	"github.com/dhowhq/dhow/transport"
)

// pushPlan is what is pushed of an image, and why.
type pushPlan struct {
	image  ocispec.Descriptor
	leaves []pushLeaf // of a list; or the image itself
	asked  []ocispec.Platform

	elsewhere []ocispec.Descriptor // that are not here, and that the destination has; all or none

	part      PushedPart
	root      ocispec.Descriptor // what is copied
	selection copy.Selection
	absent    map[digest.Digest]bool // what counts as not here
	sent      map[digest.Digest]bool // the leaves that are
}

// pushLeaf is an entry of a list or of a list in it, or a list in it that is not here.
type pushLeaf struct {
	desc    ocispec.Descriptor // with the platform that it is for, as far as that is known
	role    image.Role
	missing []digest.Digest // of it
}

// planPush looks at what is here of an image, and at the platforms.
func (v *view) planPush(reference string, target ocispec.Descriptor, asked []ocispec.Platform) (pushPlan, error) {
	p := pushPlan{image: target, asked: asked, absent: map[digest.Digest]bool{}, sent: map[digest.Digest]bool{}}
	var err error
	if p.leaves, err = v.leaves(target); err != nil {
		return p, err
	}
	for _, leaf := range p.leaves {
		if len(leaf.missing) > 0 {
			p.absent[leaf.desc.Digest] = true
		}
	}
	if !image.IsList(target.MediaType) && len(p.leaves[0].missing) > 0 {
		return p, notWhole(reference, p.leaves[0])
	}
	return p, nil
}

// notWhole says that a manifest lacks something.
func notWhole(reference string, leaf pushLeaf) error {
	return fmt.Errorf("%s, which is %s, is not here as a whole: %s is missing: %w", reference, leaf.desc.Digest, someDigests(leaf.missing), errdefs.ErrUnavailable)
}

// leaves returns the entries of a list and of the lists in it, each once, or the manifest
// itself.
func (v *view) leaves(target ocispec.Descriptor) ([]pushLeaf, error) {
	g, err := v.graph(target)
	if err != nil {
		return nil, err
	}
	var all []pushLeaf
	seen := map[*node]bool{}
	var visit func(n *node, inherited *ocispec.Platform)
	visit = func(n *node, inherited *ocispec.Platform) {
		if seen[n] {
			return
		}
		seen[n] = true
		leaf := pushLeaf{desc: n.desc, role: n.role, missing: n.missing()}
		if leaf.desc.Platform == nil {
			leaf.desc.Platform = inherited
		}
		if n.role == image.RoleIndex && n.present {
			for _, child := range n.children {
				visit(child, leaf.desc.Platform)
			}
			return
		}
		if leaf.desc.Platform == nil && n.facts != nil {
			leaf.desc.Platform = n.facts.Platform
		}
		all = append(all, leaf)
	}
	visit(g.nodes[0], nil)
	return all, nil
}

// missing returns what is not here of an entry: itself, or what a manifest has, but for
// layers that are had from elsewhere. Of these the bytes are all that counts, be they those
// of another manifest.
func (n *node) missing() []digest.Digest {
	if !n.present {
		return []digest.Digest{n.desc.Digest}
	}
	if n.role == image.RoleIndex || n.facts == nil {
		return nil
	}
	var all []digest.Digest
	for i, e := range n.facts.Edges {
		if !n.children[i].present && !elsewhere(e.Desc) {
			all = append(all, e.Desc.Digest)
		}
	}
	return all
}

// ask asks the destination for what is not here, until there is something that it does
// not have either.
func (p *pushPlan) ask(ctx context.Context, dst transport.Destination) error {
	has, ok := dst.(transport.Presence)
	if !ok || len(p.asked) > 0 || len(p.absent) == 0 {
		return nil
	}
	var elsewhere []ocispec.Descriptor
	for _, leaf := range p.leaves {
		if len(leaf.missing) == 0 {
			continue
		}
		// By its digest, as what belongs to the image: nothing refers to it by a name.
		have, err := has.Has(ctx, transport.Node{Desc: leaf.desc, Role: leaf.role, Subject: p.image.Digest})
		if err != nil {
			return fmt.Errorf("asking the destination for %s: %w", leaf.desc.Digest, err)
		}
		if have != transport.Complete {
			return nil
		}
		elsewhere = append(elsewhere, leaf.desc)
	}
	p.elsewhere = elsewhere
	return nil
}

// decide says which part is pushed.
func (p *pushPlan) decide(reference string) error {
	chosen, err := p.choose(reference)
	if err != nil {
		return err
	}
	for _, leaf := range chosen {
		p.sent[leaf.desc.Digest] = true
	}
	images := slices.DeleteFunc(slices.Clone(p.leaves), func(l pushLeaf) bool { return l.role != image.RoleManifest })
	all := len(p.asked) == 0 || len(chosen) == len(images)
	p.part, p.root, p.selection = PushedWhole, p.image, copy.Selection{Mode: copy.All}
	switch {
	case !image.IsList(p.image.MediaType):
	case len(p.asked) == 1, len(chosen) == 1 && !all:
		p.one(chosen[0])
	case len(p.absent) == 0 && all:
	case len(p.elsewhere) > 0:
		p.selection.Absent = copy.Keep
	case len(chosen) == 1:
		p.one(chosen[0])
	default:
		p.part = PushedReduced
		p.selection = copy.Selection{Mode: copy.Some, Absent: copy.Strip}
		for _, leaf := range chosen {
			p.selection.Instances = append(p.selection.Instances, leaf.desc.Digest)
		}
	}
	p.beside()
	return nil
}

// one has one manifest be pushed.
func (p *pushPlan) one(leaf pushLeaf) { p.part, p.root = PushedOne, leaf.desc }

// beside counts as sent what goes with the images that are: what attests them, and where
// all that is here goes, what is no image.
func (p *pushPlan) beside() {
	for _, leaf := range p.leaves {
		of, attests := image.AttestationOf(leaf.desc)
		switch {
		case p.part == PushedOne || len(leaf.missing) > 0 || p.sent[leaf.desc.Digest]:
		case attests && p.sent[of], p.part == PushedWhole:
			p.sent[leaf.desc.Digest] = true
		case leaf.role == image.RoleOpaque && len(p.asked) == 0:
			p.sent[leaf.desc.Digest] = true
			p.selection.Instances = append(p.selection.Instances, leaf.desc.Digest)
		}
	}
}

// choose returns the images that are asked for, or else all that are here.
func (p *pushPlan) choose(reference string) ([]pushLeaf, error) {
	here := slices.DeleteFunc(slices.Clone(p.leaves), func(l pushLeaf) bool { return l.role != image.RoleManifest || len(l.missing) > 0 })
	if len(p.asked) == 0 {
		if len(here) == 0 && len(p.absent) > 0 && len(p.elsewhere) == 0 {
			return nil, fmt.Errorf("image with reference %s was found but does not provide any platform: %w", reference, errdefs.ErrNotFound)
		}
		return here, nil
	}
	var chosen []pushLeaf
	for _, asked := range p.asked {
		leaf, err := leafFor(asked, here, reference)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(chosen, func(l pushLeaf) bool { return l.desc.Digest == leaf.desc.Digest }) {
			chosen = append(chosen, leaf)
		}
	}
	return chosen, nil
}

// leafFor returns the one image for a platform.
func leafFor(asked ocispec.Platform, here []pushLeaf, reference string) (pushLeaf, error) {
	entries := make([]ocispec.Descriptor, len(here))
	for i, leaf := range here {
		entries[i] = leaf.desc
	}
	order, err := platform.Select(platform.Get, &asked, entries, platform.Options{})
	switch {
	case errdefs.IsNotFound(err):
		return pushLeaf{}, fmt.Errorf("image with reference %s was found but does not provide the specified platform (%s): %w", reference, platform.Format(asked), err)
	case err != nil:
		return pushLeaf{}, err
	case len(order) > 1:
		var found []digest.Digest
		for _, i := range order {
			found = append(found, here[i].desc.Digest)
		}
		return pushLeaf{}, fmt.Errorf("multiple manifests found for platform %s: %v: %w", platform.Format(asked), found, errdefs.ErrConflict)
	}
	return here[order[0]], nil
}

// left returns the leaves that were not sent.
func (p *pushPlan) left() []ocispec.Descriptor {
	var left []ocispec.Descriptor
	for _, leaf := range p.leaves {
		if !p.sent[leaf.desc.Digest] {
			left = append(left, leaf.desc)
		}
	}
	return left
}

// note says what was pushed, if that is not simply the image.
func (p *pushPlan) note(root ocispec.Descriptor) string {
	why := "of what is here"
	if len(p.asked) > 0 {
		why = "as asked"
	}
	switch {
	case p.part == PushedOne:
		name := "without a platform"
		if root.Platform != nil {
			name = "for " + platform.Format(*root.Platform)
		}
		return fmt.Sprintf("manifest %s %s was pushed in the place of the list %s, %s", root.Digest, name, p.image.Digest, why)
	case p.part == PushedReduced:
		return fmt.Sprintf("list %s of %d of the %d manifests was pushed in the place of the list %s, %s", root.Digest, len(p.sent), len(p.leaves), p.image.Digest, why)
	case len(p.elsewhere) > 0:
		return fmt.Sprintf("list %s was pushed as it is: the %d of its %d manifests that are not here were at the destination", root.Digest, len(p.elsewhere), len(p.leaves))
	}
	return ""
}

// Root returns what is pushed.
func (s *pushSource) Root(context.Context) (ocispec.Descriptor, error) { return s.root, nil }

// Open has nothing of what counts as not here. Any other document that is not there has
// gone since it was decided what is: then nothing is pushed without it.
func (s *pushSource) Open(ctx context.Context, desc ocispec.Descriptor, from int64) (io.ReadCloser, error) {
	if s.absent[desc.Digest] {
		return nil, fmt.Errorf("%s is not here as a whole: %w", desc.Digest, errdefs.ErrNotFound)
	}
	r, err := s.Source.Open(ctx, desc, from)
	if errdefs.IsNotFound(err) && image.IsDocument(desc.MediaType) {
		return nil, fmt.Errorf("%v: it has gone meanwhile: %w", err, errdefs.ErrUnavailable) //nolint:errorlint // what is not there would be left out
	}
	return r, err
}
