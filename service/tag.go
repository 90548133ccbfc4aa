package service

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/store"
)

// Tagged says what Tag has done.
type Tagged struct {
	// Name is the name in its normal form, and Target what it points at now.
	Name   string
	Target ocispec.Descriptor
	// Before is what it pointed at before; the zero Record if it is new, and as it was if
	// there was nothing to change.
	Before store.Record
	// Dangling tells that the target of Before has become dangling.
	Dangling bool
	// Warnings are those of Resolve.
	Warnings []string
}

// Tag gives what a reference means another name, wherever that points at now; without a
// tag it gets latest. The reference is one of Resolve. If it means a list or manifest below
// a target, that gets the name, and for a config the manifest that has it; one that is not
// there is ErrNotFound. The labels of the record go with the whole of it.
//
// A name that is none, has a digest, or is that of a digest's algorithm, is
// ErrInvalidArgument.
func (s *Service) Tag(ctx context.Context, reference, name string) (Tagged, error) {
	all, err := s.TagAll(ctx, reference, name)
	if err != nil {
		return Tagged{}, err
	}
	return all[0], nil
}

// TagAll is Tag for several names, all or none of which are given. What it has done is in
// their order; one that was given already, as one that is there twice, is as it was.
func (s *Service) TagAll(ctx context.Context, reference string, names ...string) ([]Tagged, error) {
	to := make([]ref.Reference, len(names))
	for i, name := range names {
		var err error
		if to[i], err = parseTag(name); err != nil {
			return nil, fmt.Errorf("tag %.256q as %.256q: %w", reference, name, err)
		}
	}
	var plan tagging
	err := s.again(ctx, func() error {
		err := s.view(ctx, func(v *view) (err error) {
			plan, err = v.planTags(reference, to)
			return err
		})
		if err != nil || len(plan.moves) == 0 {
			return err
		}
		moved, err := s.move(ctx, plan.moves...)
		for i, m := range moved {
			done := &plan.done[plan.of[i]]
			done.Before, done.Dangling = m.Before, m.Dangling
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("tag %.256q as %s: %w", reference, familiarNames(to), err)
	}
	for i, done := range plan.done {
		s.emit(Event{Action: ActionTag, ID: string(done.Target.Digest), Name: to[i].Familiar()})
	}
	return plan.done, nil
}

// familiarNames joins the familiar forms of the first of many names.
func familiarNames(all []ref.Reference) string {
	texts := make([]string, len(all))
	for i, name := range all {
		texts[i] = name.Familiar()
	}
	return some(texts)
}

// parseTag reads a name that is to be given.
func parseTag(name string) (ref.Reference, error) {
	to, err := ref.Parse(name)
	if err != nil {
		return to, err
	}
	if to.Digest() != "" {
		return to, fmt.Errorf("refusing to create a tag with a digest reference: %.512q: %w", name, errdefs.ErrInvalidArgument)
	}
	if alg, ok := strings.CutPrefix(to.Name(), "docker.io/library/"); ok && digest.Algorithm(alg).Available() {
		return to, fmt.Errorf("refusing to create an ambiguous tag using digest algorithm as name: %.512q: %w", name, errdefs.ErrInvalidArgument)
	}
	return to.Tagged(), nil
}

// tagging is what TagAll has decided.
type tagging struct {
	done  []Tagged // one for each name
	moves []store.Move
	of    []int // the position in done of each move
}

// planTags decides what names are to point at.
func (v *view) planTags(reference string, to []ref.Reference) (tagging, error) {
	r, err := v.resolve(reference)
	if err != nil {
		return tagging{}, err
	}
	target, err := v.nameable(r)
	if err != nil {
		return tagging{}, err
	}
	var plan tagging
	for i, name := range to {
		before, err := v.Get(name.String())
		if err != nil && !errdefs.IsNotFound(err) {
			return tagging{}, err
		}
		plan.done = append(plan.done, Tagged{Name: name.String(), Target: target, Before: before, Warnings: r.Warnings})
		if before.Target.Digest == target.Digest || slices.Contains(to[:i], name) {
			continue
		}
		move := store.Move{Name: name.String(), To: target, Labels: map[string]string{}}
		move.If = store.Condition{Absent: err != nil, Digest: before.Target.Digest}
		if target.Digest == r.Record.Target.Digest {
			maps.Copy(move.Labels, r.Record.Labels)
		}
		plan.moves, plan.of = append(plan.moves, move), append(plan.of, i)
	}
	return plan, nil
}

// nameable returns what a reference means as a record has it: what a list says of one of
// its entries need not be so.
func (v *view) nameable(r Resolution) (ocispec.Descriptor, error) {
	desc, err := v.documentOf(r)
	if err != nil || desc.Digest == r.Record.Target.Digest {
		return desc, err
	}
	facts, err := v.Facts(desc.Digest)
	return ocispec.Descriptor{MediaType: facts.MediaType, Digest: desc.Digest, Size: facts.Size}, err
}
