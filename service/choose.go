package service

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/platform"
)

// Why no instance of an image that was found serves. All of them are ErrNotFound.
var (
	// ErrNoPlatform: none is for the platform that was asked for, or those that are
	// have no manifest in the store.
	ErrNoPlatform = errors.New("no such platform")
	// ErrConfigMissing: the manifest is there, its config is not.
	ErrConfigMissing = errors.New("the config is missing")
	// ErrContentMissing: manifest and config are there, some layer is not.
	ErrContentMissing = errors.New("content is partly missing")
)

// subject is the part of an image that a reference means.
type subject struct {
	Resolution
	text      string // the reference
	graph     *graph
	instances []Instance
}

// subject finds what a reference means.
func (v *view) subject(reference string) (*subject, error) {
	return v.subjectIn(&graph{}, reference)
}

// subjectIn is subject with a graph to be used for it.
func (v *view) subjectIn(g *graph, reference string) (*subject, error) {
	r, err := v.resolve(reference)
	if err != nil {
		return nil, err
	}
	if err := v.walk(g, r.Record.Target); err != nil {
		return nil, fmt.Errorf("image %.256q: %w", reference, err)
	}
	sub := &subject{Resolution: r, text: reference, graph: g}
	if r.Matched == ByList {
		if n := g.find(r.Digest); n != nil { // else it is deeper than is looked
			sub.instances = g.below(n)
		}
		return sub, nil
	}
	sub.instances = v.instances(g)
	switch r.Matched {
	case ByManifest:
		sub.keep(func(inst *Instance) bool { return inst.Descriptor.Digest == r.Digest })
	case ByConfig:
		sub.keep(func(inst *Instance) bool { return inst.Config == r.Digest })
	}
	return sub, nil
}

func (sub *subject) keep(wanted func(*Instance) bool) {
	sub.instances = slices.DeleteFunc(sub.instances, func(inst Instance) bool { return !wanted(&inst) })
}

// rule says which instances serve an operation, and by which of their platforms.
type rule struct {
	op      platform.Operation
	matcher platforms.MatchComparer // for what is asked for; nil: it is to be made
	// platform returns the platform that counts; nil: none is known.
	platform func(*Instance) *ocispec.Platform
	// serves reports whether enough of an instance of the right platform is there.
	serves func(*Instance) bool
}

// matcher returns what matches a platform that is asked for; nil: none.
func (v *view) matcher(op platform.Operation, asked *ocispec.Platform) (platforms.MatchComparer, error) {
	return platform.Matcher(op, asked, platform.Options{Host: v.s.opts.Host})
}

// best returns the instance that serves a platform best, or any if none is asked for.
func (v *view) best(sub *subject, r rule, asked *ocispec.Platform) (*Instance, error) {
	m := r.matcher
	if m == nil {
		var err error
		if m, err = v.matcher(r.op, asked); err != nil {
			return nil, err
		}
	}
	found, lacking := r.choose(sub.instances, m)
	if found < 0 {
		var nearest *Instance
		if lacking >= 0 {
			nearest = &sub.instances[lacking]
		}
		return nil, sub.unserved(asked, r.platform, nearest)
	}
	return &sub.instances[found], nil
}

// choose returns the position of the instance that serves best among those that match, and
// of the nearest one that matches and does not serve; -1 for none.
func (r rule) choose(instances []Instance, m matcher) (found, lacking int) {
	found, lacking = -1, -1
	var of, ofLacking ocispec.Platform
	for i := range instances {
		inst := &instances[i]
		p := ocispec.Platform{}
		if known := r.platform(inst); known != nil {
			p = *known
		}
		if inst.Kind != KindImage || !m.Match(p) {
			continue
		}
		switch {
		case r.serves(inst):
			if found < 0 || m.Less(p, of) {
				found, of = i, p
			}
		case lacking < 0 || nearer(inst, &instances[lacking]) || !nearer(&instances[lacking], inst) && m.Less(p, ofLacking):
			lacking, ofLacking = i, p
		}
	}
	return found, lacking
}

// nearer reports whether there is more of an instance that lacks something than of
// another.
func nearer(a, b *Instance) bool { return lack(a) < lack(b) }

func lack(inst *Instance) int {
	switch {
	case inst.Presence == Absent:
		return 2
	case inst.lacksConfig():
		return 1
	}
	return 0
}

// lacksConfig reports whether the config of an image is not there, or there is none.
func (inst *Instance) lacksConfig() bool {
	return inst.Config == "" || slices.ContainsFunc(inst.Missing, func(d ocispec.Descriptor) bool { return d.Digest == inst.Config })
}

// hasConfig reports whether the manifest and the config of an image are there.
func hasConfig(inst *Instance) bool { return inst.Presence != Absent && !inst.lacksConfig() }

// unserved says why no instance serves: the nearest one lacks something, or there is none.
// by returns the platform of an instance that counts. Clients know the words before the
// parenthesis.
func (sub *subject) unserved(asked *ocispec.Platform, by func(*Instance) *ocispec.Platform, nearest *Instance) error {
	wanted := "any platform"
	if asked != nil {
		wanted = fmt.Sprintf("the specified platform (%s)", quoted(asked))
	}
	found := fmt.Sprintf("image with reference %.256s was found but does not provide %s", sub.text, wanted)
	why, lacks := ErrNoPlatform, ""
	switch {
	case nearest == nil || nearest.Presence == Absent:
	case nearest.Config == "":
		why, lacks = ErrConfigMissing, fmt.Sprintf("; manifest %s of schema 1 has none", nearest.Descriptor.Digest)
	case nearest.lacksConfig():
		why, lacks = ErrConfigMissing, fmt.Sprintf("; manifest %s needs %s", nearest.Descriptor.Digest, nearest.Config)
	default:
		var missing []string
		for _, desc := range nearest.Missing {
			missing = append(missing, string(desc.Digest))
		}
		why, lacks = ErrContentMissing, fmt.Sprintf("; manifest %s needs %s", nearest.Descriptor.Digest, some(missing))
	}
	return fmt.Errorf("%s: %w%s (%s): %w", found, why, lacks, sub.there(by), errdefs.ErrNotFound)
}

// there lists the platforms of an image, those that count, by their presence.
func (sub *subject) there(counts func(*Instance) *ocispec.Platform) string {
	by := map[Presence][]string{}
	lists, others := 0, 0
	for i := range sub.instances {
		inst := &sub.instances[i]
		switch inst.Kind {
		case KindImage:
		case KindList:
			lists++
			continue
		default:
			others++
			continue
		}
		if p := quoted(counts(inst)); !slices.Contains(by[inst.Presence], p) {
			by[inst.Presence] = append(by[inst.Presence], p)
		}
	}
	var parts []string
	for _, presence := range []Presence{Complete, Partial, Absent} {
		if all := by[presence]; len(all) > 0 {
			parts = append(parts, string(presence)+": "+some(all))
		}
	}
	if lists > 0 {
		parts = append(parts, fmt.Sprintf("absent lists: %d", lists))
	}
	if others > 0 {
		parts = append(parts, fmt.Sprintf("no images: %d", others))
	}
	if len(parts) == 0 {
		return "there are no manifests"
	}
	return strings.Join(parts, "; ")
}

// quoted prints a platform from an untrusted document.
func quoted(p *ocispec.Platform) string {
	if p == nil {
		return "nil"
	}
	text := fmt.Sprintf("%.128q", platform.Format(*p))
	return text[1 : len(text)-1]
}
