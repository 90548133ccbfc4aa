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
	return found, nil
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
	return len(f.References) == 0 ||
		slices.ContainsFunc(records, func(rec store.Record) bool { return !rec.Dangling() && f.reference(rec.Name) })
}

// times reports whether an image passes by when it was created.
func (f filter) times(created time.Time) bool {
	return (f.before.IsZero() || created.Before(f.before)) && (f.since.IsZero() || created.After(f.since))
}

// reference reports whether a name passes.
func (f filter) reference(name string) bool {
	if len(f.References) == 0 {
		return true
	}
	full, repository := familiar(name)
	return slices.ContainsFunc(f.References, func(pattern string) bool {
		matched, _ := path.Match(pattern, full) // check has looked at the pattern
		if !matched {
			matched, _ = path.Match(pattern, repository)
		}
		return matched
	})
}
