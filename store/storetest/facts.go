package storetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
)

// labelParent is the label by which a classic build says what it was built upon.
const labelParent = "org.mobyproject.image.parent"

func (f Factory) facts() map[string]func(*testing.T) {
	return map[string]func(*testing.T){
		"image":                    func(t *testing.T) { f.factsOfImage(t, testimage.OCI) },
		"docker image":             func(t *testing.T) { f.factsOfImage(t, testimage.Docker) },
		"lists":                    f.factsOfLists,
		"artifact":                 f.factsOfArtifact,
		"artifact with a config":   f.factsOfArtifactConfig,
		"schema 1":                 f.factsOfSchema1,
		"parent":                   f.factsOfParent,
		"hostile config":           f.factsOfHostileConfig,
		"manifest before config":   f.factsInAnyOrder,
		"config comes later":       f.factsLater,
		"layer first, then a name": f.factsAfterLayer,
		"layer of another batch":   f.factsAfterOther,
		"none":                     f.noFacts,
		"bad documents":            f.badDocuments,
	}
}

// wantFacts checks the facts of a document, as they are and as View has them.
func (w *world) wantFacts(t *testing.T, d digest.Digest, want store.Facts) {
	t.Helper()
	want.Size = int64(len(w.src.Get(d)))
	same := []cmp.Option{cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(0)}
	have, err := w.Facts(t.Context(), d)
	if err != nil {
		t.Fatalf("Facts of %s: %v", d, err)
	}
	if diff := cmp.Diff(want, have, same...); diff != "" {
		t.Errorf("Facts of %s, - wanted + there:\n%s", d, diff)
	}
	w.view(t, func(r store.NameReader) {
		seen, err := r.Facts(d)
		if diff := cmp.Diff(have, seen, same...); err != nil || diff != "" {
			t.Errorf("Facts in a View of %s: %v, - outside + in it:\n%s", d, err, diff)
		}
	})
}

// edges returns the edges of a document of the source.
func (w *world) edges(t *testing.T, desc ocispec.Descriptor) []image.Edge {
	t.Helper()
	doc, err := image.Decode(w.src.Get(desc.Digest), image.Declared{Descriptor: desc.MediaType}, image.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return doc.Edges()
}

// manifest makes an image manifest of a config, as it stands, and layers.
func (w *world) manifest(config string, layers ...ocispec.Descriptor) ocispec.Descriptor {
	return w.src.JSON(ocispec.MediaTypeImageManifest, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest,
		"config": w.src.Put(ocispec.MediaTypeImageConfig, []byte(config)), "layers": append([]ocispec.Descriptor{}, layers...),
	})
}

func (f Factory) factsOfImage(t *testing.T, family testimage.Family) {
	w := f.world(t)
	root := w.src.Image(testimage.Image{Family: family, Platform: arm64(), Layers: 3})
	w.name(t, root, busybox)
	edges, platform := w.edges(t, root), arm64()
	config := edges[0].Desc
	manifest := store.Facts{MediaType: root.MediaType, Platform: &platform, Config: config.Digest, Edges: edges}
	for range 2 {
		w.wantFacts(t, root.Digest, manifest)
		w.wantFacts(t, config.Digest, store.Facts{MediaType: config.MediaType, Platform: &platform})
		w.reopen(t)
	}
}

// factsOfLists checks an index with an attestation and an index in it, and a Docker
// list, of which some entries are absent.
func (f Factory) factsOfLists(t *testing.T) {
	w := f.world(t)
	amd, docker := w.src.Image(testimage.Image{Platform: amd64()}), w.src.Image(testimage.Image{Platform: arm64(), Family: testimage.Docker})
	absent := w.src.Image(testimage.Image{Platform: arm()})
	attestation := w.src.Attestation(amd)
	attestation.Annotations["other"] = "kept"
	nested := w.src.Index(absent)
	w.src.Delete(absent.Digest)
	for _, root := range []ocispec.Descriptor{
		w.src.Index(amd, attestation, nested, absent, docker), w.src.List(docker, absent), w.src.Index(),
	} {
		w.hold(t, root)
		w.wantFacts(t, root.Digest, store.Facts{MediaType: root.MediaType, Edges: w.edges(t, root)})
	}
	unknown := ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	w.wantFacts(t, attestation.Digest, store.Facts{
		MediaType: attestation.MediaType, Platform: &unknown, Config: w.edges(t, attestation)[0].Desc.Digest, Edges: w.edges(t, attestation),
	})
}

func (f Factory) factsOfArtifact(t *testing.T) {
	w := f.world(t)
	subject := w.src.Image(testimage.Image{Platform: amd64()})
	root := w.src.Referrer(subject, "application/vnd.example.sbom", "payload")
	w.hold(t, root)
	edges := w.edges(t, root)
	w.wantFacts(t, root.Digest, store.Facts{
		MediaType: root.MediaType, Config: edges[0].Desc.Digest, Edges: edges, Subject: subject.Digest, ArtifactType: "application/vnd.example.sbom",
	})
	_, err := w.Facts(t.Context(), edges[0].Desc.Digest)
	wantKind(t, "Facts of an empty config", err, errdefs.ErrNotFound)
}

