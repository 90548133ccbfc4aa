package archive

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testarchive"
	"github.com/dhowhq/dhow/transport"
)

// docker19 is what Docker before 1.10 wrote of an image with two names, and of the one that it
// stands upon.
func docker19(s testarchive.Image) testarchive.Archive {
	return s.Docker19(fmt.Sprintf(`{"busybox":{"1":"%[1]s","one":"%[1]s"},"example.com/base":{"latest":"%[2]s"}}`, testarchive.LayerID(1), testarchive.LayerID(0)))
}

// configIn returns the config of an image.
func configIn(tb testing.TB, im Image) string {
	tb.Helper()
	src := im.Source()
	for _, n := range graph(tb, src) {
		if n.Role == "config" {
			data, err := transport.Fetch(tb.Context(), src, n.Desc, 1<<20)
			if err != nil {
				tb.Fatal(err)
			}
			return string(data)
		}
	}
	tb.Fatal("no config")
	return ""
}

func TestArchivesOfDocker19(t *testing.T) {
	t.Parallel()
	s := testarchive.NewImage(t, "one")
	images := imagesOf(t, mustRead(t, docker19(s).Pack(t), Docker))
	if len(images) != 2 || !slices.Equal(images[0].Names, []string{"docker.io/library/busybox:1", "docker.io/library/busybox:one"}) ||
		!slices.Equal(images[1].Names, []string{"example.com/base:latest"}) {
		t.Fatalf("images: %+v", images)
	}
	// These are the bytes that Docker makes: members by their names, and < and > escaped.
	history := func(i int) string {
		return fmt.Sprintf(`{"created":"2015-0%d-01T00:00:00.5Z","author":"a","created_by":"/bin/sh -c #(nop) ADD \u003c%d\u003e"}`, i+1, i)
	}
	want := fmt.Sprintf(`{"architecture":"amd64","author":"a","config":{"Cmd":["/one"]},"container":"01","container_config":{"Hostname":"x","Cmd":["/bin/sh","-c","#(nop) ADD \u003c1\u003e"]},`+
		`"created":"2015-02-01T00:00:00.5Z","docker_version":"1.9.1","history":[%s,%s],"os":"linux","rootfs":{"type":"layers","diff_ids":["%s","%s"]}}`, history(0), history(1), s.DiffIDs[0], s.DiffIDs[1])
	if got := configIn(t, images[0]); got != want {
		t.Errorf("config:\n%s\nwant:\n%s", got, want)
	}
	if nodes := graph(t, images[0].Source()); len(nodes) != 4 || nodes[2].Desc.Digest != s.DiffIDs[0] || nodes[3].Desc.Digest != s.DiffIDs[1] {
		t.Errorf("%d nodes, want the layers %s", len(nodes), s.DiffIDs)
	}
	if nodes := graph(t, images[1].Source()); len(nodes) != 3 {
		t.Errorf("the base has %d nodes", len(nodes))
	}

	images = imagesOf(t, mustRead(t, docker19(s).Without("repositories").Pack(t), Docker))
	if len(images) != 1 || len(images[0].Names) > 0 || configIn(t, images[0]) != want {
		t.Errorf("saved by its ID: %+v", images)
	}
}

func TestArchivesOfDocker19AreChecked(t *testing.T) {
	t.Parallel()
	s := testarchive.NewImage(t, "one")
	good := docker19(s)
	replace := func(name, before, after string) testarchive.Archive {
		data := good.Data(t, name)
		if !strings.Contains(data, before) {
			t.Fatalf("%s has no %s", name, before)
		}
		return good.Set(t, name, strings.Replace(data, before, after, 1))
	}
	top, base := testarchive.LayerID(1), testarchive.LayerID(0)
	for name, tc := range map[string]struct {
		members testarchive.Archive
		want    string
	}{
		"B69 repositories is no JSON":           {good.Set(t, "repositories", "{"), "repositories"},
		"B69 name that breaks the grammar":      {replace("repositories", "busybox", "Busy Box"), "Busy Box"},
		"B69 tag that breaks the grammar":       {replace("repositories", `"1"`, `"-1"`), "busybox:-1"},
		"B69 a name twice":                      {replace("repositories", `"one"`, `"1"`), "busybox"},
		"ID that leads elsewhere":               {replace("repositories", base, "../../etc"), `"../../etc"`},
		"ID in upper case":                      {replace("repositories", top, strings.Repeat("AB", 32)), "ID of a layer"},
		"layer that repositories names is gone": {good.Without(top + "/json"), top + "/json"},
		"layer below is gone":                   {good.Without(base + "/json"), base + "/json"},
		"content of a layer is gone":            {good.Without(base + "/layer.tar"), base + "/layer.tar"},
		"layer that stands on itself":           {replace(base+"/json", `"id":`, `"parent":"`+top+`","id":`), "stands on itself"},
		"parent that leads elsewhere":           {replace(top+"/json", base, "../../etc"), `"../../etc"`},
		"layer's JSON is no JSON":               {good.Set(t, top+"/json", "[]"), top + "/json"},
		"layer's JSON has a member twice":       {replace(top+"/json", `"author"`, `"os":"x","author"`), top + "/json"},
		"layer compressed with bzip2":           {good.Set(t, base+"/layer.tar", "BZh91AY"), "bzip2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := reader(t, tc.members.Pack(t), Docker, Options{})
			if err == nil {
				_, err = r.Images(t.Context())
			}
			if !errdefs.IsInvalidArgument(err) && !errdefs.IsNotImplemented(err) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v; want an error with %q", err, tc.want)
			}
		})
	}
}

