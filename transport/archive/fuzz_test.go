package archive

import (
	"slices"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/ocilayout"
	"github.com/dhowhq/dhow/internal/testarchive"
	"github.com/dhowhq/dhow/transport"
)

// FuzzReader reads archives whose files hold anything: of each age, or of several at once.
func FuzzReader(f *testing.F) {
	s := testarchive.NewImage(f, "one")
	of := func(members testarchive.Archive, name string) []byte { return []byte(members.Data(f, name)) }
	old, recent, oldest := s.Docker110(f, "busybox:1"), docker25(f, s, "busybox:1"), docker19(s)
	f.Add(of(old, "manifest.json"), []byte(nil), []byte(nil), []byte(nil), []byte(s.Config), []byte(s.Layers[0]))
	f.Add(of(recent, "manifest.json"), of(recent, "index.json"), []byte(nil), []byte(manifestOf(f, s)), []byte(s.Config), []byte(s.Layers[0]))
	f.Add([]byte(nil), of(recent, "index.json"), []byte(nil), []byte(manifestOf(f, s)), []byte(s.Config), []byte(s.Layers[0]))
	f.Add([]byte(nil), []byte(nil), of(oldest, "repositories"), of(oldest, testarchive.LayerID(0)+"/json"), []byte(nil), []byte(s.Layers[0]))
	f.Add([]byte(`[{"Config":"config","RepoTags":["a","b:1"],"Layers":["layer"]},{"Config":"config"}]`), []byte(nil), []byte(nil), []byte(nil),
		[]byte(`{"rootfs":{"diff_ids":["`+digest.FromString("layer").String()+`"]}}`), []byte("layer"))
	f.Add([]byte(`[{"Config":"layer","Layers":["../x","link"],"RepoTags":["\u0000"]}]`), []byte(`{"manifests":[{}]}`), []byte(`{"a":{"b":"c"}}`), []byte("null"), testarchive.Gzip(f, nil), testarchive.Gzip(f, []byte("x")))
	f.Fuzz(func(t *testing.T, manifest, index, repositories, document, config, layer []byte) {
		members := testarchive.Archive{
			{Name: "config", Data: string(config)}, {Name: "layer", Data: string(layer)}, {Name: "link", Kind: '2', Link: "layer"},
			{Name: digest.FromBytes(config).Encoded() + ".json", Data: string(config)},
			{Name: testarchive.LayerID(0) + "/json", Data: string(document)}, {Name: testarchive.LayerID(0) + "/layer.tar", Data: string(layer)}, {Name: testarchive.LayerID(1) + "/layer.tar", Data: string(layer)},
		}
		for _, blob := range [][]byte{document, config, layer} {
			if m := blobMember(string(blob)); !slices.Contains(members, m) {
				members = append(members, m)
			}
		}
		for name, data := range map[string][]byte{"manifest.json": manifest, "index.json": index, "repositories": repositories} {
			if len(data) > 0 {
				members = append(members, testarchive.Member{Name: name, Data: string(data)})
			}
		}
		if len(index) > 0 {
			members = append(members, testarchive.Member{Name: "oci-layout", Data: ocilayout.Marker})
		}
		data := members.Pack(t)
		first := rootsOf(t, data)
		if again := rootsOf(t, data); !slices.Equal(first, again) {
			t.Errorf("read twice, the roots are %s and %s", first, again)
		}
	})
}

// rootsOf reads an archive, checks what it says, and returns the roots of its images.
func rootsOf(t *testing.T, data []byte) (roots []digest.Digest) {
	t.Helper()
	r, err := reader(t, data, Docker, Options{MaxStaged: 1 << 20})
	var images []Image
	if err == nil {
		images, err = r.Images(t.Context())
	}
	if err != nil {
		known := errdefs.IsInvalidArgument(err) || errdefs.IsResourceExhausted(err) || errdefs.IsNotImplemented(err) || errdefs.IsDataLoss(err) || errdefs.IsNotFound(err)
		if !known {
			t.Errorf("an error without a kind: %v", err)
		}
		return nil
	}
	for _, im := range images {
		roots = append(roots, im.Root.Digest)
		for _, name := range im.Names {
			if !isFull(name) {
				t.Errorf("%q is no full name", name)
			}
		}
		if _, err := image.ParseDigest(im.Root.Digest.String()); err != nil {
			t.Errorf("root: %v", err)
		}
		nodes, err := tryGraph(t, im.Source(), im.Root)
		if err != nil {
			continue // a blob that is not there, say
		}
		for _, n := range nodes {
			if n.Doc == nil {
				continue
			}
			if got, err := transport.Fetch(t.Context(), im.Source(), n.Desc, 1<<20); err != nil || digest.FromBytes(got) != n.Desc.Digest && n.Desc.Digest.Algorithm() == digest.SHA256 {
				t.Errorf("%s %s: %v", n.Role, n.Desc.Digest, err)
			}
		}
	}
	return roots
}
