package service

import (
	"context"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/platform"
	"github.com/dhowhq/dhow/store"
)

// removePlatforms is Remove for platforms.
func (s *Service) removePlatforms(ctx context.Context, reference string, opts RemoveOptions) (Removed, error) {
	dropper, ok := s.store.(store.Dropper)
	if !ok { // said first: to force it would not help
		return Removed{}, fmt.Errorf("remove a platform of %.256q: the store cannot take out a part of an image: %w", reference, errdefs.ErrNotImplemented)
	}
	if !opts.Force {
		return Removed{}, fmt.Errorf("%s: %w", "Content will be removed from all images referencing this variant. Use --force to force delete", errdefs.ErrInvalidArgument)
	}
	var all All
	var parts []*node
	err := s.again(ctx, func() error {
		err := s.view(ctx, func(v *view) (err error) {
			all, parts, err = v.planPlatforms(reference, opts.Platforms)
			return err
		})
		if err == nil {
			err = s.drop(ctx, dropper, all.Record, parts)
		}
		return err
	})
	if err != nil {
		return Removed{}, fmt.Errorf("remove %.256q: %w", reference, err)
	}
	done := Removed{Warnings: all.Warnings}
	for _, n := range parts {
		done.Removals = append(done.Removals, Removal{Deleted: n.desc.Digest})
		done.Reclaimed += n.facts.Size
		s.emit(Event{Action: ActionDelete, ID: string(n.desc.Digest), Name: Familiar(all.Record)})
	}
	collected, err := store.Collect(ctx, s.store)
	done.Reclaimed += collected.Bytes
	if err != nil {
		return done, fmt.Errorf("remove %.256q: %w", reference, err)
	}
	return done, nil
}

// drop drops parts. What is gone meanwhile is a staleError, and what is needed a conflict.
func (s *Service) drop(ctx context.Context, dropper store.Dropper, rec store.Record, parts []*node) error {
	digests := make([]digest.Digest, len(parts))
	for i, n := range parts {
		digests[i] = n.desc.Digest
	}
	err := dropper.Drop(ctx, rec.Target.Digest, digests...)
	if errdefs.IsNotFound(err) {
		return staleError{err}
	}
	if errdefs.IsFailedPrecondition(err) && !s.degraded() {
		// The store's kind is not handed on: an error has one.
		return conflictOf("a platform of "+Familiar(rec), "cannot be forced", err.Error())
	}
	return err
}

// planPlatforms finds the manifests of platforms, and the attestations of these, each once.
func (v *view) planPlatforms(reference string, asked []ocispec.Platform) (All, []*node, error) {
	all, err := v.resolveAll(reference)
	if err != nil {
		return All{}, nil, err
	}
	if err := v.checkWhole(all); err != nil {
		return All{}, nil, err
	}
	g, err := v.graph(all.Record.Target)
	if err != nil {
		return All{}, nil, err
	}
	var parts []*node
	for _, p := range asked {
		found, err := g.platformParts(p)
		if err != nil {
			return All{}, nil, fmt.Errorf("failed to delete platform %s for image %s: %w", platform.Format(p), Familiar(all.Record), err)
		}
		for _, n := range found {
			if n == g.nodes[0] {
				return All{}, nil, conflict(n.desc.Digest, "cannot be forced", "%s is all of %s: remove that", platform.Format(p), Familiar(all.Record))
			}
			if !slices.Contains(parts, n) {
				parts = append(parts, n)
			}
		}
	}
	return all, parts, nil
}

// platformParts returns the manifest that is present and serves a platform best, and its
// attestations that are.
func (g *graph) platformParts(asked ocispec.Platform) ([]*node, error) {
	var nodes []*node
	var descs []ocispec.Descriptor
	for _, inst := range g.below(g.nodes[0]) {
		if inst.Kind != KindImage || inst.Presence == Absent {
			continue
		}
		desc := inst.Descriptor
		desc.Platform = inst.Platform
		nodes, descs = append(nodes, g.find(desc.Digest)), append(descs, desc)
	}
	best, err := platform.Select(platform.Get, &asked, descs, platform.Options{})
	if err != nil {
		return nil, err
	}
	found := []*node{nodes[best[0]]}
	for _, n := range g.nodes {
		if n.role == image.RoleAttestation && n.facts != nil && n.desc.Annotations[image.AnnotationReferenceDigest] == string(found[0].desc.Digest) {
			found = append(found, n)
		}
	}
	return found, nil
}
