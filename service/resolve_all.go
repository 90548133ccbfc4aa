package service

import (
	"context"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/store"
)

// All is everything that a reference can be about.
type All struct {
	// Resolution is what the reference means. Its Record is one of Records.
	Resolution
	// Named tells that Record has exactly the name that the reference gives, and was not
	// found by a digest.
	Named bool
	// Records are all records that point at the target, in the order of their keys:
	// never none.
	Records []store.Record
}

// ResolveAll finds the record of a name, if there is one, and all records of its target. It
// takes what Resolve does, and fails as that does. But NAME:TAG@DIGEST follows the name:
// where there is a record of it, its target counts, and Warnings say so if that is not the
// digest, or what has it; where there is none, the digest counts.
func (s *Service) ResolveAll(ctx context.Context, reference string) (All, error) {
	var all All
	err := s.view(ctx, func(v *view) (err error) {
		all, err = v.resolveAll(reference)
		return err
	})
	return all, err
}

// resolveAll is ResolveAll in a view.
func (v *view) resolveAll(text string) (All, error) {
	q, err := parseQuery(text)
	if err != nil {
		return All{}, err
	}
	all, err := v.findAll(q)
	if err != nil {
		return All{}, err
	}
	if all.Records, err = v.Target(all.Record.Target.Digest); err != nil {
		return All{}, fmt.Errorf("resolve %.256q: %w", text, err)
	}
	return all, nil
}

// findAll finds the record of a reference, by its name if it has one.
func (v *view) findAll(q query) (All, error) {
	if !q.named() || q.digest == "" {
		r, err := v.find(q)
		return All{Resolution: r, Named: r.Matched == ByName}, err
	}
	for _, name := range exactNames(q.name) {
		rec, err := v.Get(name)
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return All{}, fmt.Errorf("resolve %.256q: %w", q.text, err)
		}
		all := All{Resolution: Resolution{Record: rec, Matched: ByName, Digest: rec.Target.Digest}, Named: true}
		all.Warnings, err = v.elsewhere(q, rec)
		return all, err
	}
	r, err := v.byDigest(q)
	return All{Resolution: r}, err
}

// elsewhere says that a name does not point at the digest beside it, nor at what has it.
func (v *view) elsewhere(q query, rec store.Record) ([]string, error) {
	if rec.Target.Digest == q.digest {
		return nil, nil
	}
	records, err := v.Containing(q.digest)
	if err != nil && !errdefs.IsNotImplemented(err) {
		return nil, fmt.Errorf("resolve %.256q: %w", q.text, err)
	}
	if slices.ContainsFunc(records, func(other store.Record) bool { return other.Key() == rec.Key() }) {
		return nil, nil
	}
	return []string{fmt.Sprintf("%s points at %s, and not at %s, which is not looked at", Familiar(rec), rec.Target.Digest, q.digest)}, nil
}
