package service

import (
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/store"
)

// planRemoval decides what goes with a reference.
func (v *view) planRemoval(reference string, opts RemoveOptions) (removal, error) {
	q, err := parseQuery(reference)
	if err != nil {
		return removal{}, err
	}
	all, err := v.resolveAll(reference)
	if err != nil {
		return removal{}, err
	}
	if err := v.checkWhole(all); err != nil {
		return removal{}, err
	}
	var going []store.Record
	switch {
	case all.Named:
		going = v.sameReferences(all)
	case q.named() && !all.Short:
		going, err = v.inRepository(all, q.name, opts)
	default:
		going, err = all.Records, v.checkRepositories(all, opts)
	}
	if err != nil {
		return removal{}, err
	}
	return v.planGoing(all, going, opts)
}

// checkWhole checks that a reference means the whole of one image: its target, or the
// config of one that is a manifest.
func (v *view) checkWhole(all All) error {
	if all.Digest == all.Record.Target.Digest {
		return nil
	}
	records, err := v.Containing(all.Digest)
	if err != nil {
		return err
	}
	if others := alsoIn(all.Digest, records); len(others) > 0 {
		return conflict(all.Digest, "cannot be forced", "%s", others[0])
	}
	if all.Matched != ByConfig || !image.IsManifest(all.Record.Target.MediaType) {
		return conflict(all.Digest, "cannot be forced", "it is a part of %s: remove that, or the platform", Familiar(all.Record))
	}
	return nil
}

// conflict returns the error for what is not removed, in the words that clients know.
func conflict(d digest.Digest, force, format string, args ...any) error {
	return conflictOf(shortID(d), force, fmt.Sprintf(format, args...))
}

// conflictOf returns that error for what, whose kind is not said by its text once more.
func conflictOf(what, force, why string) error {
	return errdefs.ErrConflict.WithMessage(fmt.Sprintf("conflict: unable to delete %s (%s) - %s", what, force, why))
}

// shortID is what tables show of a digest.
func shortID(d digest.Digest) string { return d.Encoded()[:12] }

// sameReferences returns the records that go with a name: it, and where no other tag of
// its repository has the target also the repository's names with a digest.
func (v *view) sameReferences(all All) []store.Record {
	name, err := ref.Parse(all.Record.Name)
	if err != nil || name.Tag() == "" {
		return []store.Record{all.Record}
	}
	going := []store.Record{all.Record}
	for _, rec := range v.ofRepository(all.Records, name) {
		if rec.Name == all.Record.Name {
			continue
		}
		if other, err := ref.Parse(rec.Name); err == nil && other.Tag() != "" {
			return going[:1]
		}
		going = append(going, rec)
	}
	return going
}

// inRepository returns the records of a target in the repository of a name that has none.
func (v *view) inRepository(all All, name ref.Reference, opts RemoveOptions) ([]store.Record, error) {
	going := v.ofRepository(all.Records, name)
	if len(going) > 1 && !opts.Force {
		return nil, conflict(all.Digest, "must be forced", "it has %d names in %s", len(going), name.Name())
	}
	return going, nil
}

// checkRepositories checks that all names of a target are in one repository.
func (v *view) checkRepositories(all All, opts RemoveOptions) error {
	first := ""
	for _, rec := range all.Records {
		name, err := ref.Parse(rec.Name)
		if rec.Dangling() || err != nil || opts.Force {
			continue
		}
		if first != "" && name.Name() != first {
			return conflict(all.Record.Target.Digest, "must be forced", "image is referenced in multiple repositories")
		}
		first = name.Name()
	}
	return nil
}

// planGoing decides what goes with records of a target.
func (v *view) planGoing(all All, going []store.Record, opts RemoveOptions) (removal, error) {
	target := all.Record.Target
	plan := removal{target: target.Digest, warnings: all.Warnings}
	left := slices.DeleteFunc(slices.Clone(all.Records), func(rec store.Record) bool {
		return rec.Dangling() || slices.ContainsFunc(going, func(other store.Record) bool { return other.Key() == rec.Key() })
	})
	if len(left) > 0 {
		for _, rec := range going {
			plan.add(rec, false)
		}
		plan.gone = []digest.Digest{target.Digest} // should the others go at the same time
		return plan, nil
	}
	built, stays, err := v.builtWithout(target, map[digest.Digest]bool{})
	if err != nil {
		return removal{}, err
	}
	for _, rec := range all.Records {
		if stays && rec.Dangling() {
			return removal{}, conflict(target.Digest, "cannot be forced", "image has dependent child images")
		}
		plan.add(rec, stays)
	}
	if stays {
		return plan, nil
	}
	plan.gone = []digest.Digest{target.Digest}
	if opts.NoPrune {
		return plan, nil
	}
	err = v.planParents(&plan, built)
	return plan, err
}
