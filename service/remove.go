package service

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/store"
)

// RemoveOptions change what Remove does. The zero value is the default.
type RemoveOptions struct {
	// Force removes an image that has names in several repositories, by its ID or by
	// REPOSITORY@DIGEST all names that it has there, and platforms.
	Force bool
	// NoPrune keeps the dangling images that the image was built upon.
	NoPrune bool
	// Platforms removes these platforms of the image, and no name.
	Platforms []ocispec.Platform
}

// Removal is one thing that was removed. One of the two is set.
type Removal struct {
	// Untagged is the familiar name that is no more.
	Untagged string
	// Deleted is the digest of an image that is no more, nor is in another one; of
	// platforms, and of Prune, that of content.
	Deleted digest.Digest
}

// Removed says what Remove has done.
type Removed struct {
	// Removals are in the order in which they were done: names in theirs, then the
	// image, then the images that it was built upon, or for platforms the manifests.
	Removals []Removal
	// Reclaimed is how many bytes were freed, in this store and meanwhile.
	Reclaimed int64
	// Warnings are those of ResolveAll, and that an image which has no record any more
	// stays as a part of others.
	Warnings []string
}

// Remove removes a name, or with its last one the image, by a reference of ResolveAll:
//
//   - a name: it alone, as long as the target has others. With the last tag of a
//     repository go its names with the digest;
//   - REPOSITORY@DIGEST where no record has that name: the only name that the target has
//     in that repository;
//   - a digest, or the beginning of one: the image with all its names, of one repository
//     unless forced. It must be that of the target, or the config of one that is a manifest.
//
// What nothing else needs is collected before Remove returns; what another image, a lease
// or a reader needs stays. An image upon which another one was built, as their configs say,
// stays as a dangling one; unless NoPrune says otherwise dangling images go with the last
// one that was built upon them.
//
// What must be forced or cannot be is ErrConflict with the text "conflict: unable to delete".
// When the names have gone, and then something fails, Removed has what was done.
//
// Platforms are the best one present for each, by the strict match; the names and lists
// stay. They need Force, else it is ErrInvalidArgument; one that is not there is ErrNotFound,
// one that another image, a lease or a reader needs, or that is all of the image,
// ErrConflict, and then none goes. A store that is no store.Dropper is ErrNotImplemented.
func (s *Service) Remove(ctx context.Context, reference string, opts RemoveOptions) (Removed, error) {
	if len(opts.Platforms) > 0 {
		return s.removePlatforms(ctx, reference, opts)
	}
	var plan removal
	err := s.again(ctx, func() error {
		err := s.view(ctx, func(v *view) (err error) {
			plan, err = v.planRemoval(reference, opts)
			return err
		})
		if err == nil {
			_, err = s.move(ctx, plan.moves...)
		}
		return err
	})
	if err != nil {
		return Removed{}, fmt.Errorf("remove %.256q: %w", reference, err)
	}
	done, err := s.finish(ctx, plan)
	if err != nil {
		return done, fmt.Errorf("remove %.256q: %w", reference, err)
	}
	return done, nil
}

// removal is what Remove has decided.
type removal struct {
	target   digest.Digest
	moves    []store.Move
	names    []string        // familiar, that go
	gone     []digest.Digest // targets that may have no record then: the image, and what it was built upon
	warnings []string
}

// add has a record go. It becomes dangling unless forget says so.
func (p *removal) add(rec store.Record, dangles bool) {
	p.moves = append(p.moves, store.Move{Name: rec.Key(), If: store.Condition{Digest: rec.Target.Digest}, Forget: !dangles})
	if !rec.Dangling() {
		p.names = append(p.names, Familiar(rec))
	}
}

// finish tells what was removed, when names have moved, and collects what nobody needs.
func (s *Service) finish(ctx context.Context, plan removal) (Removed, error) {
	done := Removed{Warnings: plan.warnings}
	for _, name := range plan.names {
		done.Removals = append(done.Removals, Removal{Untagged: name})
		s.emit(Event{Action: ActionUntag, ID: string(plan.target), Name: name})
	}
	all, err := s.withoutRecords(ctx, plan.gone) // other names may have come or gone meanwhile
	if err != nil || len(all) == 0 {
		return done, err
	}
	for _, e := range all {
		if len(e.in) > 0 {
			done.Warnings = append(done.Warnings, fmt.Sprintf("%s stays: it is a part of %s", e.target, some(e.in)))
			continue
		}
		done.Removals = append(done.Removals, Removal{Deleted: e.target})
		s.emit(Event{Action: ActionDelete, ID: string(e.target), Name: string(e.target)})
	}
	collected, err := store.Collect(ctx, s.store)
	done.Reclaimed = collected.Bytes
	return done, err
}

// ended is a target that has no record any more, and the images that it is in nevertheless.
type ended struct {
	target digest.Digest
	in     []string // familiar names
}

// withoutRecords returns the targets that have no record now.
func (s *Service) withoutRecords(ctx context.Context, targets []digest.Digest) ([]ended, error) {
	var all []ended
	err := s.view(ctx, func(v *view) error {
		for _, d := range targets {
			records, err := v.Target(d)
			if err != nil {
				return err
			}
			if len(records) > 0 {
				continue
			}
			if records, err = v.Containing(d); err != nil {
				return err
			}
			e := ended{target: d}
			for _, rec := range records {
				e.in = append(e.in, Familiar(rec))
			}
			all = append(all, e)
		}
		return nil
	})
	return all, err
}