// TestSeveralImagesOfAnOldArchive has images that share a layer, under names of one repository
// and of another, and without any.
func TestSeveralImagesOfAnOldArchive(t *testing.T) {
	t.Parallel()
	one, two := testarchive.NewImage(t, "one"), testarchive.NewImage(t, "two")
	ownLayer := two.DiffIDs[0]
	two.Layers[0], two.DiffIDs[0] = one.Layers[0], one.DiffIDs[0]
	two.Config = strings.Replace(two.Config, ownLayer.String(), one.DiffIDs[0].String(), 1)
	items := []manifestItem{
		{Config: "1.json", RepoTags: []string{"app:a", "app:b"}, Layers: []string{"l0", "l1"}},
		{Config: "2.json", RepoTags: []string{"app:c"}, Layers: []string{"l0", "l2"}},
		{Config: "1.json", Layers: []string{"l0", "l1"}},
	}
	data := testarchive.Archive{
		{Name: "1.json", Data: one.Config}, {Name: "2.json", Data: two.Config}, {Name: "l0", Data: one.Layers[0]},
		{Name: "l1", Data: one.Layers[1]}, {Name: "l2", Data: two.Layers[1]}, {Name: "manifest.json", Data: testarchive.JSON(t, items)},
	}.Pack(t)
	r := mustRead(t, data, Docker)
	images := imagesOf(t, r)
	if len(images) != 3 || images[0].Root.Digest != images[2].Root.Digest || images[0].Root.Digest == images[1].Root.Digest {
		t.Fatalf("images: %+v", images)
	}
	for _, im := range images {
		graph(t, im.Source())
	}
	src := images[1].Source()
	var names []string
	if err := src.Names(t.Context(), func(name string) bool { names = append(names, name); return true }); err != nil || !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Errorf("names: %q, %v", names, err)
	}
	if desc, err := src.Resolve(t.Context(), "b"); err != nil || desc.Digest != images[0].Root.Digest {
		t.Errorf("Resolve: %v, %v", desc, err)
	}
	if desc, err := src.Resolve(t.Context(), "d"); !errdefs.IsNotFound(err) {
		t.Errorf("Resolve of a tag that is not there: %v, %v", desc, err)
	}
	if found, err := src.Referrers(t.Context(), images[1].Root.Digest); err != nil || found == nil || len(found) > 0 {
		t.Errorf("Referrers: %v, %v", found, err)
	}
	if _, err := src.Open(t.Context(), ocispec.Descriptor{Digest: two.ID(), Size: 1}, 0); !errdefs.IsDataLoss(err) {
		t.Errorf("Open with another size: %v", err)
	}
	if _, err := images[0].Source().Open(t.Context(), ocispec.Descriptor{Digest: two.ID(), Size: -1}, 0); !errdefs.IsNotFound(err) {
		t.Errorf("Open of what another image has: %v", err)
	}
	for ref, want := range map[Reference]error{
		{}:                                errdefs.ErrInvalidArgument,
		{Name: "docker.io/library/app:d"}: errdefs.ErrNotFound,
		Reference{}.At(3):                 errdefs.ErrNotFound,
		Reference{}.At(2):                 nil,
		{Name: "docker.io/library/app:c"}: nil,
	} {
		position, _ := ref.Position()
		if im, err := r.view.find(t.Context(), ref.Name, position); !isKind(err, want) {
			t.Errorf("%+v: %v, %v; want %v", ref, im, err, want)
		}
	}
}
