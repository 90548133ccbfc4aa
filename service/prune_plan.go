package service

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

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
		goes, config := p.goes(v, g)
		if config != "" {
			unread = append(unread, config)
		}
		if !goes {
			return nil
		}
		at[d] = len(plan)
		im := prunable{target: rec.Target, records: []store.Record{rec}, lineage: g.lineage()}
		for _, n := range g.nodes {
			if n.present {
				im.content = append(im.content, store.Blob{Digest: n.desc.Digest, Size: n.desc.Size})
			}
		}
		plan = append(plan, im)
		return nil
	})
	return plan, unread, err
}

// goes reports whether an image is to go by what its config says, or which config has to
// be read to know.
func (p *pruning) goes(v *view, g *graph) (goes bool, unread digest.Digest) {
	if p.opts.Until.IsZero() && len(p.opts.Labels) == 0 && len(p.opts.NotLabels) == 0 {
		return true, ""
	}
	n := v.preferred(g)
	created := time.Time{}
	if n != nil {
		created = n.facts.Created
	}
	if !p.opts.Until.IsZero() && !created.Before(p.opts.Until) {
		return false, ""
	}
	if len(p.opts.Labels) == 0 && len(p.opts.NotLabels) == 0 {
		return true, ""
	}
	if n == nil {
		return false, ""
	}
	found, known := p.configs[n.facts.Config]
	if !known {
		return false, n.facts.Config
	}
	if found == nil || slices.ContainsFunc(p.opts.NotLabels, found.have) {
		return false, ""
	}
	for _, want := range p.opts.Labels {
		if !found.have(want) {
			return false, ""
		}
	}
	return true, ""
}

// have reports whether a label, KEY or KEY=VALUE, is there.
func (l labels) have(want string) bool {
	key, value, exact := strings.Cut(want, "=")
	found, there := l[key]
	return there && (!exact || found == value)
}

// preferred returns the manifest with a config that is present and best serves who asks
// for no platform; nil if there is none.
func (v *view) preferred(g *graph) *node {
	var nodes []*node
	var descs []ocispec.Descriptor
	for _, n := range g.nodes {
		if n.role != image.RoleManifest || n.facts == nil || n.facts.Config == "" || !g.find(n.facts.Config).present {
			continue
		}
		desc := n.desc
		if desc.Platform == nil {
			desc.Platform = n.facts.Platform
		}
		nodes, descs = append(nodes, n), append(descs, desc)
	}
	for _, asked := range []*ocispec.Platform{v.s.opts.Host, nil} {
		if best, err := platform.Select(platform.Get, asked, descs, platform.Options{}); err == nil {
			return nodes[best[0]]
		}
	}
	return nil
}

// withoutParents returns the images of a plan without those upon which one was built that
// stays.
func (v *view) withoutParents(plan []prunable) ([]prunable, error) {
	going := map[digest.Digest]bool{}
	for _, im := range plan {
		going[im.target.Digest] = true
	}
	for again := true; again; {
		again = false
		for i := range plan {
			d := plan[i].target.Digest
			if !going[d] {
				continue
			}
			stays, err := v.builtUpon(plan[i].lineage, going)
			if err != nil {
				return nil, err
			}
			if stays {
				delete(going, d)
				again = true
			}
		}
	}
	return slices.DeleteFunc(plan, func(im prunable) bool { return !going[im.target.Digest] }), nil
}

// readLabels returns the labels of a config; nil for one that cannot be read.
func (s *Service) readLabels(ctx context.Context, config digest.Digest) (*labels, error) {
	r, err := s.store.Open(ctx, config, 0)
	if err == nil {
		defer r.Close()
		var data []byte
		if data, err = io.ReadAll(io.LimitReader(r, s.opts.Limits.ConfigBytes+1)); err == nil {
			var c *image.Config
			if c, err = image.DecodeConfig(data, s.opts.Limits); err == nil {
				found := labels(c.Labels)
				return &found, nil
			}
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	s.opts.Logger.WarnContext(ctx, "the labels of an image cannot be read, which is kept", "config", config, "error", err)
	return nil, nil //nolint:nilnil // it is what the map of configs has for it
}
