package service

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/platform"
	"github.com/dhowhq/dhow/store"
)

// prunable is an image that is to go.
type prunable struct {
	target  ocispec.Descriptor
	records []store.Record
	lineage lineage
	content []store.Blob // that is there
}

// labels are those of a config.
type labels map[string]string

// decide returns the images that are to go, in the order of their first records.
func (p *pruning) decide(ctx context.Context) ([]prunable, error) {
	for {
		var plan []prunable
		var unread []digest.Digest
		err := p.s.view(ctx, func(v *view) (err error) {
			if plan, unread, err = p.candidates(v); err == nil && len(unread) == 0 {
				plan, err = v.withoutParents(plan)
			}
			return err
		})
		if err != nil || len(unread) == 0 {
			return plan, err
		}
		for _, config := range unread { // not in a view, which is to be quick
			if p.configs[config], err = p.s.readLabels(ctx, config); err != nil {
				return nil, err
			}
		}
	}
}

// candidates returns the images that are to go by what they are, and the configs that
// have to be read to know.
func (p *pruning) candidates(v *view) (plan []prunable, unread []digest.Digest, err error) {
	at := map[digest.Digest]int{} // in plan; -1: it stays
	err = v.eachRecord(func(rec store.Record) error {
		if !rec.Dangling() && !p.opts.All {
			return errEnough // dangling ones come first
		}
		d := rec.Target.Digest
		if i, known := at[d]; known {
			if i >= 0 {
				plan[i].records = append(plan[i].records, rec)
			}
			return nil
		}
		g, err := v.graph(rec.Target)
		if err != nil {
			return fmt.Errorf("image %s: %w", Familiar(rec), err)
		}
		at[d] = -1
		goes, config, err := p.goes(v, g)
		if err != nil {
			return fmt.Errorf("image %s: %w", Familiar(rec), err)
		}
		if config != "" {
			unread = append(unread, config)
		}
		if !goes {
			return nil
		}
		at[d] = len(plan)
		plan = append(plan, prunable{rec.Target, []store.Record{rec}, g.lineage(), g.content()})
		return nil
	})
	return plan, unread, err
}

// content returns the blobs of a graph that are there.
func (g *graph) content() []store.Blob {
	var content []store.Blob
	for _, n := range g.nodes {
		if n.present {
			content = append(content, store.Blob{Digest: n.desc.Digest, Size: n.size})
		}
	}
	return content
}

// goes reports whether an image is to go by what its config says, or which config has to
// be read to know.
func (p *pruning) goes(v *view, g *graph) (goes bool, unread digest.Digest, err error) {
	byLabels := len(p.opts.Labels) > 0 || len(p.opts.NotLabels) > 0
	if p.opts.Until.IsZero() && !byLabels {
		return true, "", nil
	}
	inst, err := v.preferred(g)
	if err != nil {
		return false, "", err
	}
	created := time.Time{}
	if inst != nil {
		created = inst.Created
	}
	if !p.opts.Until.IsZero() && !created.Before(p.opts.Until) {
		return false, "", nil
	}
	if !byLabels || inst == nil {
		return !byLabels, "", nil
	}
	found, known := p.configs[inst.Config]
	if !known {
		return false, inst.Config, nil
	}
	return found != nil && found.pass(p.opts), "", nil
}

// pass reports whether an image with these labels is to go.
func (l labels) pass(opts PruneOptions) bool {
	return !slices.ContainsFunc(opts.NotLabels, l.have) &&
		!slices.ContainsFunc(opts.Labels, func(want string) bool { return !l.have(want) })
}

// have reports whether a label, KEY or KEY=VALUE, is there.
func (l labels) have(want string) bool {
	key, value, exact := strings.Cut(want, "=")
	found, there := l[key]
	return there && (!exact || found == value)
}

// preferred returns the instance that an image is judged by: what Get returns where no
// platform is asked for, or if nothing is complete the best of those with a config; nil if
// there is none.
func (v *view) preferred(g *graph) (*Instance, error) {
	sub := &subject{graph: g, instances: v.instances(g)}
	r := getRule(platform.Get)
	inst, err := v.best(sub, r, nil)
	if errdefs.IsNotFound(err) {
		r.serves = hasConfig
		inst, err = v.best(sub, r, nil)
	}
	if errdefs.IsNotFound(err) {
		return nil, nil //nolint:nilnil // said above
	}
	return inst, err
}

// withoutParents returns the images of a plan without those upon which one was built that
// stays.
func (v *view) withoutParents(plan []prunable) ([]prunable, error) {
	going := map[digest.Digest]bool{}
	with := map[digest.Digest][]int{} // the images of a config
	var todo []int
	for i, im := range plan {
		going[im.target.Digest] = true
		todo = append(todo, i)
		for _, config := range im.lineage.configs {
			with[config] = append(with[config], i)
		}
	}
	for ; len(todo) > 0; todo = todo[1:] {
		im := &plan[todo[0]]
		if !going[im.target.Digest] {
			continue
		}
		if err := v.ctx.Err(); err != nil {
			return nil, err
		}
		stays, err := v.builtUpon(im.lineage, going)
		if err != nil {
			return nil, err
		}
		if !stays {
			continue
		}
		delete(going, im.target.Digest)
		for _, parent := range im.lineage.parents { // which may stay then too
			todo = append(todo, with[parent]...)
		}
	}
	return slices.DeleteFunc(plan, func(im prunable) bool { return !going[im.target.Digest] }), nil
}

// readLabels returns the labels of a config; nil for one that cannot be read.
func (s *Service) readLabels(ctx context.Context, config digest.Digest) (*labels, error) {
	data, err := s.read(ctx, config, s.opts.Limits.ConfigBytes)
	if err == nil {
		var c *image.Config
		if c, err = image.DecodeConfig(data, s.opts.Limits); err == nil {
			found := labels(c.Labels)
			return &found, nil
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	s.opts.Logger.WarnContext(ctx, "the labels of an image cannot be read", "config", config, "error", err)
	return nil, nil //nolint:nilnil // it is what the map of configs has for it
}
