package archive

import (
	"archive/tar"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/ocilayout"
)

// saved is an image as a tool has saved it: two layers, and a config in Docker's form.
type saved struct {
	layers  []string // tar archives
	diffIDs []digest.Digest
	config  string
}

func newSaved(tb testing.TB, name string) saved {
	tb.Helper()
	var s saved
	for i := range 2 {
		layer := string(pack(tb, member{name: fmt.Sprintf("etc/%s-%d", name, i), data: strings.Repeat(name, 1000)}))
		s.layers = append(s.layers, layer)
		s.diffIDs = append(s.diffIDs, digest.FromString(layer))
	}
	s.config = marshal(tb, map[string]any{
		"architecture": "amd64", "os": "linux", "container": "0123", "docker_version": "20.10.24", "created": "2024-05-06T07:08:09Z",
		"config": map[string]any{"Cmd": []string{"/" + name}, "Volumes": nil},
		"rootfs": map[string]any{"type": "layers", "diff_ids": s.diffIDs},
	})
	return s
}

func (s saved) id() digest.Digest { return digest.FromString(s.config) }

// lots are IDs of layers, as Docker drew them.
func lot(i int) string { return strings.Repeat(fmt.Sprintf("%02x", i), 32) }

// docker110 is what Docker 1.10 to 24 wrote: the directories of old beside manifest.json.
func docker110(tb testing.TB, s saved, tags ...string) []member {
	tb.Helper()
	item := manifestItem{Config: s.id().Encoded() + ".json", RepoTags: tags}
	var all []member
	for i, layer := range s.layers {
		id := lot(i)
		all = append(all, member{name: id + "/", kind: tar.TypeDir}, member{name: id + "/VERSION", data: "1.0"},
			member{name: id + "/json", data: `{"id":"` + id + `"}`}, member{name: id + "/layer.tar", data: layer})
		item.Layers = append(item.Layers, id+"/layer.tar")
	}
	return append(all, member{name: item.Config, data: s.config},
		member{name: "manifest.json", data: marshal(tb, []manifestItem{item})},
		member{name: "repositories", data: `{"busybox":{"1":"` + lot(1) + `"}}`})
}

// manifestOf returns an OCI manifest with layers that are not compressed.
func (s saved) manifest(tb testing.TB) string {
	tb.Helper()
	var layers []ocispec.Descriptor
	for i, l := range s.layers {
		layers = append(layers, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: s.diffIDs[i], Size: int64(len(l))})
	}
	return marshal(tb, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "layers": layers,
		"config": ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: s.id(), Size: int64(len(s.config))},
	})
}

func blobMember(data string) member {
	return member{name: "blobs/sha256/" + digest.FromString(data).Encoded(), data: data}
}

// docker25 is what Docker since 25 writes without containerd: a layout, and manifest.json. A
// name of which the annotations are nil is only in manifest.json.
func docker25(tb testing.TB, s saved, tags ...string) []member {
	tb.Helper()
	manifest := s.manifest(tb)
	item := manifestItem{Config: "blobs/sha256/" + s.id().Encoded(), RepoTags: tags}
	all := []member{{name: "blobs/", kind: tar.TypeDir}, {name: "blobs/sha256/", kind: tar.TypeDir}}
	for i, l := range s.layers {
		all = append(all, blobMember(l))
		item.Layers = append(item.Layers, "blobs/sha256/"+s.diffIDs[i].Encoded())
	}
	var entries []ocispec.Descriptor
	for _, tag := range tags {
		entries = append(entries, ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(manifest), Size: int64(len(manifest)),
			Annotations: annotations(Docker, fullName(tag)),
		})
	}
	return append(all, blobMember(s.config), blobMember(manifest), indexMember(tb, entries...),
		member{name: "manifest.json", data: marshal(tb, []manifestItem{item})}, member{name: "oci-layout", data: ocilayout.Marker},
		member{name: "repositories", data: `{"busybox":{"1":"` + s.diffIDs[1].Encoded() + `"}}`})
}

func indexMember(tb testing.TB, entries ...ocispec.Descriptor) member {
	tb.Helper()
	return member{name: "index.json", data: marshal(tb, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": append([]ocispec.Descriptor{}, entries...),
	})}
}

// podman is what Podman and Skopeo write: layers by their diff IDs, and links to them where
// Docker has its directories.
func podman(tb testing.TB, s saved, tags ...string) []member {
	tb.Helper()
	item := manifestItem{Config: s.id().Encoded() + ".json", RepoTags: tags}
	var all, links []member
	for i, l := range s.layers {
		name := s.diffIDs[i].Encoded() + ".tar"
		all = append(all, member{name: name, data: l})
		links = append(links, member{name: lot(i) + "/layer.tar", kind: tar.TypeSymlink, link: "../" + name})
		item.Layers = append(item.Layers, name)
	}
	return slices.Concat(all, []member{{name: item.Config, data: s.config}}, links, []member{{name: "manifest.json", data: marshal(tb, []manifestItem{item})}})
}

