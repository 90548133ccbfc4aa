package service

import (
	"context"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/transport"
	local "github.com/dhowhq/dhow/transport/store"
)

// PushOptions say what Push sends of an image, and how. The zero value sends as much as
// there is.
type PushOptions struct {
	// Platforms are those whose instances are sent, each strictly as package platform has
	// it for Get; none: all that is there.
	Platforms []ocispec.Platform
	// NoReferrers leaves out the manifests that refer to what is pushed, and NoDigestTags
	// the tags sha256-<hex>.sig, .att and .sbom that are here.
	NoReferrers, NoDigestTags bool
	// Parallel and Events are those of copy.Options.
	Parallel int
	Events   func(copy.Event)
}

// PushedPart says which part of an image has been pushed.
type PushedPart string

// The parts that are pushed.
const (
	// PushedWhole: the image as it is, byte for byte.
	PushedWhole PushedPart = "whole"
	// PushedReduced: a list with fewer instances, and therefore another digest.
	PushedReduced PushedPart = "reduced list"
	// PushedOne: one manifest, in the place of the list that it is in.
	PushedOne PushedPart = "one manifest"
)

// Pushed is what a push has done.
type Pushed struct {
	// Record is what the reference was resolved to, and Image the part of it that was
	// meant: its target, or a list or manifest below.
	Record store.Record
	Image  ocispec.Descriptor
	// Part is what of Image was pushed, and Root what the destination's name points at
	// now. Their digests agree only if Part is PushedWhole.
	Part PushedPart
	Root ocispec.Descriptor
	// Left are the instances of Image that were not sent, with what attests them.
	// Of them Elsewhere are those that the destination had already.
	Left, Elsewhere []ocispec.Descriptor
	// Copied are the descriptors that were sent, Reused those that were there or were
	// mounted, with their bytes.
	Copied, Reused           int
	BytesCopied, BytesReused int64
	// Receipt has each of them.
	Receipt *copy.Receipt
	// Notes are what is worth knowing, a sentence each; that less than the image was
	// pushed is one.
	Notes []string
}

// Push sends an image, or the part of it that is there, to a destination, which has the
// name that it gets.
//
// Without platforms a list is pushed as it is if all of it is here, or if the destination
// has the rest. Else, if one image of it is here, that manifest is pushed in the place of
// the list; if there are several, a list of them, with what attests them. With platforms,
// one is that manifest, and several are a list of them. An instance that is not here with
// its config and all of its layers counts as not here. So whatever name is moved, all
// below it is at the destination.
//
// Which part it was, Part and the notes say. A list that is signed is not reduced:
// ErrFailedPrecondition. A platform that is not here is ErrNotFound with the text "was
// found but does not provide the specified platform", none at all the same with "any
// platform", and several manifests for one ErrConflict. What Resolve does not find is an
// error as there. Else errors are those of the destination, the store and copy.Image.
func (s *Service) Push(ctx context.Context, dst transport.Destination, reference string, opts PushOptions) (Pushed, error) {
	p, err := s.push(ctx, dst, reference, opts)
	if err != nil {
		return p, fmt.Errorf("push %.512q: %w", reference, err)
	}
	name := reference
	if !p.Record.Dangling() {
		name = p.Record.Name
	}
	s.emitMoved(ActionPush, name)
	return p, nil
}

func (s *Service) push(ctx context.Context, dst transport.Destination, reference string, opts PushOptions) (Pushed, error) {
	found, src, err := s.pushSource(ctx, reference)
	if err != nil {
		return Pushed{}, err
	}
	defer func() { s.closing(ctx, src) }()
	var plan pushPlan
	err = s.view(ctx, func(v *view) error {
		plan, err = v.planPush(reference, found.image, opts.Platforms)
		return err
	})
	if err == nil {
		err = plan.ask(ctx, dst)
	}
	if err == nil {
		err = plan.decide(reference)
	}
	p := Pushed{Record: found.record, Image: found.image, Part: plan.part, Notes: found.warnings}
	if err != nil {
		return p, err
	}
	from := &pushSource{Source: src, root: plan.root, absent: plan.absent}
	receipt, err := copy.Image(ctx, dst, from, copy.Options{
		Selection: plan.selection, NoReferrers: opts.NoReferrers, NoDigestTags: opts.NoDigestTags,
		Parallel: opts.Parallel, Events: opts.Events, Limits: s.opts.Limits, Logger: s.opts.Logger,
	})
	if receipt != nil {
		p.pushed(receipt, &plan)
	}
	return p, err
}

// pushSubject is what is to be pushed.
type pushSubject struct {
	record   store.Record
	image    ocispec.Descriptor
	warnings []string
}

// pushSubject resolves a reference.
func (s *Service) pushSubject(ctx context.Context, reference string) (p pushSubject, err error) {
	err = s.view(ctx, func(v *view) error {
		r, err := v.resolve(reference)
		if err != nil {
			return err
		}
		p.record, p.warnings = r.Record, r.Warnings
		p.image, err = v.documentOf(r)
		return err
	})
	return p, err
}

// pushSource resolves a reference, and opens what it means in a way that keeps all of it
// from being collected.
func (s *Service) pushSource(ctx context.Context, reference string) (pushSubject, *local.Source, error) {
	p, err := s.pushSubject(ctx, reference)
	if err != nil {
		return p, nil, err
	}
	var name local.Reference
	if !p.record.Dangling() {
		if name.Name, err = ref.Parse(p.record.Name); err != nil { // then no names are beside it
			s.opts.Logger.WarnContext(ctx, "the name of a record cannot be parsed", "error", err)
		}
	}
	src, err := local.SourceOf(ctx, p.image, name, local.Options{Store: s.store, Limits: s.opts.Limits, Logger: s.opts.Logger})
	if err != nil {
		return p, nil, err
	}
	if _, err := src.Root(ctx); err != nil {
		s.closing(ctx, src)
		return p, nil, err
	}
	return p, src, nil
}

// pushed notes what a copy to the destination has done.
func (p *Pushed) pushed(r *copy.Receipt, plan *pushPlan) {
	p.Root, p.Receipt = r.Root, r
	p.Notes = append(p.Notes, r.Notes...)
	d := r.Totals.Descriptors
	p.Copied, p.Reused = d[copy.Copied]+d[copy.Converted]+d[copy.Edited], d[copy.Reused]+d[copy.Mounted]
	p.BytesCopied, p.BytesReused = r.Totals.BytesCopied, r.Totals.BytesReused
	p.Left, p.Elsewhere = plan.left(), plan.elsewhere
	if note := plan.note(r.Root); note != "" && r.Root.Digest != "" {
		became := fmt.Sprintf("%s %s became %s", image.RoleIndex, p.Image.Digest, r.Root.Digest) // as the copy has it
		p.Notes = append(slices.DeleteFunc(p.Notes, func(other string) bool { return other == became }), note)
	}
}

// pushSource is a source of what is to be pushed: a part of an image that may be whole
// only without some manifests.
type pushSource struct {
	*local.Source
	root   ocispec.Descriptor
	absent map[digest.Digest]bool
}
