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
	return ocispec.Descriptor{MediaType: d.word(), Digest: d.Digest(), Size: d.Int()}
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
	f := d.FactsOnly()
	n := d.Count()
	if n > len(d.data)/minEdge {
		d.fail("it ends too early")
	}
	if n == 0 || d.err != nil {
		return f
	}
	f.Edges = make([]image.Edge, n)
	for i := range f.Edges {
		d.edge(&f.Edges[i])
	}
	return f
}

// FactsOnly reads facts as far as their edges, which follow.
func (d *Decoder) FactsOnly() store.Facts {
	return store.Facts{
		MediaType: d.word(), Size: d.Int(), Platform: d.platform(), Created: d.Time(), Config: d.Digest(),
		Subject: d.Digest(), ArtifactType: d.String(), Parent: d.Digest(),
	}
}

// minEdge is how many bytes an edge has at least, one for each of its parts.
const minEdge = 10

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

func (d *Decoder) edge(e *image.Edge) {
	role := d.Byte()
	if role == 0 || int(role) >= len(roles) {
		d.fail("it has an edge of no known role")
		return
	}
	e.Role, e.Index, e.Desc = roles[role], int(d.Size()), d.Target()
	e.Desc.URLs = d.Strings()
	e.Desc.Annotations = d.Map()
	if data := d.Bytes(); len(data) > 0 {
		e.Desc.Data = append([]byte(nil), data...)
	}
	e.Desc.Platform = d.platform()
	e.Desc.ArtifactType = d.String()
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
		OS: d.word(), Architecture: d.word(), Variant: d.word(), OSVersion: d.String(), OSFeatures: d.Strings(),
	}
}

// word reads what AppendString wrote, of which the words of most images need no memory.
func (d *Decoder) word() string {
	b := d.Bytes()
	switch string(b) {
	case ocispec.MediaTypeImageManifest:
		return ocispec.MediaTypeImageManifest
	case ocispec.MediaTypeImageIndex:
		return ocispec.MediaTypeImageIndex
	case ocispec.MediaTypeImageConfig:
		return ocispec.MediaTypeImageConfig
	case ocispec.MediaTypeImageLayerGzip:
		return ocispec.MediaTypeImageLayerGzip
	case ocispec.MediaTypeImageLayerZstd:
		return ocispec.MediaTypeImageLayerZstd
	case image.MediaTypeDockerManifest:
		return image.MediaTypeDockerManifest
	case image.MediaTypeDockerList:
		return image.MediaTypeDockerList
	case image.MediaTypeDockerConfig:
		return image.MediaTypeDockerConfig
	case image.MediaTypeDockerLayerGzip:
		return image.MediaTypeDockerLayerGzip
	case "linux":
		return "linux"
	case "amd64":
		return "amd64"
	case "arm64":
		return "arm64"
	}
	return string(b)
}
