package service

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/store"
)

// Familiar returns what people call a record: the short form of its name, the name itself
// where that cannot be parsed, or for a dangling record the digest of its target.
func Familiar(r store.Record) string {
	if r.Dangling() {
		return string(r.Target.Digest)
	}
	name, err := ref.Parse(r.Name)
	if err != nil {
		return r.Name
	}
	return name.Familiar()
}

// Repository returns the records of a repository's tags, in the order of their names. The
// repository is given in any form, without tag and digest, else it is ErrInvalidArgument.
// One that nobody has heard of has none.
func (s *Service) Repository(ctx context.Context, name string) ([]store.Record, error) {
	var records []store.Record
	err := s.view(ctx, func(v *view) (err error) {
		records, err = v.repository(name)
		return err
	})
	return records, err
}

// repository is Repository in a view.
func (v *view) repository(name string) ([]store.Record, error) {
	wanted, err := ref.Parse(name)
	if err != nil {
		return nil, err
	}
	if !wanted.IsNameOnly() {
		return nil, fmt.Errorf("repository %.512q has a tag or digest: %w", name, errdefs.ErrInvalidArgument)
	}
	records, err := v.Repository(wanted.Name())
	if err != nil {
		return nil, fmt.Errorf("list repository %s: %w", wanted.Name(), err)
	}
	return slices.DeleteFunc(records, func(rec store.Record) bool {
		found, err := ref.Parse(rec.Name)
		return err != nil || found.Digest() != ""
	}), nil
}

// Dangling returns the records that have no name any more, in the order of their digests.
func (s *Service) Dangling(ctx context.Context) ([]store.Record, error) {
	var records []store.Record
	err := s.view(ctx, func(v *view) (err error) {
		records, err = v.dangling()
		return err
	})
	return records, err
}

// page is how many records are read at once.
const page = 256

// dangling is Dangling in a view.
func (v *view) dangling() ([]store.Record, error) {
	all := []store.Record{}
	err := v.eachRecord(func(rec store.Record) error {
		if !rec.Dangling() {
			return errEnough
		}
		all = append(all, rec)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list dangling records: %w", err)
	}
	return all, nil
}

// errEnough ends eachRecord without an error.
var errEnough = errors.New("no more records are wanted")

// eachRecord calls f with all records, in the order of their keys: the dangling ones first.
func (v *view) eachRecord(f func(store.Record) error) error {
	for after := ""; ; {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		records, err := v.List(after, page)
		if err != nil {
			return err
		}
		for _, rec := range records {
			if err := f(rec); err != nil {
				if errors.Is(err, errEnough) {
					return nil
				}
				return err
			}
			after = rec.Key()
		}
		if len(records) < page {
			return nil
		}
	}
}

// Label returns the value of a label across the records that point at a digest: those that
// do not have it do not count, and none is the empty string. Two different values are
// ErrConflict, and the error has both.
func (s *Service) Label(ctx context.Context, target digest.Digest, key string) (string, error) {
	var value string
	err := s.view(ctx, func(v *view) (err error) {
		value, err = v.label(target, key)
		return err
	})
	return value, err
}

// label is Label in a view.
func (v *view) label(target digest.Digest, key string) (string, error) {
	records, err := v.Target(target)
	if err != nil {
		return "", fmt.Errorf("label %.256q of %.256q: %w", key, target, err)
	}
	var of *store.Record
	for i, rec := range records {
		value, ok := rec.Labels[key]
		switch {
		case !ok:
		case of == nil:
			of = &records[i]
		case of.Labels[key] != value:
			return "", fmt.Errorf("label %.256q of %s: conflicting values %.256q of %s and %.256q of %s: %w",
				key, target, of.Labels[key], Familiar(*of), value, Familiar(rec), errdefs.ErrConflict)
		}
	}
	if of == nil {
		return "", nil
	}
	return of.Labels[key], nil
}
