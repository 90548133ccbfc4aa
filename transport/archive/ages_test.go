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
	"github.com/dhowhq/dhow/internal/testarchive"
)

// manifestOf returns the OCI manifest of an image, with layers that are not compressed.
func manifestOf(tb testing.TB, s testarchive.Image) string {
	tb.Helper()
	var layers []ocispec.Descriptor
	for i, l := range s.Layers {
		layers = append(layers, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: s.DiffIDs[i], Size: int64(len(l))})
	}
	return testarchive.JSON(tb, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "layers": layers,
		"config": ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: s.ID(), Size: int64(len(s.Config))},
	})
}

func blobMember(data string) testarchive.Member {
	return testarchive.Member{Name: "blobs/sha256/" + digest.FromString(data).Encoded(), Data: data}
}

// docker25 is what Docker since 25 writes without containerd: a layout, and manifest.json. A
// name of which the annotations are nil is only in manifest.json.
func docker25(tb testing.TB, s testarchive.Image, tags ...string) testarchive.Archive {
	tb.Helper()
	manifest := manifestOf(tb, s)
	item := manifestItem{Config: "blobs/sha256/" + s.ID().Encoded(), RepoTags: tags}
	all := testarchive.Archive{{Name: "blobs/", Kind: tar.TypeDir}, {Name: "blobs/sha256/", Kind: tar.TypeDir}}
	for i, l := range s.Layers {
		all = append(all, blobMember(l))
		item.Layers = append(item.Layers, "blobs/sha256/"+s.DiffIDs[i].Encoded())
	}
	var entries []ocispec.Descriptor
	for _, tag := range tags {
		entries = append(entries, ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(manifest), Size: int64(len(manifest)),
			Annotations: annotations(Docker, fullName(tag)),
		})
	}
	return append(all, blobMember(s.Config), blobMember(manifest), indexMember(tb, entries...),
		testarchive.Member{Name: "manifest.json", Data: testarchive.JSON(tb, []manifestItem{item})}, testarchive.Member{Name: "oci-layout", Data: ocilayout.Marker},
		testarchive.Member{Name: "repositories", Data: `{"busybox":{"1":"` + s.DiffIDs[1].Encoded() + `"}}`})
}

func indexMember(tb testing.TB, entries ...ocispec.Descriptor) testarchive.Member {
	tb.Helper()
	return testarchive.Member{Name: "index.json", Data: testarchive.JSON(tb, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": append([]ocispec.Descriptor{}, entries...),
	})}
}

// podman is what Podman and Skopeo write: layers by their diff IDs, and links to them where
// Docker has its directories.
func podman(tb testing.TB, s testarchive.Image, tags ...string) testarchive.Archive {
	tb.Helper()
	item := manifestItem{Config: s.ID().Encoded() + ".json", RepoTags: tags}
	var all, links testarchive.Archive
	for i, l := range s.Layers {
		name := s.DiffIDs[i].Encoded() + ".tar"
		all = append(all, testarchive.Member{Name: name, Data: l})
		links = append(links, testarchive.Member{Name: testarchive.LayerID(i) + "/layer.tar", Kind: tar.TypeSymlink, Link: "../" + name})
		item.Layers = append(item.Layers, name)
	}
	all = all.With(testarchive.Member{Name: item.Config, Data: s.Config}).With(links...)
	return all.With(testarchive.Member{Name: "manifest.json", Data: testarchive.JSON(tb, []manifestItem{item})})
}

// crane is what crane and others that use its library write: layers as registries have them.
func crane(tb testing.TB, s testarchive.Image, compress func(testing.TB, []byte) []byte, tags ...string) testarchive.Archive {
	tb.Helper()
	item := manifestItem{Config: s.ID().String(), RepoTags: tags}
	all := testarchive.Archive{{Name: item.Config, Data: s.Config}}
	for _, l := range s.Layers {
		data := string(compress(tb, []byte(l)))
		name := digest.FromString(data).Encoded() + ".tar.gz"
		all = append(all, testarchive.Member{Name: name, Data: data})
		item.Layers = append(item.Layers, name)
	}
	return append(all, testarchive.Member{Name: "manifest.json", Data: testarchive.JSON(tb, []manifestItem{item})})
}