// factsOfArtifactConfig checks that a config which is no image config is a blob.
func (f Factory) factsOfArtifactConfig(t *testing.T) {
	w := f.world(t)
	const mediaType = "application/vnd.example.config.v1+json"
	config := w.src.Put(mediaType, []byte(`not JSON, and "os": "linux"`))
	root := w.src.JSON(ocispec.MediaTypeImageManifest, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "config": config, "layers": []ocispec.Descriptor{},
	})
	w.hold(t, root)
	w.wantFacts(t, root.Digest, store.Facts{MediaType: root.MediaType, Config: config.Digest, Edges: w.edges(t, root), ArtifactType: mediaType})
	_, err := w.Facts(t.Context(), config.Digest)
	wantKind(t, "Facts of an artifact's config", err, errdefs.ErrNotFound)
}

// factsOfSchema1 checks a manifest whose layers have no sizes, and that has no config.
func (f Factory) factsOfSchema1(t *testing.T) {
	w := f.world(t)
	layer, _ := w.src.Layer("x", small)
	root := w.src.JSON(image.MediaTypeDockerSchema1, map[string]any{
		"schemaVersion": 1, "name": "library/x", "tag": "latest", "architecture": "amd64",
		"fsLayers": []map[string]any{{"blobSum": layer.Digest}},
		"history":  []map[string]any{{"v1Compatibility": fmt.Sprintf(`{"id":%q,"os":"linux"}`, strings.Repeat("a", 64))}},
	})
	lease := w.lease(t)
	b := w.begin(t, lease)
	b.put(t, layer, image.RoleLayer)
	b.put(t, root, image.RoleManifest)
	b.publish(t, store.Move{Name: busybox, To: root})
	have, err := w.Facts(t.Context(), root.Digest)
	if err != nil || have.MediaType != root.MediaType || have.Config != "" || len(have.Edges) != 1 || have.Edges[0].Desc.Digest != layer.Digest {
		t.Errorf("Facts: %+v, %v", have, err)
	}
	w.release(t, lease)
	b.close(t)
	w.collect(t)
	w.wantBlob(t, layer.Digest)
}

// factsOfParent checks what is said of the image that one was built upon, and when an
// image was created.
func (f Factory) factsOfParent(t *testing.T) {
	w := f.world(t)
	parent := digest.FromString("parent")
	root := w.manifest(fmt.Sprintf(`{"created":"2024-05-06T07:08:09.123456789+02:00","architecture":"arm","os":"linux","variant":"v6",`+
		`"os.version":"1","os.features":["a","b"],"config":{"Labels":{%q:%q}},"rootfs":{"type":"layers","diff_ids":[]}}`, labelParent, parent))
	w.hold(t, root)
	created := time.Date(2024, 5, 6, 5, 8, 9, 123456789, time.UTC)
	platform := ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v6", OSVersion: "1", OSFeatures: []string{"a", "b"}}
	edges := w.edges(t, root)
	w.wantFacts(t, edges[0].Desc.Digest, store.Facts{MediaType: ocispec.MediaTypeImageConfig, Platform: &platform, Created: created, Parent: parent})
	w.reopen(t)
	have, err := w.Facts(t.Context(), root.Digest)
	if err != nil || !have.Created.Equal(created) || have.Platform == nil || !cmp.Equal(*have.Platform, platform) || have.Config != edges[0].Desc.Digest {
		t.Errorf("Facts of the manifest: %+v, %v", have, err)
	}
}

// factsOfHostileConfig checks that what a config says is data: it is kept where it
// has a meaning, and does no harm where it has none.
func (f Factory) factsOfHostileConfig(t *testing.T) {
	w := f.world(t)
	for name, config := range map[string]string{
		"created is no time":       `{"created":"yesterday","os":"linux","architecture":"amd64"}`,
		"created is far off":       `{"created":"9999-12-31T23:59:59Z","os":"linux","architecture":"amd64"}`,
		"platform is a path":       `{"os":"../../etc","architecture":"/\u0000\n%s"}`,
		"parent is no digest":      fmt.Sprintf(`{"os":"linux","architecture":"amd64","config":{"Labels":{%q:"../../x"}}}`, labelParent),
		"labels in reserved space": `{"os":"linux","architecture":"amd64","config":{"Labels":{"containerd.io/gc.expire":"2001-01-01T00:00:00Z","containerd.io/gc.ref.content.0":"x","dhow":"x"}}}`,
		"nothing":                  `{}`,
		"many labels":              `{"os":"linux","architecture":"amd64","config":{"Labels":{"a":"` + strings.Repeat("x", 100_000) + `"}}}`,
	} {
		root := w.manifest(config)
		w.name(t, root, "docker.io/library/hostile:"+digest.FromString(name).Encoded()[:12])
		facts, err := w.Facts(t.Context(), root.Digest)
		if err != nil || facts.Parent != "" {
			t.Errorf("%s: Facts: %+v, %v", name, facts, err)
		}
		if name == "created is no time" && !facts.Created.IsZero() {
			t.Errorf("%s: Created: %v", name, facts.Created)
		}
		if name == "platform is a path" && (facts.Platform == nil || facts.Platform.OS != "../../etc" || facts.Platform.Architecture != "/\x00\n%s") {
			t.Errorf("%s: Platform: %+v", name, facts.Platform)
		}
	}
	w.collect(t)
	w.reopen(t)
	w.wantBlobs(t, w.src.Digests()...)
}

