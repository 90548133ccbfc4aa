package image

import (
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// List is an OCI index or a Docker manifest list. It is immutable: each edit
// returns a new one.
type List struct {
	mediaType    string
	raw          []byte           // the exact bytes of this state
	alg          digest.Algorithm // of Descriptor
	members      []member         // in document order; "manifests" among them with a nil value
	entries      []listEntry
	subject      *ocispec.Descriptor
	artifactType string
	annotations  map[string]string
}

// listEntry is an entry of a list; raw is its JSON as it stood, which shares memory
// with the document.
type listEntry struct {
	desc ocispec.Descriptor
	raw  []byte
}

// decodeList decodes an OCI index or Docker list.
func decodeList(data []byte, mediaType string, declared Declared, lim Limits) (*List, error) {
	var entries []listEntry
	reader := bodyReader{declared: declared, own: []string{"manifests"}}
	reader.content = func(r *strictjson.Reader, _ string) error {
		return r.Array(func(int) error {
			var entry listEntry
			var err error
			entry.raw, err = r.Capture(func() (err error) {
				entry.desc, err = reader.descriptors.read(r)
				return err
			})
			entries = append(entries, entry)
			return err
		})
	}
	doc, err := reader.read(data, mediaType, lim)
	if err != nil {
		return nil, err
	}
	for i := range doc.members {
		if doc.members[i].name == "manifests" {
			doc.members[i].value = nil
		}
	}
	return &List{
		mediaType: mediaType, raw: data, alg: digest.SHA256, members: doc.members, entries: entries,
		subject: doc.subject, artifactType: doc.artifactType, annotations: doc.annotations,
	}, nil
}

// MediaType is that of an OCI index or a Docker list.
func (l *List) MediaType() string { return l.mediaType }

// Bytes are the exact bytes: those that were decoded, until an edit really changes
// something. They must not be changed.
func (l *List) Bytes() []byte { return l.raw }

// Edges are the entries in order. An entry of a list's media type is RoleIndex, of
// a manifest's RoleManifest, or RoleAttestation if it is marked as one; any other
// is RoleOpaque.
func (l *List) Edges() []Edge {
	edges := make([]Edge, len(l.entries))
	for i, entry := range l.entries {
		edges[i] = Edge{Desc: cloneDescriptor(entry.desc), Role: entryRole(entry.desc), Index: i}
	}
	return edges
}

// Subject is the manifest that an OCI index refers to, or nil.
func (l *List) Subject() *ocispec.Descriptor { return cloneSubject(l.subject) }

// ArtifactType is that of an OCI index, or empty.
func (l *List) ArtifactType() string { return l.artifactType }

// Annotations are those of an OCI index itself; never nil.
func (l *List) Annotations() map[string]string { return cloneAnnotations(l.annotations) }

// Instances returns all entries in order, whatever their media type.
func (l *List) Instances() []ocispec.Descriptor {
	all := make([]ocispec.Descriptor, len(l.entries))
	for i, entry := range l.entries {
		all[i] = cloneDescriptor(entry.desc)
	}
	return all
}

// Instance returns the first entry with that digest, or ErrNotFound.
func (l *List) Instance(d digest.Digest) (ocispec.Descriptor, error) {
	for _, entry := range l.entries {
		if entry.desc.Digest == d {
			return cloneDescriptor(entry.desc), nil
		}
	}
	return ocispec.Descriptor{}, fmt.Errorf("list has no instance %s: %w", strictjson.Quote(string(d)), errdefs.ErrNotFound)
}
