package service

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/platform"
	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/store"
)

// Filter leaves images out of a list. The zero value leaves none; an image must pass all
// fields that are set.
type Filter struct {
	// Dangling keeps images without a name, or if false those with one; nil: both.
	Dangling *bool
	// Labels keeps images of which the preferred instance's config has all of these
	// labels, each a key or KEY=VALUE.
	Labels []string
	// Before and Since keep images that were created before, or after, all of the images
	// of these references were.
	Before, Since []string
	// Until keeps images that were created before that time, if it is not zero. An image
	// that does not say when counts as older than all.
	Until time.Time
	// References keeps images with a name that one of these patterns matches, and of the
	// names those, with * ? [] as package path has them: the familiar name with or
	// without its tag. A dangling image has none.
	References []string
	// Images keeps what one of these means, and of the names those: a name in any form or
	// a repository, which means all names in it; such a pattern, of the familiar or of the
	// full name; or a digest, or NAME@DIGEST, with what Resolve finds for it: all images
	// that have it, and nothing where that fails with ErrNotFound.
	Images []string
}

// ParseFilter reads filters as people write them, KEY=VALUE: dangling, label, before,
// since, until and reference. Until is a time (RFC 3339, or a date), seconds since 1970, or
// a duration before now. Several of a key are several values, but until and dangling, of
// which the last counts. Anything else is ErrInvalidArgument.
func ParseFilter(filters []string, now time.Time) (Filter, error) {
	var f Filter
	for _, text := range filters {
		key, value, ok := strings.Cut(text, "=")
		if !ok || value == "" {
			return Filter{}, fmt.Errorf("invalid filter %.256q: it is not KEY=VALUE: %w", text, errdefs.ErrInvalidArgument)
		}
		if err := f.set(key, value, now); err != nil {
			return Filter{}, err
		}
	}
	return f, f.check()
}

func (f *Filter) set(key, value string, now time.Time) error {
	var err error
	switch key {
	case "dangling":
		var dangling bool
		dangling, err = strconv.ParseBool(value)
		f.Dangling = &dangling
	case "label":
		f.Labels = append(f.Labels, value)
	case "before":
		f.Before = append(f.Before, value)
	case "since":
		f.Since = append(f.Since, value)
	case "until":
		f.Until, err = parseTime(value, now)
	case "reference":
		f.References = append(f.References, value)
	default:
		return fmt.Errorf("invalid filter %.256q: %w", key, errdefs.ErrInvalidArgument)
	}
	if err != nil {
		return fmt.Errorf("invalid filter %s=%.256q: %w: %w", key, value, err, errdefs.ErrInvalidArgument)
	}
	return nil
}

var errNoTime = errors.New("it is no time and no duration")

// parseTime reads a point in time.
func parseTime(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(-d), nil
	}
	seconds, nanos, _ := strings.Cut(text, ".")
	s, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return time.Time{}, errNoTime
	}
	n, err := strconv.ParseUint((nanos + "000000000")[:9], 10, 32)
	if err != nil {
		return time.Time{}, errNoTime
	}
	return time.Unix(s, int64(n)).UTC(), nil
}

// check checks what can be wrong with a filter by itself.
func (f Filter) check() error {
	for _, pattern := range f.References {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("invalid filter reference=%.256q: %w: %w", pattern, err, errdefs.ErrInvalidArgument)
		}
	}
	for _, pattern := range f.Images {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("invalid pattern %.256q: %w: %w", pattern, err, errdefs.ErrInvalidArgument)
		}
	}
	return nil
}

func (f Filter) needsLabels() bool { return len(f.Labels) > 0 }

// labels reports whether an image with these labels passes.
func (f Filter) labels(found labels) bool {
	return !slices.ContainsFunc(f.Labels, func(want string) bool { return !found.have(want) })
}

// filter is a Filter with the images that it names found.
type filter struct {
	Filter
	before, since time.Time // zero: any
	// Of Images: the names in their normal form, everything without a digest as a
	// pattern, and the keys of the records that have one of the digests.
	exact, patterns []string
	having          map[string]bool
}

