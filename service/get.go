package service

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/platform"
	"github.com/dhowhq/dhow/store"
)

// parentLabel is the label in which classic builds say what an image was built upon.
const parentLabel = "org.mobyproject.image.parent"

// GetOptions say what Get is to return. The zero value is the instance that the host
// prefers, without details.
type GetOptions struct {
	// Platform is the platform that the config must be for, strictly as package
	// platform has it; nil: any, those that the host can run before all others.
	Platform *ocispec.Platform
	// Details asks for Image.Details.
	Details bool
	// Bare has an image without a complete instance be no error, unless a platform is
	// asked for: Instance is nil then, and Config empty.
	Bare bool
}

// Image is an image, and the instance of it that was chosen.
type Image struct {
	// Resolution is how it was found. Warnings has all of this answer.
	Resolution
	// ID is the digest of the target.
	ID digest.Digest
	// Instance is the one that was chosen.
	Instance *Instance
	// Config has the bytes of its config, exactly as they are stored. What they say is
	// data from the image.
	Config []byte
	// Parent is the ID of the image that it was built upon, by the label
	// org.mobyproject.image.parent of the target's records; else by that of the config.
	// It is empty for most, and where records do not agree, which Warnings say.
	Parent digest.Digest
	// Details is nil where they were not asked for.
	Details *Details
}

// Get returns an image with the instance for a platform. Only a complete instance serves;
// which of them it is, the table in package platform says, by the platforms of the configs.
// Where the reference means a manifest, list or config in an image, only what is in that
// counts.
//
// A reference that nothing is found for fails as Resolve does. Where no instance serves
// it is ErrNotFound, and ErrNoPlatform, ErrConfigMissing or ErrContentMissing, which says
// the most of the instances that come into question; the text lists the platforms that are
// there. A config whose bytes are damaged is ErrDataLoss.
func (s *Service) Get(ctx context.Context, reference string, opts GetOptions) (Image, error) {
	for lost := digest.Digest(""); ; {
		var img Image
		err := s.view(ctx, func(v *view) (err error) {
			img, err = v.get(reference, opts)
			return err
		})
		if err != nil || img.Instance == nil || img.Config != nil {
			return img, err
		}
		img.Config, err = s.read(ctx, img.Instance.Config, s.opts.Limits.ConfigBytes)
		if err == nil {
			return img, nil
		}
		// What was collected since is not there: another moment gives another answer.
		if !errdefs.IsNotFound(err) || lost == img.Instance.Config {
			return Image{}, fmt.Errorf("image %.256q: config of manifest %s: %w", reference, img.Instance.Descriptor.Digest, err)
		}
		lost = img.Instance.Config
	}
}

// getRule: the config's own platform counts, and all of it has to be there.
func getRule(op platform.Operation) rule {
	return rule{
		op:       op,
		platform: (*Instance).judged,
		serves:   func(inst *Instance) bool { return inst.Presence == Complete && inst.Config != "" },
	}
}

// judged returns the platform by which an instance is an answer: the config's own, or
// where that is not there what its list says.
func (inst *Instance) judged() *ocispec.Platform {
	if inst.Presence == Absent || inst.lacksConfig() {
		return inst.Platform
	}
	return inst.own
}

// get is Get in a view, but for the bytes of a config that have to be read elsewhere.
func (v *view) get(reference string, opts GetOptions) (Image, error) {
	if opts.Platform != nil && !opts.Details {
		// Layers of other platforms need not be looked for, unless it has to be said what
		// there is.
		m, err := v.matcher(platform.Get, opts.Platform)
		if err != nil {
			return Image{}, err
		}
		img, err := v.getFrom(reference, opts, m)
		if !errdefs.IsNotFound(err) {
			return img, err
		}
	}
	return v.getFrom(reference, opts, nil)
}

// getFrom is get of the manifests of some platforms only; nil: of all.
func (v *view) getFrom(reference string, opts GetOptions, only platforms.MatchComparer) (Image, error) {
	g := v.s.borrow()
	defer v.s.giveBack(g)
	if only != nil {
		g.only = only
	}
	sub, err := v.subjectIn(g, reference)
	if err != nil {
		return Image{}, err
	}
	img := Image{Resolution: sub.Resolution, ID: sub.Record.Target.Digest}
	r := getRule(platform.Get)
	r.matcher = only
	img.Instance, err = v.best(sub, r, opts.Platform)
	if err != nil && (!opts.Bare || opts.Platform != nil || !errdefs.IsNotFound(err)) {
		return Image{}, err
	}
	if err := v.parent(sub, &img); err != nil {
		return Image{}, err
	}
	if opts.Details {
		if img.Details, err = v.details(sub, img.Instance); err != nil {
			return Image{}, err
		}
	}
	if img.Instance == nil {
		return img, nil
	}
	img.Config, err = v.small(sub.graph, img.Instance.Config)
	if err != nil {
		err = fmt.Errorf("image %.256q: config of manifest %s: %w", reference, img.Instance.Descriptor.Digest, err)
	}
	return img, err
}

// small returns the bytes of a blob in a graph, or nil if they have to be read elsewhere.
func (v *view) small(g *graph, d digest.Digest) ([]byte, error) {
	r, ok := v.NameReader.(store.SmallReader)
	switch {
	case g.outline != nil:
		r = g.outline
	case !ok:
		return nil, nil
	}
	data, err := r.Small(d)
	if errdefs.IsNotImplemented(err) {
		return nil, nil
	}
	return data, err
}

// parent finds what an image was built upon.
func (v *view) parent(sub *subject, img *Image) error {
	label, err := img.Record.Labels[parentLabel], error(nil)
	if o := sub.graph.outline; o == nil || !o.Alone() {
		label, err = v.label(img.ID, parentLabel)
	}
	switch {
	case errdefs.IsConflict(err):
		img.Warnings = append(img.Warnings, err.Error())
		return nil
	case err != nil:
		return err
	case label != "":
		if img.Parent, err = image.ParseDigest(label); err != nil {
			img.Warnings = append(img.Warnings, fmt.Sprintf("label %s is no digest: %v", parentLabel, err))
		}
		return nil
	}
	if img.Instance == nil {
		return nil
	}
	if n := sub.graph.find(img.Instance.Config); n != nil && n.facts != nil {
		img.Parent = n.facts.Parent
	}
	return nil
}

// read returns the bytes of a small blob, which the store has verified.
func (s *Service) read(ctx context.Context, d digest.Digest, limit int64) ([]byte, error) {
	r, err := s.store.Open(ctx, d, 0)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s has more than %d bytes: %w", d, limit, errdefs.ErrResourceExhausted)
	}
	return data, err
}

// newest returns the later one of two times.
func newest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
