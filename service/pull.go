package service

import (
	"context"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/platform"
	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/transport"
	local "github.com/dhowhq/dhow/transport/store"
)

// PullOptions say what Pull takes of an image, and how. The zero value takes what the
// host can run best.
type PullOptions struct {
	// Platforms are those whose instances are pulled, the best one for each; none: that
	// of Options.Host.
	Platforms []ocispec.Platform
	// All pulls all instances. It goes without Platforms.
	All bool
	// DigestTags takes the tags sha256-<hex>.sig, .att and .sbom as well, which become
	// names of the repository here. To find them, all tags at the source are listed.
	DigestTags bool
	// NoReferrers leaves out the manifests that refer to what is pulled.
	NoReferrers bool
	// Parallel and Events are those of copy.Options.
	Parallel int
	Events   func(copy.Event)
}

// PullStatus says in a word what a pull has changed.
type PullStatus string

// The statuses of a pull.
const (
	// UpToDate: the name pointed there, and nothing was missing.
	UpToDate PullStatus = "up to date"
	// Completed: the name pointed there, and more of the image has come.
	Completed PullStatus = "completed"
	// Newer: the name points where it has not pointed before.
	Newer PullStatus = "newer"
)

// Pulled is what a pull has done.
type Pulled struct {
	// Name is that of the record, and Target what it points at now.
	Name   string
	Target ocispec.Descriptor
	Status PullStatus // empty if the pull has failed
	// Before is the record that the name had, zero if there was none. Dangling tells
	// that its target has no name any more.
	Before   store.Record
	Dangling bool
	// Copied are the descriptors that were fetched, Reused those that were there, with
	// their bytes.
	Copied, Reused           int
	BytesCopied, BytesReused int64
	// Receipt has each of them.
	Receipt *copy.Receipt
	// Notes are what is worth knowing, a sentence each.
	Notes []string
}

// Pull brings the image that the source's reference means under a name: of a list the
// chosen instances, with their attestations, and the list as it is. Of what is there
// nothing is fetched again, and what else is there of the list stays. What refers to the
// documents comes along. A name without tag and digest is that with latest; one with a
// digest must be of the image.
//
// Blobs that a failed pull has brought are kept for the next one, which goes on where
// they end; the name moves when all is there, and what it pointed at before dangles. The
// result of a failed pull is what it has moved, with a nil Receipt if that is nothing.
//
// A list without an instance for a platform is ErrNotFound with the text "no matching
// manifest for PLATFORM in the manifest list entries". A single image is taken whatever
// was asked, with a note. Else errors are those of the source, the store and copy.Image.
func (s *Service) Pull(ctx context.Context, src transport.Source, name string, opts PullOptions) (Pulled, error) {
	p, err := s.pull(ctx, src, name, opts)
	if err != nil {
		return p, fmt.Errorf("pull %.512q: %w", name, err)
	}
	s.emitMoved(ActionPull, p.Name)
	return p, nil
}

func (s *Service) pull(ctx context.Context, src transport.Source, name string, opts PullOptions) (p Pulled, _ error) {
	parsed, err := ref.Parse(name)
	if err != nil {
		return p, err
	}
	selection, err := s.pullSelection(opts)
	if err != nil {
		return p, err
	}
	r := local.Reference{Name: parsed.Tagged()}
	dst, err := local.OpenDestination(ctx, r, local.Options{Store: s.store, Limits: s.opts.Limits, Logger: s.opts.Logger})
	if err != nil {
		return p, err
	}
	defer s.closing(ctx, dst)
	receipt, err := copy.Image(ctx, dst, src, copy.Options{
		Selection: selection, NoReferrers: opts.NoReferrers, NoDigestTags: !opts.DigestTags,
		Parallel: opts.Parallel, Events: opts.Events, Limits: s.opts.Limits, Logger: s.opts.Logger,
	})
	if receipt != nil {
		p = pulled(receipt, dst.Moved())
		p.Name = dst.Name()
	}
	if err != nil {
		return p, err
	}
	if note := otherPlatform(p.Target, parsed, opts.Platforms); note != "" {
		p.Notes = append(p.Notes, note)
	}
	return p, nil
}

// pullSelection returns what of a list is copied.
func (s *Service) pullSelection(opts PullOptions) (copy.Selection, error) {
	if opts.All {
		if len(opts.Platforms) > 0 {
			return copy.Selection{}, fmt.Errorf("platforms were asked for beside all of them: %w", errdefs.ErrInvalidArgument)
		}
		return copy.Selection{Mode: copy.All}, nil
	}
	wanted := opts.Platforms
	if len(wanted) == 0 {
		wanted = []ocispec.Platform{*s.opts.Host}
	}
	return copy.Selection{Mode: copy.Some, Choose: func(entries []ocispec.Descriptor) ([]int, error) {
		var chosen []int
		for _, p := range wanted {
			best, err := bestFor(p, entries)
			if err != nil {
				return nil, err
			}
			chosen = append(chosen, best)
		}
		return chosen, nil
	}}, nil
}

// bestFor returns the position of the instance that is pulled for a platform.
func bestFor(p ocispec.Platform, entries []ocispec.Descriptor) (int, error) {
	images := make([]ocispec.Descriptor, len(entries))
	for i, e := range entries {
		if images[i] = e; !image.IsManifest(e.MediaType) {
			images[i].Platform = nil // which nothing is pulled for
		}
	}
	order, err := platform.Select(platform.Pull, &p, images, platform.Options{})
	if errdefs.IsNotFound(err) {
		return 0, fmt.Errorf("no matching manifest for %s in the manifest list entries: %w", platform.Format(p), err)
	}
	if err != nil {
		return 0, err
	}
	return order[0], nil
}

// pulled says what a copy into the store has done.
func pulled(r *copy.Receipt, moved store.Moved) Pulled {
	p := Pulled{
		Target: r.Root, Status: Newer, Before: moved.Before, Dangling: moved.Dangling,
		Copied: r.Totals.Descriptors[copy.Copied], Reused: r.Totals.Descriptors[copy.Reused],
		BytesCopied: r.Totals.BytesCopied, BytesReused: r.Totals.BytesReused,
		Receipt: r, Notes: r.Notes,
	}
	switch {
	case r.Root.Digest == "":
		p.Status = ""
	case moved.Before.Target.Digest != r.Root.Digest:
	case p.Copied > 0:
		p.Status = Completed
	default:
		p.Status = UpToDate
	}
	return p
}

// otherPlatform says that a single image is for another platform than was asked for.
func otherPlatform(target ocispec.Descriptor, name ref.Reference, asked []ocispec.Platform) string {
	if image.IsList(target.MediaType) || len(asked) == 0 {
		return ""
	}
	actual := "none"
	if target.Platform != nil {
		actual = platform.Format(*target.Platform)
	}
	var others []string
	for _, p := range asked {
		if _, err := platform.Select(platform.Pull, &p, []ocispec.Descriptor{target}, platform.Options{}); err != nil {
			others = append(others, platform.Format(p))
		}
	}
	if len(others) == 0 {
		return ""
	}
	return fmt.Sprintf("image with reference %s was found but does not match the specified platform: wanted %s, actual: %s",
		name.Familiar(), strings.Join(others, ", "), actual)
}
