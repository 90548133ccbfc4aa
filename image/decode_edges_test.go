package image_test

import (
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
)

// attestation returns an entry that attests, with more annotations.
func attestation(d, more string) string {
	return `{"mediaType":"$M","digest":"` + d + `","size":5,"platform":{"architecture":"unknown","os":"unknown"},` +
		`"annotations":{"vnd.docker.reference.type":"attestation-manifest"` + more + `}}`
}

func TestListEdges(t *testing.T) {
	t.Parallel()
	data := expand(`{"schemaVersion":2,"artifactType":"application/vnd.example","annotations":{"k":"v"},
		"subject":{"mediaType":"$M","digest":"$s","size":9},"manifests":[
		{"mediaType":"$M","digest":"$a","size":5,"platform":{"architecture":"amd64","os":"linux"}},
		` + attestation("$b", `,"vnd.docker.reference.digest":"$a"`) + `,
		{"mediaType":"$I","digest":"$c","size":5,"annotations":{"vnd.docker.reference.type":"attestation-manifest"}},
		{"mediaType":"$L","digest":"$d","size":5},
		{"mediaType":"$D","digest":"$e","size":5},
		{"mediaType":"application/vnd.example+json","digest":"$f","size":5},
		` + attestation("$g", "") + `,
		{"mediaType":"$M","digest":"$a","size":5,"platform":null},
		{"mediaType":"application/vnd.docker.distribution.manifest.v1+prettyjws","digest":"$h","size":5}]}`)
	list := decodeAs[*image.List](t, []byte(data))
	want := []image.Role{
		image.RoleManifest, image.RoleAttestation, image.RoleIndex, image.RoleIndex, image.RoleManifest,
		image.RoleOpaque, image.RoleAttestation, image.RoleManifest, image.RoleManifest,
	}
	edges, instances := list.Edges(), list.Instances()
	for i, edge := range edges {
		if edge.Role != want[i] || edge.Index != i {
			t.Errorf("edge %d is %s %d, want %s", i, edge.Role, edge.Index, want[i])
		}
		if diff := cmp.Diff(instances[i], edge.Desc); diff != "" {
			t.Errorf("edge %d is not instance %d: %s", i, i, diff)
		}
	}
	if len(edges) != len(want) || len(instances) != len(want) {
		t.Errorf("%d edges, %d instances, want %d", len(edges), len(instances), len(want))
	}

	first, err := list.Instance(digestOf("a"))
	if err != nil || first.Platform == nil {
		t.Errorf("instance %v, %v: want the first of two", first, err)
	}
	_, err = list.Instance(digestOf("z"))
	refused(t, err, errdefs.ErrNotFound, "list has no instance \""+digestOf("z").String())

	if s := list.Subject(); s == nil || s.Digest != digestOf("s") {
		t.Errorf("subject %v", s)
	}
	if list.ArtifactType() != "application/vnd.example" || !cmp.Equal(list.Annotations(), map[string]string{"k": "v"}) {
		t.Errorf("artifact type %s, annotations %v", list.ArtifactType(), list.Annotations())
	}
}

func TestEmptyList(t *testing.T) {
	t.Parallel()
	list := decodeAs[*image.List](t, []byte(`{"schemaVersion":2,"manifests":[]}`))
	if len(list.Edges()) > 0 || len(list.Instances()) > 0 || list.Subject() != nil || list.ArtifactType() != "" || list.Annotations() == nil {
		t.Errorf("edges %v, subject %v, artifact type %q, annotations %v", list.Edges(), list.Subject(), list.ArtifactType(), list.Annotations())
	}
}

func TestAttestationOf(t *testing.T) {
	t.Parallel()
	entry := func(annotations ...string) ocispec.Descriptor {
		all := map[string]string{}
		for i := 0; i < len(annotations); i += 2 {
			all[annotations[i]] = annotations[i+1]
		}
		return ocispec.Descriptor{Annotations: all}
	}
	const kind, of = image.AnnotationReferenceType, image.AnnotationReferenceDigest
	a := digestOf("a")
	for _, test := range []struct {
		name  string
		entry ocispec.Descriptor
		of    digest.Digest
		is    bool
	}{
		{"of a manifest", entry(kind, image.ReferenceTypeAttestation, of, a.String()), a, true},
		{"of nothing", entry(kind, image.ReferenceTypeAttestation), "", true},
		{"of no digest", entry(kind, image.ReferenceTypeAttestation, of, "sha256:../x"), "", true},
		{"of a digest by md5", entry(kind, image.ReferenceTypeAttestation, of, "md5:00"), "", true},
		{"another type of reference", entry(kind, "x", of, a.String()), "", false},
		{"no type of reference", entry(of, a.String()), "", false},
		{"no annotations", ocispec.Descriptor{}, "", false},
	} {
		if got, is := image.AttestationOf(test.entry); got != test.of || is != test.is {
			t.Errorf("%s: %q, %v; want %q, %v", test.name, got, is, test.of, test.is)
		}
	}
}

func TestManifestEdges(t *testing.T) {
	t.Parallel()
	m := decodeAs[*image.Manifest](t, []byte(expand(`{"layers":[`+layerJSON+`,{"mediaType":"a/b","digest":"$x","size":1},`+layerJSON+`],
		"annotations":{"k":"v"},"subject":{"mediaType":"$M","digest":"$s","size":9},"config":`+configJSON+`,"schemaVersion":2}`)))
	config := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digestOf("c"), Size: 7}
	layers := []ocispec.Descriptor{
		{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digestOf("l"), Size: 8},
		{MediaType: "a/b", Digest: digestOf("x"), Size: 1},
		{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digestOf("l"), Size: 8},
	}
	want := []image.Edge{{Desc: config, Role: image.RoleConfig}}
	for i, layer := range layers {
		want = append(want, image.Edge{Desc: layer, Role: image.RoleLayer, Index: i})
	}
	for what, diff := range map[string]string{
		"edges":       cmp.Diff(want, m.Edges()),
		"config":      cmp.Diff(config, m.Config()),
		"layers":      cmp.Diff(layers, m.Layers()),
		"subject":     cmp.Diff(&ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digestOf("s"), Size: 9}, m.Subject()),
		"annotations": cmp.Diff(map[string]string{"k": "v"}, m.Annotations()),
	} {
		if diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
}

// TestArtifactType shows what tells an artifact from an image.
func TestArtifactType(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, config, artifactType, want string
		image                            bool
	}{
		{"image", ocispec.MediaTypeImageConfig, "", "", true},
		{"Docker image", image.MediaTypeDockerConfig, "", "", true},
		{"image with a type", ocispec.MediaTypeImageConfig, "a/b", "a/b", true},
		{"artifact by its config", "application/vnd.cncf.helm.config.v1+json", "", "application/vnd.cncf.helm.config.v1+json", false},
		{"artifact by its type", ocispec.MediaTypeEmptyJSON, "a/b", "a/b", false},
		{"artifact without a type", ocispec.MediaTypeEmptyJSON, "", ocispec.MediaTypeEmptyJSON, false},
	} {
		m := decodeAs[*image.Manifest](t, []byte(expand(`{"schemaVersion":2,"artifactType":"`+test.artifactType+
			`","config":{"mediaType":"`+test.config+`","digest":"$c","size":7}}`)))
		if m.ArtifactType() != test.want || m.IsImage() != test.image {
			t.Errorf("%s: artifact type %q, image %v", test.name, m.ArtifactType(), m.IsImage())
		}
	}
}