func TestArchivesOfEveryAge(t *testing.T) {
	t.Parallel()
	s := testarchive.NewImage(t, "one")
	plain, oci := image.MediaTypeDockerLayer, ocispec.MediaTypeImageLayer
	for name, tc := range map[string]struct {
		members testarchive.Archive
		layers  string // their media type
	}{
		"Docker 1.10 to 24":               {s.Docker110(t, "busybox:1"), plain},
		"Docker 25, without containerd":   {docker25(t, s, "busybox:1"), oci},
		"Podman, Skopeo":                  {podman(t, s, "docker.io/library/busybox:1"), plain},
		"crane":                           {crane(t, s, testarchive.Gzip, "index.docker.io/library/busybox:1"), image.MediaTypeDockerLayerGzip},
		"crane, zstd":                     {crane(t, s, testarchive.Zstd, "busybox:1"), image.MediaTypeDockerLayerZstd},
		"by tar -c of a directory":        {prefixed("./", s.Docker110(t, "busybox:1")), plain},
		"manifest.json first":             {reversed(podman(t, s, "busybox:1")), plain},
		"layers that are links":           {linked(tar.TypeSymlink, "../", s.Docker110(t, "busybox:1")), plain},
		"layers that are hard links":      {linked(tar.TypeLink, "", s.Docker110(t, "busybox:1")), plain},
		"names that are only in Docker's": {unnamedIndex(t, docker25(t, s, "busybox:1")), oci},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := mustRead(t, tc.members.Pack(t), Docker)
			images := imagesOf(t, r)
			if len(images) != 1 || !slices.Equal(images[0].Names, []string{"docker.io/library/busybox:1"}) {
				t.Fatalf("images: %+v", images)
			}
			nodes := graph(t, images[0].Source())
			if config := nodes[1].Desc; config.Digest != s.ID() {
				t.Errorf("the config is %s, want %s", config.Digest, s.ID())
			}
			for i, n := range nodes[2:] {
				if n.Desc.MediaType != tc.layers || strings.HasSuffix(tc.layers, ".tar") && n.Desc.Digest != s.DiffIDs[i] {
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

func prefixed(prefix string, members testarchive.Archive) testarchive.Archive {
	for i := range members {
		members[i].Name = prefix + members[i].Name
	}
	return members
}

func reversed(members testarchive.Archive) testarchive.Archive {
	slices.Reverse(members)
	return members
}

// linked moves the layers elsewhere and leaves links in their places.
func linked(kind byte, up string, members testarchive.Archive) testarchive.Archive {
	var all testarchive.Archive
	for i, m := range members {
		if strings.HasSuffix(m.Name, "/layer.tar") {
			moved := fmt.Sprintf("moved-%d", i)
			all = append(all, testarchive.Member{Name: m.Name, Kind: kind, Link: up + moved}, testarchive.Member{Name: moved, Data: m.Data})
			continue
		}
		all = append(all, m)
	}
	return all
}

// unnamedIndex takes the names out of index.json.
func unnamedIndex(tb testing.TB, members testarchive.Archive) testarchive.Archive {
	tb.Helper()
	for i, m := range members {
		if m.Name != "index.json" {
			continue
		}
		list, err := ocilayout.DecodeIndex([]byte(m.Data), image.Limits{})
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
	im := imagesOf(t, mustRead(t, testarchive.NewImage(t, "one").Docker110(t, "busybox:1").Pack(t), Docker))[0]
	if im.Root.Digest != want || im.Root.MediaType != image.MediaTypeDockerManifest || im.Root.Platform == nil || im.Root.Platform.Architecture != "amd64" {
		t.Errorf("the root is %+v, want %s", im.Root, want)
	}
}
