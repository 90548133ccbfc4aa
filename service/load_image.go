package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/platform"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/archive"
)

// loadPlace is where an image of an archive goes: into the staging, with names that are
// moved when all images are there.
type loadPlace struct {
	LoadedImage
	st      *staging
	src     *archive.Source
	names   []string     // of the image, in full
	wanted  []store.Move // of these, and of what stands beside the image
	skipped string       // why it is left out; empty if it is not
}

var (
	_ transport.Destination = (*loadPlace)(nil)
	_ transport.Acceptor    = (*loadPlace)(nil)
)

func newLoadPlace(st *staging, im archive.Image, given []string) *loadPlace {
	p := &loadPlace{LoadedImage: LoadedImage{Target: plainTarget(im.Root)}, st: st, src: im.Source(), names: im.Names}
	if len(given) > 0 {
		p.names = given
	} else {
		for _, name := range im.RefNames {
			p.Notes = append(p.Notes, fmt.Sprintf("%.256q is no name of an image here", name))
		}
	}
	return p
}

// Accepts says what a store holds.
func (p *loadPlace) Accepts() transport.Accepts {
	return transport.Accepts{
		Types:        []string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, image.MediaTypeDockerManifest, image.MediaTypeDockerList},
		NoSignatures: "a local store keeps no simple signatures",
	}
}

// Put writes a node.
func (p *loadPlace) Put(ctx context.Context, node transport.Node, open transport.Opener) (transport.Outcome, error) {
	put, err := p.st.add(ctx, node.Desc, node.Role, store.Opener(open))
	if err != nil {
		return transport.Outcome{}, err
	}
	if put == store.Reused {
		return transport.Outcome{Action: transport.Reused}, nil
	}
	return transport.Outcome{Action: transport.Copied}, nil
}

// Commit notes which names are wanted. What refers to an image stays with it, and needs no
// name.
func (p *loadPlace) Commit(_ context.Context, names []transport.Naming) ([]string, error) {
	repository, err := repositoryOf(p.names)
	if err != nil {
		return nil, err
	}
	p.wanted = nil
	for _, n := range names {
		switch {
		case n.Subject != "":
		case n.Name == "":
			for _, name := range p.names {
				p.wanted = append(p.wanted, store.Move{Name: name, To: plainTarget(n.Desc), Labels: map[string]string{}})
			}
		default:
			p.wanted = append(p.wanted, store.Move{Name: repository.Name() + ":" + n.Name, To: plainTarget(n.Desc), Labels: map[string]string{}})
		}
	}
	return nil, nil
}

// Close does nothing: all images are closed with the staging.
func (p *loadPlace) Close() error { return nil }

// loadImage writes an image, or finds that it is to be left out.
func (s *Service) loadImage(ctx context.Context, p *loadPlace, opts LoadOptions) error {
	leaves, err := p.leaves(ctx, s.opts.Limits)
	if err != nil {
		return err
	}
	from := &loadSource{Source: p.src, absent: map[digest.Digest]bool{}}
	for _, leaf := range leaves {
		if len(leaf.missing) > 0 {
			from.absent[leaf.desc.Digest] = true
		}
	}
	selection, err := p.choose(leaves, opts.Platforms)
	if err != nil || p.skipped != "" {
		return err
	}
	receipt, err := copy.Image(ctx, p, from, copy.Options{
		Selection: selection, NoReferrers: opts.NoReferrers, NoDigestTags: opts.NoDigestTags || len(p.names) == 0,
		Parallel: opts.Parallel, Events: opts.Events, Limits: s.opts.Limits, Logger: s.opts.Logger,
	})
	if err != nil {
		return err
	}
	p.Target, p.Receipt, p.Notes = plainTarget(receipt.Root), receipt, append(p.Notes, receipt.Notes...)
	p.Copied, p.Reused = receipt.Totals.Descriptors[copy.Copied], receipt.Totals.Descriptors[copy.Reused]
	p.BytesCopied, p.BytesReused = receipt.Totals.BytesCopied, receipt.Totals.BytesReused
	return nil
}

// leaves returns the entries of a list and of the lists in it, each once, or the manifest
// itself, with what is not in the archive of them.
func (p *loadPlace) leaves(ctx context.Context, lim image.Limits) ([]pushLeaf, error) {
	walker := image.Walker{
		Limits: lim,
		Fetch: func(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
			return transport.Fetch(ctx, p.src, desc, lim.DocumentBytes)
		},
		Missing: func(_ *image.Node, err error) error {
			if errdefs.IsNotFound(err) {
				return nil
			}
			return err
		},
	}
	g, err := walker.Walk(ctx, p.Target)
	if err != nil {
		return nil, err
	}
	var all []pushLeaf
	for _, n := range g.Nodes() {
		switch n.Role {
		case image.RoleConfig, image.RoleLayer:
			continue
		case image.RoleIndex:
			if n.Doc != nil {
				continue
			}
		}
		leaf := pushLeaf{desc: n.Desc, role: n.Role}
		if leaf.missing, err = p.missing(ctx, n); err != nil {
			return nil, err
		}
		if m, ok := n.Doc.(*image.Manifest); ok && len(leaf.missing) == 0 && n.Role == image.RoleManifest {
			err = p.ownPlatform(ctx, m, &leaf.desc, lim)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, leaf)
	}
	return all, nil
}

