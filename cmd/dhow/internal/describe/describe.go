// Package describe says what an image is made of, for people and programs.
package describe

import (
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/platform"
)

// Image is an image, or the instance of it that was chosen. It is the JSON form of
// inspect, and what a template is given; docs/cli.md describes its fields.
type Image struct {
	// Reference is what the caller asked for.
	Reference string `json:"reference"`
	// List is the list out of which one instance was chosen; nil if none was.
	List *ocispec.Descriptor `json:"list,omitempty"`
	Document
	// Platforms are those of the instances, or of a single image that of its
	// config, in the order of the documents.
	Platforms []string `json:"platforms,omitempty"`
	// Details are from the config of a single image.
	Details *Details `json:"details,omitempty"`
	// Notes tell what is odd, one sentence each.
	Notes []string `json:"notes,omitempty"`
}

// Document is a manifest or list, or an entry of a list that is neither.
type Document struct {
	// Role is index, manifest, attestation or opaque.
	Role      image.Role    `json:"role"`
	MediaType string        `json:"mediaType"`
	Digest    digest.Digest `json:"digest"`
	Size      int64         `json:"size"`
	// TotalSize is the size of the document and of all that is below it and not
	// absent, each digest once; -1 if one of the sizes is not known. Lists below
	// the root have none.
	TotalSize int64  `json:"totalSize,omitempty"`
	Platform  string `json:"platform,omitempty"`
	// Absent tells that the source does not have the document.
	Absent bool `json:"absent,omitempty"`
	// Repeated tells that the document is described where it was met first.
	Repeated     bool   `json:"repeated,omitempty"`
	ArtifactType string `json:"artifactType,omitempty"`
	// Tag is the digest tag by which the document belongs to the one above it.
	Tag string `json:"tag,omitempty"`
	// Attests is the digest of the manifest that an attestation is about.
	Attests     digest.Digest       `json:"attests,omitempty"`
	Subject     *ocispec.Descriptor `json:"subject,omitempty"`
	Annotations map[string]string   `json:"annotations,omitempty"`
	// EntryAnnotations are those of the list's entry.
	EntryAnnotations map[string]string `json:"entryAnnotations,omitempty"`
	// Signatures is the number of simple signatures.
	Signatures int                  `json:"signatures,omitempty"`
	Config     *ocispec.Descriptor  `json:"config,omitempty"`
	Layers     []ocispec.Descriptor `json:"layers,omitempty"`
	// Instances are the entries of a list but for the attestations of other
	// entries, which are with those.
	Instances    []Document `json:"instances,omitempty"`
	Attestations []Document `json:"attestations,omitempty"`
	// Referrers are the documents whose subject this one is, and those that belong
	// to it by a digest tag.
	Referrers []Document `json:"referrers,omitempty"`
}

// Of describes what was loaded. limits are those of the config.
func Of(reference string, l *copy.Loaded, limits image.Limits) *Image {
	b := &builder{loaded: l, attached: map[digest.Digest][]copy.Attached{}, seen: map[digest.Digest]bool{}}
	for _, a := range l.Attached {
		b.attached[a.Subject] = append(b.attached[a.Subject], a)
	}
	root := l.Graph.Root
	im := &Image{Reference: reference, Document: b.document(l.Graph, image.Edge{Desc: root.Desc, Role: root.Role})}
	if root.Role == image.RoleIndex {
		im.TotalSize = totalSize(l.Graph)
	}
	if l.Within != "" {
		list := bare(l.Root)
		im.List = &list
	}
	im.Platforms = platformsOf(im.Document)
	if m, ok := root.Doc.(*image.Manifest); ok && m.IsImage() {
		im.Details = detailsOf(l.Configs[m.Config().Digest], len(m.Layers()), limits)
		if im.Platforms == nil && im.Details.Platform != "" {
			im.Platforms = []string{im.Details.Platform}
		}
	}
	im.Notes = slices.Clone(l.Notes)
	for _, e := range l.Left {
		if e.Subject != "" {
			im.Notes = append(im.Notes, e.Digest.String()+": "+e.Reason)
		}
	}
	return im
}

// builder describes documents, each once.
type builder struct {
	loaded   *copy.Loaded
	attached map[digest.Digest][]copy.Attached // by subject
	seen     map[digest.Digest]bool
}

