package service

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/platform"
	"github.com/dhowhq/dhow/store"
)

// ListOptions choose what List returns. The zero value is all images but those that are
// there for another one to be built upon.
type ListOptions struct {
	// Intermediate lists dangling images too upon which another one was built.
	Intermediate bool
	// Filter leaves images out.
	Filter Filter
	// Shared asks for Summary.Shared.
	Shared bool
	// Labels asks for Summary.Labels, for which a config has to be read for each image.
	Labels bool
}

// Summary is what a list of images shows of one.
type Summary struct {
	// ID is the digest of Target.
	ID     digest.Digest
	Target ocispec.Descriptor
	// Names are those of the records, in order; none for a dangling image.
	Names []string
	// Created is when the preferred instance was, as its config has it; Updated when a
	// record last moved. Zero is not known.
	Created, Updated time.Time
	// Preferred is the position in Instances of what Get returns where no platform is
	// asked for; -1 where it returns none.
	Preferred int
	// Instances are all manifests, those that are not there too, and the lists that are
	// not. They are shared with other answers, and must not be changed.
	Instances []Instance
	// Size is that of everything of the image that is there, each blob once, in bytes;
	// Shared how much of it other images have too, or -1 where it was not asked for.
	Size, Shared int64
	// Labels are those of the config of the preferred instance. They are data from the
	// image.
	Labels map[string]string

	config digest.Digest // of the preferred instance
}

// List returns the images, each once however many names it has: the last created first,
// then by name. An image of which nothing is there but its target is listed too. A filter
// that names an unknown image fails as Resolve does.
func (s *Service) List(ctx context.Context, opts ListOptions) ([]Summary, error) {
	if err := opts.Filter.check(); err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	var all []Summary
	err := s.view(ctx, func(v *view) (err error) {
		all, err = v.list(opts)
		return err
	})
	if err == nil && (opts.Labels || opts.Filter.needsLabels()) {
		all, err = s.labelled(ctx, all, opts)
	}
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	slices.SortFunc(all, func(a, b Summary) int {
		if c := b.Created.Compare(a.Created); c != 0 {
			return c
		}
		if c := slices.Compare(a.Names, b.Names); c != 0 {
			return c
		}
		return strings.Compare(string(a.ID), string(b.ID))
	})
	return all, nil
}

// Count returns the number of images: of different targets that records have.
func (s *Service) Count(ctx context.Context) (int, error) {
	n := 0
	err := s.view(ctx, func(v *view) error {
		groups, err := v.grouped()
		n = len(groups)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("count images: %w", err)
	}
	return n, nil
}

// listPage is how many records are read at once.
const listPage = 1024

// grouped returns all records by their targets, in the order of the first of each.
func (v *view) grouped() ([][]store.Record, error) {
	var groups [][]store.Record
	at := map[digest.Digest]int{}
	for after := ""; ; {
		if err := v.ctx.Err(); err != nil {
			return nil, err
		}
		records, err := v.NameReader.List(after, listPage)
		if err != nil {
			return nil, err
		}
		for i, rec := range records {
			n, there := at[rec.Target.Digest]
			if !there {
				at[rec.Target.Digest] = len(groups)
				groups = append(groups, records[i:i+1:i+1])
				continue
			}
			groups[n] = append(groups[n], rec)
		}
		if len(records) < listPage {
			return groups, nil
		}
		after = records[listPage-1].Key()
	}
}

// list is List in a view, but for what labels say.
func (v *view) list(opts ListOptions) ([]Summary, error) {
	groups, err := v.grouped()
	if err != nil {
		return nil, err
	}
	f, err := v.filter(opts.Filter)
	if err != nil {
		return nil, err
	}
	matcher, err := platform.Matcher(platform.Get, nil, platform.Options{Host: v.s.opts.Host})
	if err != nil {
		return nil, err
	}
	var uses sharing
	if opts.Shared {
		uses = sharing{}
	}
	all := make([]Summary, 0, len(groups))
	if err := v.expect(groups, f, opts); err != nil {
		return nil, err
	}
	g := &graph{}
	for i, records := range groups {
		if i%64 == 0 && v.ctx.Err() != nil {
			return nil, v.ctx.Err()
		}
		if uses == nil && !f.names(records) {
			continue
		}
		o, err := v.outlined(g, records[0].Target, matcher)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", records[0].Target.Digest, err)
		}
		sum := summary(o, records)
		uses.add(o)
		keep, err := v.shown(f, records, &sum, opts)
		if err != nil {
			return nil, err
		}
		if keep {
			all = append(all, sum)
		}
	}
	uses.tell(all)
	return all, nil
}

// summary tells about an image.
func summary(o *outline, records []store.Record) Summary {
	sum := Summary{
		ID: records[0].Target.Digest, Target: records[0].Target,
		Instances: o.instances, Preferred: o.preferred, Size: o.size, Shared: -1,
	}
	for _, rec := range records {
		if !rec.Dangling() {
			sum.Names = append(sum.Names, rec.Name)
		}
		sum.Updated = newest(sum.Updated, rec.Updated)
	}
	if sum.Preferred >= 0 {
		inst := &sum.Instances[sum.Preferred]
		sum.Created, sum.config = inst.Created, inst.Config
	}
	return sum
}

// matcher is what package platform matches by.
type matcher interface {
	Match(p ocispec.Platform) bool
	Less(a, b ocispec.Platform) bool
}

// preferred returns the position of what Get returns where no platform is asked for, or -1.
func preferred(instances []Instance, m matcher) int {
	found, _ := getRule(platform.Get).choose(instances, m)
	return found
}

// shown reports whether an image passes the filters that need no labels, and leaves those
// of its names which do.
func (v *view) shown(f filter, records []store.Record, sum *Summary, opts ListOptions) (bool, error) {
	if !f.names(records) || !f.times(sum.Created) {
		return false, nil
	}
	if len(sum.Names) == 0 && !opts.Intermediate {
		below, err := v.lineage(sum.Target)
		if err != nil {
			return false, err
		}
		under, err := v.builtUpon(below, map[digest.Digest]bool{sum.ID: true})
		return !under, err
	}
	sum.Names = slices.DeleteFunc(sum.Names, func(name string) bool { return !f.record(store.Record{Name: name}) })
	return true, nil
}

// labelled adds the labels, and leaves out what they are filtered by.
func (s *Service) labelled(ctx context.Context, all []Summary, opts ListOptions) ([]Summary, error) {
	var kept []Summary
	for _, sum := range all {
		var found labels
		if sum.config != "" {
			read, err := s.readLabels(ctx, sum.config)
			if err != nil {
				return nil, err
			}
			if read != nil {
				found = *read
			}
		}
		if !opts.Filter.labels(found) {
			continue
		}
		if opts.Labels {
			sum.Labels = found
		}
		kept = append(kept, sum)
	}
	return kept, nil
}
