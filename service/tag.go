package service

import (
	"context"
	"fmt"
	"maps"
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
	to, err := parseTag(name)
	if err != nil {
		return Tagged{}, err
	}
	var done Tagged
	err = s.again(ctx, func() error {
		var move store.Move
		err := s.view(ctx, func(v *view) (err error) {
			done, move, err = v.planTag(reference, to)
			return err
		})
		if err != nil || done.Before.Target.Digest == done.Target.Digest {
			return err
		}
		moved, err := s.move(ctx, move)
		if err == nil {
			done.Before, done.Dangling = moved[0].Before, moved[0].Dangling
		}
		return err
	})
	if err != nil {
		return Tagged{}, fmt.Errorf("tag %.256q as %s: %w", reference, to.Familiar(), err)
	}
	s.emit(Event{Action: ActionTag, ID: string(done.Target.Digest), Name: to.Familiar()})
	return done, nil
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

// planTag decides what a name is to point at.
func (v *view) planTag(reference string, to ref.Reference) (Tagged, store.Move, error) {
	r, err := v.resolve(reference)
	if err != nil {
		return Tagged{}, store.Move{}, err
	}
	target, err := v.nameable(r)
	if err != nil {
		return Tagged{}, store.Move{}, err
	}
	done := Tagged{Name: to.String(), Target: target, Warnings: r.Warnings}
	done.Before, err = v.Get(done.Name)
	if err != nil && !errdefs.IsNotFound(err) {
		return Tagged{}, store.Move{}, err
	}
	move := store.Move{Name: done.Name, To: target, Labels: map[string]string{}}
	move.If = store.Condition{Absent: err != nil, Digest: done.Before.Target.Digest}
	if target.Digest == r.Record.Target.Digest {
		maps.Copy(move.Labels, r.Record.Labels)
	}
	return done, move, nil
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