// filter finds the images that a filter names.
func (v *view) filter(f Filter) (filter, error) {
	found := filter{Filter: f, before: f.Until}
	for _, reference := range f.Before {
		created, err := v.created(reference)
		if err != nil {
			return filter{}, err
		}
		if found.before.IsZero() || created.Before(found.before) {
			found.before = created
		}
	}
	for _, reference := range f.Since {
		created, err := v.created(reference)
		if err != nil {
			return filter{}, err
		}
		found.since = newest(found.since, created)
	}
	err := v.findImages(&found)
	return found, err
}

// findImages finds what Images means.
func (v *view) findImages(f *filter) error {
	f.having = map[string]bool{}
	for _, text := range f.Images {
		q, err := parseQuery(text)
		if err != nil || q.digest == "" {
			f.patterns = append(f.patterns, text)
			if name, err := ref.Parse(text); err == nil { // else it is a pattern only
				f.exact = append(f.exact, name.String())
			}
			continue
		}
		targets, err := v.Target(q.digest)
		if errdefs.IsNotImplemented(err) { // an algorithm that the engine cannot hold
			continue
		}
		var records []store.Record
		if err == nil {
			records, _, err = v.having(q, targets)
		}
		if err != nil {
			return fmt.Errorf("%.256q: %w", text, err)
		}
		for _, rec := range records {
			f.having[rec.Key()] = true
		}
	}
	return nil
}

// created returns when what a reference means was created. That it does not say is
// ErrNotFound.
func (v *view) created(reference string) (time.Time, error) {
	sub, err := v.subject(reference)
	if err != nil {
		return time.Time{}, err
	}
	inst, err := v.best(sub, getRule(platform.Get), nil)
	if err != nil {
		return time.Time{}, err
	}
	if inst.Created.IsZero() {
		return time.Time{}, fmt.Errorf("image %.256q does not say when it was created: %w", reference, errdefs.ErrNotFound)
	}
	return inst.Created, nil
}

// names reports whether an image passes by the names that it has.
func (f filter) names(records []store.Record) bool {
	dangling := !slices.ContainsFunc(records, func(rec store.Record) bool { return !rec.Dangling() })
	if f.Dangling != nil && *f.Dangling != dangling {
		return false
	}
	return slices.ContainsFunc(records, f.record)
}

// times reports whether an image passes by when it was created.
func (f filter) times(created time.Time) bool {
	return (f.before.IsZero() || created.Before(f.before)) && (f.since.IsZero() || created.After(f.since))
}

// record reports whether a record passes by its name, or by what it points at.
func (f filter) record(rec store.Record) bool {
	if len(f.References) == 0 && len(f.Images) == 0 {
		return true
	}
	meant := len(f.Images) == 0 || f.having[rec.Key()]
	if rec.Dangling() {
		return len(f.References) == 0 && meant
	}
	n := formsOf(rec.Name)
	return (len(f.References) == 0 || matchAny(f.References, n.familiar, n.familiarRepository)) &&
		(meant || slices.Contains(f.exact, rec.Name) || slices.Contains(f.exact, n.repository) ||
			matchAny(f.patterns, n.familiar, n.familiarRepository, rec.Name, n.repository))
}

// matchAny reports whether one of the patterns, which check has looked at, matches one of
// the names.
func matchAny(patterns []string, names ...string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		return slices.ContainsFunc(names, func(name string) bool {
			matched, _ := path.Match(pattern, name)
			return matched
		})
	})
}

// forms are those in which people write the name of a record, or a repository for all its
// names.
type forms struct {
	familiar, familiarRepository, repository string
}

// formsOf returns the forms of a name, which they are where it cannot be parsed.
func formsOf(name string) forms {
	parsed, err := ref.Parse(name)
	if err != nil {
		return forms{name, name, name}
	}
	f := forms{familiar: parsed.Familiar(), repository: parsed.Name()}
	if only, err := ref.Parse(f.repository); err == nil {
		f.familiarRepository = only.Familiar()
	}
	return f
}