// document describes the document at the end of an edge.
func (b *builder) document(g *image.Graph, e image.Edge) Document {
	d := Document{
		Role: e.Role, MediaType: e.Desc.MediaType, Digest: e.Desc.Digest, Size: e.Desc.Size,
		ArtifactType: e.Desc.ArtifactType, EntryAnnotations: e.Desc.Annotations,
	}
	if p := e.Desc.Platform; p != nil && e.Role != image.RoleAttestation {
		d.Platform = platform.Format(*p)
	}
	d.Attests, _ = image.AttestationOf(e.Desc)
	n := g.Node(e.Desc.Digest)
	if n == nil || n.Doc == nil {
		d.Absent = n != nil && n.Missing
		return d
	}
	if b.seen[d.Digest] {
		d.Repeated = true
		return d
	}
	b.seen[d.Digest] = true
	d.Annotations, d.Subject = n.Doc.Annotations(), n.Doc.Subject()
	d.Signatures = len(b.loaded.Signatures[d.Digest])
	if t := n.Doc.ArtifactType(); t != "" {
		d.ArtifactType = t
	}
	if d.Role == image.RoleIndex {
		d.Instances = b.instances(g, n.Doc)
	} else {
		d.blobs(n.Doc)
	}
	for _, a := range b.attached[d.Digest] {
		root := a.Graph.Root
		r := b.document(a.Graph, image.Edge{Desc: root.Desc, Role: root.Role})
		r.Tag = a.Name
		d.Referrers = append(d.Referrers, r)
	}
	return d
}

// instances describes the entries of a list, the attestations with what they
// attest.
func (b *builder) instances(g *image.Graph, doc image.Document) []Document {
	edges := doc.Edges()
	attestations := map[digest.Digest][]image.Edge{}
	entry := map[digest.Digest]bool{}
	for _, e := range edges {
		entry[e.Desc.Digest] = entry[e.Desc.Digest] || e.Role != image.RoleAttestation
	}
	var instances []Document
	for _, e := range edges {
		if of, ok := image.AttestationOf(e.Desc); ok && entry[of] {
			attestations[of] = append(attestations[of], e)
		}
	}
	for _, e := range edges {
		if of, ok := image.AttestationOf(e.Desc); ok && entry[of] {
			continue
		}
		d := b.document(g, e)
		for _, a := range attestations[d.Digest] {
			d.Attestations = append(d.Attestations, b.document(g, a))
		}
		delete(attestations, d.Digest) // of two equal entries the first has them
		instances = append(instances, d)
	}
	return instances
}

// blobs describes what a manifest points at.
func (d *Document) blobs(doc image.Document) {
	d.TotalSize = d.Size
	seen := map[digest.Digest]bool{}
	for _, e := range doc.Edges() {
		desc := bare(e.Desc)
		if e.Role == image.RoleConfig {
			d.Config = &desc
		} else {
			d.Layers = append(d.Layers, desc)
		}
		if !seen[desc.Digest] {
			d.TotalSize = sum(d.TotalSize, desc.Size)
		}
		seen[desc.Digest] = true
	}
}

// bare returns a descriptor without the bytes that it may carry.
func bare(desc ocispec.Descriptor) ocispec.Descriptor {
	desc.Data = nil
	return desc
}

// totalSize is that of a whole graph, without the documents that are absent.
func totalSize(g *image.Graph) int64 {
	var total int64
	for _, n := range g.Nodes() {
		if !n.Missing {
			total = sum(total, n.Desc.Size)
		}
	}
	return total
}

// sum adds two sizes, of which -1 is not known.
func sum(a, b int64) int64 {
	if a < 0 || b < 0 || a+b < 0 {
		return -1
	}
	return a + b
}

// platformsOf lists the platforms of the instances of a list, and of lists in it,
// each once.
func platformsOf(d Document) []string {
	var all []string
	seen := map[string]bool{}
	var visit func(d Document)
	visit = func(d Document) {
		for _, i := range d.Instances {
			if i.Role == image.RoleManifest && i.Platform != "" && !seen[i.Platform] {
				seen[i.Platform] = true
				all = append(all, i.Platform)
			}
			visit(i)
		}
	}
	visit(d)
	return all
}
