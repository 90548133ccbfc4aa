package service

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/platform"
)

// Manifest returns the descriptor of the one manifest for a platform, as its list or the
// record has it. It need be there, but not what is below it. Which one it is, the row
// Manifest of the table in package platform says, by the platform of the descriptor, or
// where that has none of the config. Where the reference means a manifest, which may be an
// artifact, that is it unless a platform is asked for that it is not for.
//
// Errors are those of Resolve, and ErrNotFound where no manifest serves, with the texts
// "failed to find manifest" and, for a single manifest, "was found but does not match the
// specified platform: wanted W, actual: A"; and for an entry that serves and is no
// manifest, with "manifest has incorrect mediatype: ".
func (s *Service) Manifest(ctx context.Context, reference string, asked *ocispec.Platform) (ocispec.Descriptor, error) {
	var desc ocispec.Descriptor
	err := s.view(ctx, func(v *view) error {
		sub, err := v.subject(reference)
		if err != nil {
			return err
		}
		desc, err = v.manifest(sub, asked)
		return err
	})
	return desc, err
}

// manifest is Manifest of what a reference has found.
func (v *view) manifest(sub *subject, asked *ocispec.Platform) (ocispec.Descriptor, error) {
	if sub.isList() {
		return v.manifestOf(sub, asked)
	}
	m, err := platform.Matcher(platform.Manifest, asked, platform.Options{Host: v.s.opts.Host})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	var actual *ocispec.Platform
	for i := range sub.instances {
		inst := &sub.instances[i]
		if inst.Presence == Absent {
			continue
		}
		if asked == nil || inst.Kind != KindAttestation && inst.Platform != nil && m.Match(*inst.Platform) {
			return inst.Descriptor, nil
		}
		actual = inst.Platform
	}
	if asked == nil || !sub.anyPresent() {
		return ocispec.Descriptor{}, fmt.Errorf("failed to find manifest: image %.256q: %s is not there: %w", sub.text, sub.Digest, errdefs.ErrNotFound)
	}
	return ocispec.Descriptor{}, fmt.Errorf("image with reference %.256s was found but does not match the specified platform: wanted %s, actual: %s: %w",
		sub.text, quoted(asked), quoted(actual), errdefs.ErrNotFound)
}

// isList reports whether a reference means a list.
func (sub *subject) isList() bool {
	return sub.Matched == ByList || (sub.Matched == ByName || sub.Matched == ByTarget) && image.IsList(sub.Record.Target.MediaType)
}

func (sub *subject) anyPresent() bool {
	for i := range sub.instances {
		if sub.instances[i].Presence != Absent {
			return true
		}
	}
	return false
}

// manifestOf chooses among the entries of a list whose blobs are there.
func (v *view) manifestOf(sub *subject, asked *ocispec.Platform) (ocispec.Descriptor, error) {
	var entries, as []ocispec.Descriptor // as their lists have them, with the platforms that count
	add := func(desc ocispec.Descriptor, p *ocispec.Platform) {
		entries = append(entries, desc)
		desc.Platform = p
		as = append(as, desc)
	}
	for i := range sub.instances {
		if inst := &sub.instances[i]; inst.Presence != Absent {
			add(inst.Descriptor, inst.Platform)
		}
	}
	for _, n := range sub.graph.nodes {
		if n.role == image.RoleOpaque && n.present {
			add(n.desc, n.desc.Platform)
		}
	}
	chosen, err := platform.Select(platform.Manifest, asked, as, platform.Options{Host: v.s.opts.Host})
	if errdefs.IsNotFound(err) {
		return ocispec.Descriptor{}, fmt.Errorf("failed to find manifest: %w", sub.unserved(asked, (*Instance).listed, nil))
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	entry := entries[chosen[0]]
	if !image.IsManifest(entry.MediaType) {
		return ocispec.Descriptor{}, fmt.Errorf("image %.256q: %s: manifest has incorrect mediatype: %.256s: %w",
			sub.text, entry.Digest, entry.MediaType, errdefs.ErrNotFound)
	}
	return entry, nil
}