// crane is what crane and others that use its library write: layers as registries have them.
func crane(tb testing.TB, s saved, compress func(testing.TB, []byte) []byte, tags ...string) []member {
	tb.Helper()
	item := manifestItem{Config: s.id().String(), RepoTags: tags}
	all := []member{{name: item.Config, data: s.config}}
	for _, l := range s.layers {
		data := string(compress(tb, []byte(l)))
		name := digest.FromString(data).Encoded() + ".tar.gz"
		all = append(all, member{name: name, data: data})
		item.Layers = append(item.Layers, name)
	}
	return append(all, member{name: "manifest.json", data: marshal(tb, []manifestItem{item})})
}

func TestArchivesOfEveryAge(t *testing.T) {
	t.Parallel()
	s := newSaved(t, "one")
	plain, oci := image.MediaTypeDockerLayer, ocispec.MediaTypeImageLayer
	for name, tc := range map[string]struct {
		members []member
		layers  string // their media type
	}{
		"Docker 1.10 to 24":               {docker110(t, s, "busybox:1"), plain},
		"Docker 25, without containerd":   {docker25(t, s, "busybox:1"), oci},
		"Podman, Skopeo":                  {podman(t, s, "docker.io/library/busybox:1"), plain},
		"crane":                           {crane(t, s, gzipped, "index.docker.io/library/busybox:1"), image.MediaTypeDockerLayerGzip},
		"crane, zstd":                     {crane(t, s, zstded, "busybox:1"), image.MediaTypeDockerLayerZstd},
		"by tar -c of a directory":        {prefixed("./", docker110(t, s, "busybox:1")), plain},
		"manifest.json first":             {reversed(podman(t, s, "busybox:1")), plain},
		"layers that are links":           {linked(tar.TypeSymlink, "../", docker110(t, s, "busybox:1")), plain},
		"layers that are hard links":      {linked(tar.TypeLink, "", docker110(t, s, "busybox:1")), plain},
		"names that are only in Docker's": {unnamedIndex(t, docker25(t, s, "busybox:1")), oci},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := mustRead(t, pack(t, tc.members...), Docker)
			images := imagesOf(t, r)
			if len(images) != 1 || !slices.Equal(images[0].Names, []string{"docker.io/library/busybox:1"}) {
				t.Fatalf("images: %+v", images)
			}
			nodes := graph(t, images[0].Source())
			if config := nodes[1].Desc; config.Digest != s.id() {
				t.Errorf("the config is %s, want %s", config.Digest, s.id())
			}
			for i, n := range nodes[2:] {
				if n.Desc.MediaType != tc.layers || strings.HasSuffix(tc.layers, ".tar") && n.Desc.Digest != s.diffIDs[i] {
					t.Errorf("layer %d is %s %s", i, n.Desc.MediaType, n.Desc.Digest)
				}
			}
			found, err := r.view.find(t.Context(), "docker.io/library/busybox:1", -1)
			if err != nil || found.root().Digest != images[0].Root.Digest {
				t.Errorf("by its name: %v, %v", found, err)
			}
		})
	}
}

func prefixed(prefix string, members []member) []member {
	for i := range members {
		members[i].name = prefix + members[i].name
	}
	return members
}

func reversed(members []member) []member {
	slices.Reverse(members)
	return members
}

// linked moves the layers elsewhere and leaves links in their places.
func linked(kind byte, up string, members []member) []member {
	var all []member
	for i, m := range members {
		if strings.HasSuffix(m.name, "/layer.tar") {
			moved := fmt.Sprintf("moved-%d", i)
			all = append(all, member{name: m.name, kind: kind, link: up + moved}, member{name: moved, data: m.data})
			continue
		}
		all = append(all, m)
	}
	return all
}

// unnamedIndex takes the names out of index.json.
func unnamedIndex(tb testing.TB, members []member) []member {
	tb.Helper()
	for i, m := range members {
		if m.name != "index.json" {
			continue
		}
		list, err := ocilayout.DecodeIndex([]byte(m.data), image.Limits{})
		if err != nil {
			tb.Fatal(err)
		}
		e := list.Instances()[0]
		e.Annotations = nil
		members[i] = indexMember(tb, e)
	}
	return members
}

// TestManifestsAreAlwaysMadeTheSame holds the digest of a manifest: what was copied once is
// found again.
func TestManifestsAreAlwaysMadeTheSame(t *testing.T) {
	t.Parallel()
	const want = "sha256:2882215d0e56ab22721e1589c0a18549a6936e140b0471fbcc7fe7baaa27b2cf"
	im := imagesOf(t, mustRead(t, pack(t, docker110(t, newSaved(t, "one"), "busybox:1")...), Docker))[0]
	if im.Root.Digest != want || im.Root.MediaType != image.MediaTypeDockerManifest || im.Root.Platform == nil || im.Root.Platform.Architecture != "amd64" {
		t.Errorf("the root is %+v, want %s", im.Root, want)
	}
}
