package codec

import (
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// roles are the roles of edges by their number.
var roles = [...]image.Role{
	1: image.RoleIndex,
	2: image.RoleManifest,
	3: image.RoleAttestation,
	4: image.RoleConfig,
	5: image.RoleLayer,
	6: image.RoleOpaque,
}

// AppendTarget appends the media type, digest and size of a descriptor.
func AppendTarget(b []byte, desc ocispec.Descriptor) []byte {
	b = AppendString(b, desc.MediaType)
	b = AppendDigest(b, desc.Digest)
	return AppendInt(b, desc.Size)
}

// Target reads what AppendTarget wrote.
func (d *Decoder) Target() ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: d.String(), Digest: d.Digest(), Size: d.Int()}
}

// AppendFacts appends facts.
func AppendFacts(b []byte, f store.Facts) []byte {
	b = AppendString(b, f.MediaType)
	b = AppendInt(b, f.Size)
	b = appendPlatform(b, f.Platform)
	b = AppendTime(b, f.Created)
	b = AppendDigest(b, f.Config)
	b = AppendDigest(b, f.Subject)
	b = AppendString(b, f.ArtifactType)
	b = AppendDigest(b, f.Parent)
	b = AppendUint(b, uint64(len(f.Edges)))
	for _, e := range f.Edges {
		b = appendEdge(b, e)
	}
	return b
}

// Facts reads what AppendFacts wrote.
func (d *Decoder) Facts() store.Facts {
	f := store.Facts{
		MediaType: d.String(), Size: d.Int(), Platform: d.platform(), Created: d.Time(), Config: d.Digest(),
		Subject: d.Digest(), ArtifactType: d.String(), Parent: d.Digest(),
	}
	for range d.Count() {
		f.Edges = append(f.Edges, d.edge())
	}
	return f
}

func appendEdge(b []byte, e image.Edge) []byte {
	role := byte(0)
	for i, r := range roles {
		if r == e.Role {
			role = byte(i)
		}
	}
	b = AppendUint(append(b, role), uint64(e.Index)) //nolint:gosec // a position
	b = AppendTarget(b, e.Desc)
	b = AppendStrings(b, e.Desc.URLs)
	b = AppendMap(b, e.Desc.Annotations)
	b = AppendString(b, e.Desc.Data)
	b = appendPlatform(b, e.Desc.Platform)
	return AppendString(b, e.Desc.ArtifactType)
}

func (d *Decoder) edge() image.Edge {
	role := d.Byte()
	if role == 0 || int(role) >= len(roles) {
		d.fail("it has an edge of no known role")
		return image.Edge{}
	}
	e := image.Edge{Role: roles[role], Index: int(d.Size()), Desc: d.Target()}
	e.Desc.URLs = d.Strings()
	e.Desc.Annotations = d.Map()
	if data := d.Bytes(); len(data) > 0 {
		e.Desc.Data = append([]byte(nil), data...)
	}
	e.Desc.Platform = d.platform()
	e.Desc.ArtifactType = d.String()
	return e
}

func appendPlatform(b []byte, p *ocispec.Platform) []byte {
	if p == nil {
		return append(b, 0)
	}
	b = AppendString(append(b, 1), p.OS)
	b = AppendString(b, p.Architecture)
	b = AppendString(b, p.Variant)
	b = AppendString(b, p.OSVersion)
	return AppendStrings(b, p.OSFeatures)
}

func (d *Decoder) platform() *ocispec.Platform {
	if !d.Bool() {
		return nil
	}
	return &ocispec.Platform{
		OS: d.String(), Architecture: d.String(), Variant: d.String(), OSVersion: d.String(), OSFeatures: d.Strings(),
	}
}