// missing returns what the archive does not have of a node: itself, or what a manifest has,
// but for layers that are had from elsewhere.
func (p *loadPlace) missing(ctx context.Context, n *image.Node) ([]digest.Digest, error) {
	edges := []image.Edge{{Desc: n.Desc}}
	if n.Doc != nil {
		edges = n.Doc.Edges()
	}
	var all []digest.Digest
	for _, e := range edges {
		r, err := p.src.Open(ctx, e.Desc, 0)
		switch {
		case err == nil:
			err = r.Close()
		case errdefs.IsNotFound(err):
			err = nil
			if !elsewhere(e.Desc) {
				all = append(all, e.Desc.Digest)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// ownPlatform gives an image of which no list says it the platform that its config says.
func (p *loadPlace) ownPlatform(ctx context.Context, m *image.Manifest, desc *ocispec.Descriptor, lim image.Limits) error {
	if desc.Platform != nil || m.ArtifactType() != "" {
		return nil
	}
	data, err := transport.Fetch(ctx, p.src, m.Config(), lim.ConfigBytes)
	if err != nil {
		return err
	}
	config, err := image.DecodeConfig(data, lim)
	if err != nil {
		return fmt.Errorf("config %s: %w", m.Config().Digest, err)
	}
	desc.Platform = said(&config.Platform)
	return nil
}

// choose returns what is loaded of the image, and notes what is not.
func (p *loadPlace) choose(leaves []pushLeaf, asked []ocispec.Platform) (copy.Selection, error) {
	whole := slices.DeleteFunc(slices.Clone(leaves), func(l pushLeaf) bool { return len(l.missing) > 0 })
	if len(whole) == 0 && len(leaves) > 0 {
		return copy.Selection{}, fmt.Errorf("the archive has no part of it as a whole: %s is missing: %w", someDigests(leaves[0].missing), errdefs.ErrInvalidArgument)
	}
	selection := copy.Selection{Mode: copy.All, Absent: copy.Keep}
	if len(asked) > 0 {
		chosen, err := p.forPlatforms(whole, asked)
		if err != nil || len(chosen) == 0 {
			return selection, err
		}
		selection.Mode, selection.Instances = copy.Some, chosen
	}
	for _, leaf := range leaves {
		of, attests := image.AttestationOf(leaf.desc)
		chosen := selection.Mode == copy.All || slices.Contains(selection.Instances, leaf.desc.Digest) || attests && slices.Contains(selection.Instances, of)
		if len(leaf.missing) > 0 || !chosen {
			p.Left = append(p.Left, leaf.desc)
		}
	}
	return selection, nil
}

// forPlatforms returns the instances for platforms. Without any the image is to be left
// out.
func (p *loadPlace) forPlatforms(whole []pushLeaf, asked []ocispec.Platform) ([]digest.Digest, error) {
	images := slices.DeleteFunc(slices.Clone(whole), func(l pushLeaf) bool { return l.role != image.RoleManifest })
	entries := make([]ocispec.Descriptor, len(images))
	for i, leaf := range images {
		entries[i] = leaf.desc
	}
	var chosen []digest.Digest
	for _, want := range asked {
		order, err := platform.Select(platform.Get, &want, entries, platform.Options{})
		switch {
		case errdefs.IsNotFound(err):
		case err != nil:
			return nil, err
		default:
			chosen = append(chosen, entries[order[0]].Digest)
		}
	}
	if len(chosen) == 0 {
		p.skipped = fmt.Sprintf("image %s, %s, was left out: it has none of the platforms", p.Target.Digest, someNames(p.names))
	}
	return chosen, nil
}

// someNames lists the names of an image.
func someNames(names []string) string {
	if len(names) == 0 {
		return "which has no name"
	}
	return some(names)
}

// loadSource is an image of an archive without what of it is not whole.
type loadSource struct {
	*archive.Source
	absent map[digest.Digest]bool
}

var errNotWhole = errors.New("the archive does not have it as a whole")

// Open has nothing of what counts as not there.
func (s *loadSource) Open(ctx context.Context, desc ocispec.Descriptor, from int64) (io.ReadCloser, error) {
	if s.absent[desc.Digest] {
		return nil, fmt.Errorf("%s: %w: %w", desc.Digest, errNotWhole, errdefs.ErrNotFound)
	}
	return s.Source.Open(ctx, desc, from)
}
