package service

import (
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/store"
)

// lineage is what the configs of an image say of what was built upon what.
type lineage struct {
	configs []digest.Digest // of the image, present or not
	parents []digest.Digest // the configs that these say they were built upon
}

// lineage returns that of a target.
func (v *view) lineage(target ocispec.Descriptor) (lineage, error) {
	g, err := v.graph(target)
	if err != nil {
		return lineage{}, err
	}
	return g.lineage(), nil
}

func (g *graph) lineage() lineage {
	var l lineage
	for _, n := range g.nodes {
		if n.facts == nil || n.facts.Config == "" {
			continue
		}
		l.configs = append(l.configs, n.facts.Config)
		if config := g.find(n.facts.Config); config != nil && config.facts != nil && config.facts.Parent != "" {
			l.parents = append(l.parents, config.facts.Parent)
		}
	}
	return l
}

// builtUpon reports whether an image was built upon one of these configs, other than
// those with the given targets.
func (v *view) builtUpon(l lineage, except map[digest.Digest]bool) (bool, error) {
	for _, config := range l.configs {
		children, err := v.Children(config)
		if err != nil && !errdefs.IsNotImplemented(err) {
			return false, err
		}
		for _, child := range children {
			records, err := v.Containing(child)
			if err != nil {
				return false, err
			}
			if slices.ContainsFunc(records, func(rec store.Record) bool { return !except[rec.Target.Digest] }) {
				return true, nil
			}
		}
	}
	return false, nil
}

// planParents has the dangling images go upon which nothing is built any more when those
// have gone that are to go already; l is the lineage of the last of them.
func (v *view) planParents(plan *removal, l lineage) error {
	going := map[digest.Digest]bool{}
	for _, d := range plan.gone {
		going[d] = true
	}
	for todo := l.parents; len(todo) > 0; todo = todo[1:] {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		records, err := v.Containing(todo[0])
		if err != nil && !errdefs.IsNotImplemented(err) {
			return err
		}
		for _, rec := range records {
			if !rec.Dangling() || going[rec.Target.Digest] {
				continue
			}
			above, stays, err := v.builtWithout(rec.Target, going)
			if err != nil {
				return err
			}
			if stays {
				continue
			}
			plan.gone = append(plan.gone, rec.Target.Digest)
			plan.add(rec, false)
			todo = append(todo, above.parents...)
		}
	}
	return nil
}

// builtWithout returns the lineage of a target, and whether something other than what goes
// was built upon it; else it goes from then on.
func (v *view) builtWithout(target ocispec.Descriptor, going map[digest.Digest]bool) (lineage, bool, error) {
	l, err := v.lineage(target)
	if err != nil {
		return l, false, err
	}
	going[target.Digest] = true
	stays, err := v.builtUpon(l, going)
	if stays || err != nil {
		delete(going, target.Digest)
	}
	return l, stays, err
}
