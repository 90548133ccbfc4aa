package service

import (
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/store"
)

// Details are what is known of an image beside its config.
type Details struct {
	// Driver is the name of the store's engine.
	Driver string
	// References are what the image is called: the names of its records, in their
	// order, then REPOSITORY@ID for each repository that has a tag of it. Names that
	// cannot be parsed are left out, and logged.
	References []ref.Reference
	// Size is that of the chosen part, as Size returns it; where none was chosen, that
	// of everything of the image that is there, each blob once.
	Size int64
	// Updated is when one of its records last moved.
	Updated time.Time
	// Instances are all manifests, those that are not there too, and the lists that are
	// not.
	Instances []Instance
}

// details returns the details of what was found, and of what was chosen from it; nil:
// nothing.
func (v *view) details(sub *subject, chosen *Instance) (*Details, error) {
	target := sub.Record.Target.Digest
	records, err := v.Target(target)
	if err != nil {
		return nil, fmt.Errorf("records of %s: %w", target, err)
	}
	d := &Details{Driver: v.s.opts.Driver, References: v.references(records), Instances: v.instances(sub.graph)}
	for _, rec := range records {
		d.Updated = newest(d.Updated, rec.Updated)
	}
	if chosen != nil {
		d.Size = sub.graph.sum(chosen)
	} else {
		d.Size = sub.graph.present()
	}
	return d, nil
}

// references returns what the records of a target call it.
func (v *view) references(records []store.Record) []ref.Reference {
	var named, digested []ref.Reference
	for _, rec := range records {
		if rec.Dangling() {
			if len(records) > 1 {
				v.s.opts.Logger.Warn("a dangling record beside others", "target", rec.Target.Digest)
			}
			continue
		}
		name, err := ref.Parse(rec.Name)
		if err != nil {
			v.s.opts.Logger.Warn("the name of a record cannot be parsed, and is left out", "error", err)
			continue
		}
		named = append(named, name)
		if name.Tag() == "" {
			continue
		}
		if with, ok := digestedAs(name, rec.Target.Digest); ok && !slices.Contains(digested, with) {
			digested = append(digested, with)
		}
	}
	for _, with := range digested {
		if !slices.Contains(named, with) {
			named = append(named, with)
		}
	}
	return named
}

// digestedAs returns REPOSITORY@DIGEST.
func digestedAs(name ref.Reference, d digest.Digest) (ref.Reference, bool) {
	repository, err := ref.Parse(name.Name())
	if err != nil {
		return ref.Reference{}, false
	}
	with, err := repository.WithDigest(d)
	return with, err == nil
}