// noFacts checks that nothing is known of a layer and of what is absent.
func (f Factory) noFacts(t *testing.T) {
	w := f.world(t)
	b := w.begin(t, w.lease(t))
	layer := b.blob(t, []byte(`{"schemaVersion":2}`))
	b.publish(t)
	for _, d := range []digest.Digest{layer.Digest, digest.FromString("absent")} {
		_, err := w.Facts(t.Context(), d)
		wantKind(t, "Facts of "+d.String(), err, errdefs.ErrNotFound)
	}
}

// badDocuments checks that a document which does not decode is refused, whatever its
// digest is.
func (f Factory) badDocuments(t *testing.T) {
	layer := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.FromString("x"), Size: 1}
	doc, err := json.Marshal(layer)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		mediaType string
		role      image.Role
		data      string
	}{
		"no JSON":                    {ocispec.MediaTypeImageManifest, image.RoleManifest, "manifest"},
		"empty":                      {ocispec.MediaTypeImageManifest, image.RoleManifest, ""},
		"an index as a manifest":     {ocispec.MediaTypeImageManifest, image.RoleManifest, `{"schemaVersion":2,"manifests":[]}`},
		"a manifest as an index":     {ocispec.MediaTypeImageIndex, image.RoleIndex, fmt.Sprintf(`{"schemaVersion":2,"config":%s,"layers":[]}`, doc)},
		"another media type":         {ocispec.MediaTypeImageIndex, image.RoleIndex, `{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json","manifests":[]}`},
		"a digest that is a path":    {ocispec.MediaTypeImageIndex, image.RoleIndex, `{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"sha256:../../x","size":1}]}`},
		"B07 negative size":          {ocispec.MediaTypeImageIndex, image.RoleIndex, strings.Replace(fmt.Sprintf(`{"schemaVersion":2,"manifests":[%s]}`, doc), `"size":1`, `"size":-1`, 1)},
		"a name twice":               {ocispec.MediaTypeImageIndex, image.RoleIndex, `{"schemaVersion":2,"manifests":[],"manifests":[]}`},
		"something after it":         {ocispec.MediaTypeImageIndex, image.RoleIndex, `{"schemaVersion":2,"manifests":[]}{}`},
		"too deep":                   {ocispec.MediaTypeImageIndex, image.RoleIndex, `{"schemaVersion":2,"manifests":[],"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`},
		"too large":                  {ocispec.MediaTypeImageIndex, image.RoleIndex, `{"schemaVersion":2,"manifests":[]}` + strings.Repeat(" ", 4<<20)},
		"unknown media type":         {"application/vnd.example", image.RoleManifest, `{"schemaVersion":2}`},
		"a config that is no JSON":   {ocispec.MediaTypeImageConfig, image.RoleConfig, "config"},
		"a config with a bad field":  {ocispec.MediaTypeImageConfig, image.RoleConfig, `{"os":["linux"]}`},
		"a docker config, truncated": {image.MediaTypeDockerConfig, image.RoleConfig, `{"os":"linux"`},
		"a config too large":         {ocispec.MediaTypeImageConfig, image.RoleConfig, `{"os":"linux"}` + strings.Repeat(" ", 8<<20)},
		"an attestation, no JSON":    {ocispec.MediaTypeImageManifest, image.RoleAttestation, "attestation"},
	} {
		t.Run(name, func(t *testing.T) {
			w := f.world(t)
			desc := w.src.Put(tc.mediaType, []byte(tc.data))
			b := w.begin(t, w.lease(t))
			_, err := b.Put(t.Context(), desc, tc.role, w.src.opener(desc))
			if !invalid(err) && !errdefs.IsResourceExhausted(err) {
				t.Errorf("Put: %v; want a refusal", err)
			}
			b.publish(t)
			w.wantAbsent(t, desc.Digest)
			if _, err := w.Move(t.Context(), store.Move{Name: busybox, To: target(desc)}); err == nil {
				t.Error("a name moved to it")
			}
			b.close(t)
			w.wantPartial(t)
		})
	}
}
