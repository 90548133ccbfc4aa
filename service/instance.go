package service

import (
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/platform"
	"github.com/dhowhq/dhow/store"
)

// Presence says how much of something is in the store.
type Presence string

// The presences.
const (
	Absent   Presence = "absent"   // the manifest is not there
	Partial  Presence = "partial"  // the manifest is, but not its config or some layer
	Complete Presence = "complete" // all of it is there
)

// Kind is what an Instance of an image is.
type Kind string

// The kinds.
const (
	KindImage       Kind = "image"
	KindAttestation Kind = "attestation" // says something of another manifest
	KindUnknown     Kind = "unknown"     // no image: an artifact, or of the platform unknown/unknown
	KindList        Kind = "list"        // a list that is absent: what is in it is not known
)

// Instance is one manifest of an image, as it is in the store, or a list that is not there
// in the place of those that it has.
type Instance struct {
	// Descriptor is the manifest's as its list has it, or the target's.
	Descriptor ocispec.Descriptor
	Kind       Kind
	// For is the digest of the manifest that an attestation is about.
	For digest.Digest
	// Platform is what the list says, or else the config; nil where neither does.
	Platform *ocispec.Platform
	// Config is the digest of the image's config; empty where the manifest is absent or
	// is not an image's, and for one of schema 1, which has none.
	Config digest.Digest
	// Created is when the image was, as its config has it; zero where that is not known.
	Created time.Time
	// Presence is how much of it is there, and Missing what is not: the manifest, or
	// the config and the layers. Layers that may not be distributed and have URLs can
	// be had from these, and are not missing.
	Presence Presence
	Missing  []ocispec.Descriptor
	// Content is the size of what is there of manifest, config and layers, each once,
	// in bytes; Total is that of all of them, as far as it is known, and at most the
	// largest int64: what is not there has the size that is said of it.
	Content, Total int64

	// own is what the config says of the platform, if it is there.
	own *ocispec.Platform
}

// instances returns the manifests of an image: those of its lists in the order of the
// documents, the outer ones first, or the target. One that is in a list twice with
// different platforms is there twice.
func (v *view) instances(g *graph) []Instance { return g.below(g.nodes[0]) }

// below returns the instances below a list, or that of a manifest. An absent list is one
// itself, where its entries would be.
func (g *graph) below(root *node) []Instance {
	if root.role != image.RoleIndex {
		return []Instance{g.instance(root, root.desc, root.role)}
	}
	all := make([]Instance, 0, len(root.children))
	lists := []*node{root}
	seen := make(map[entryKey]bool, len(root.children))
	for i := 0; i < len(lists); i++ { // it grows
		if n := lists[i]; n.facts == nil {
			if !n.present {
				all = append(all, g.instance(n, n.desc, image.RoleIndex))
			}
			continue
		}
		for _, e := range lists[i].facts.Edges {
			if key := keyOf(e.Desc); seen[key] {
				continue
			} else {
				seen[key] = true
			}
			n := g.find(e.Desc.Digest)
			switch e.Role {
			case image.RoleManifest, image.RoleAttestation:
				all = append(all, g.instance(n, e.Desc, e.Role))
			case image.RoleIndex:
				lists = append(lists, n)
			}
		}
	}
	return all
}

// entryKey is what tells entries apart.
type entryKey struct {
	digest                                   digest.Digest
	os, architecture, variant, version, more string
}

func keyOf(desc ocispec.Descriptor) entryKey {
	p := desc.Platform
	if p == nil || image.IsList(desc.MediaType) {
		return entryKey{digest: desc.Digest}
	}
	return entryKey{desc.Digest, p.OS, p.Architecture, p.Variant, p.OSVersion, strings.Join(p.OSFeatures, ",")}
}

// instance tells what a manifest is by its descriptor in a list, and what is there of it.
func (g *graph) instance(n *node, desc ocispec.Descriptor, role image.Role) Instance {
	inst := Instance{
		Descriptor: desc, Kind: KindImage, Platform: said(desc.Platform),
		Presence: Complete, Content: n.size, Total: desc.Size,
	}
	if n.facts != nil {
		g.inside(n, &inst)
	}
	switch {
	case !n.present:
		inst.Presence, inst.Missing = Absent, []ocispec.Descriptor{desc}
	case len(inst.Missing) > 0:
		inst.Presence = Partial
	}
	switch {
	case role == image.RoleIndex:
		inst.Kind = KindList
	case role == image.RoleAttestation:
		inst.Kind = KindAttestation
		inst.For, _ = image.AttestationOf(desc)
	case inst.Platform != nil && platform.Unknown(*inst.Platform), n.present && !isImage(n.facts), !n.present && desc.ArtifactType != "":
		inst.Kind = KindUnknown
	}
	return inst
}

// inside adds what a manifest has to its instance.
func (g *graph) inside(n *node, inst *Instance) {
	if isImage(n.facts) {
		inst.Config = n.facts.Config
	}
	again := repeated(n.children)
	for i, child := range n.children {
		e := n.facts.Edges[i]
		if again(i) {
			continue
		}
		size := e.Desc.Size
		if child.present {
			size = child.size
			inst.Content += size
		} else if !elsewhere(e.Desc) {
			inst.Missing = append(inst.Missing, e.Desc)
		}
		inst.Total = plus(inst.Total, max(size, 0)) // schema 1 does not know it
		if e.Role == image.RoleConfig && child.facts != nil && !image.IsDocument(child.facts.MediaType) && inst.Config != "" {
			inst.own, inst.Created = said(child.facts.Platform), child.facts.Created
			if inst.Platform == nil {
				inst.Platform = inst.own
			}
		}
	}
}

// repeated returns what reports whether a node is among those before it as well. It is asked
// for each position, in their order.
func repeated(nodes []*node) func(i int) bool {
	if len(nodes) <= few {
		return func(i int) bool { return slices.Contains(nodes[:i], nodes[i]) }
	}
	seen := make(map[*node]bool, len(nodes))
	return func(i int) bool {
		before := seen[nodes[i]]
		seen[nodes[i]] = true
		return before
	}
}

// isImage reports whether facts are those of the manifest of an image.
func isImage(f *store.Facts) bool {
	return f != nil && image.IsManifest(f.MediaType) && f.ArtifactType == ""
}

// elsewhere reports whether a blob that is not there need not be: its licence forbids to
// distribute it, and the descriptor says who does.
func elsewhere(desc ocispec.Descriptor) bool {
	foreign := strings.Contains(desc.MediaType, ".nondistributable.") || strings.Contains(desc.MediaType, ".foreign.")
	return foreign && len(desc.URLs) > 0
}

// said returns a platform, or nil for an object that says none.
func said(p *ocispec.Platform) *ocispec.Platform {
	if p == nil || p.OS == "" && p.Architecture == "" {
		return nil
	}
	return p
}
