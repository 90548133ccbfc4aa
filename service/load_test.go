package service_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testarchive"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
)

// TestLoadAges checks that what Docker of each age has saved is loaded under its names,
// compressed or not, and can be had.
func TestLoadAges(t *testing.T) {
	t.Parallel()
	o := testarchive.NewImage(t, "old")
	docker := o.Docker110(t, "app:1")
	links := docker.Link(t, testarchive.LayerID(1)+"/layer.tar", tar.TypeSymlink, "../"+testarchive.LayerID(7)+"/layer.tar").
		With(testarchive.Member{Name: testarchive.LayerID(7) + "/layer.tar", Data: o.Layers[1]})
	plain := docker.Pack(t)
	for name, tc := range map[string]struct {
		data []byte
		id   digest.Digest // of the config; empty where that is made
	}{
		"Docker before 1.10":             {docker19(o).Pack(t), ""},
		"Docker 1.10 to 24":              {plain, o.ID()},
		"a layer as a link":              {links.Pack(t), o.ID()},
		"without repositories, and gzip": {testarchive.Gzip(t, docker.Without("repositories").Pack(t)), o.ID()},
		"zstd":                           {testarchive.Zstd(t, plain), o.ID()},
		"bzip2":                          {bzip2ed(t, plain), o.ID()},
		"xz":                             {testarchive.Xz(t, plain), o.ID()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, loaded := loadAnew(t, tc.data, service.LoadOptions{})
			target := loaded.Images[0].Target.Digest
			if diff := cmp.Diff(map[string]digest.Digest{"docker.io/library/app:1": target}, f.targets(t)); diff != "" {
				t.Error("records (-want +got):\n", diff)
			}
			p := parsePlatform(t, "linux/amd64")
			img, err := f.Get(t.Context(), "app:1", service.GetOptions{Platform: &p})
			if err != nil {
				t.Fatal(err)
			}
			if tc.id != "" && img.Instance.Config != tc.id {
				t.Errorf("the config is %s, not %s", img.Instance.Config, tc.id)
			}
			for _, d := range o.DiffIDs {
				if !f.has(t, d) {
					t.Errorf("layer %s is not there", d)
				}
			}
			again, err := f.Load(t.Context(), bytes.NewReader(tc.data), service.LoadOptions{})
			if err != nil || again.Images[0].Copied != 0 || again.Images[0].Target.Digest != target {
				t.Errorf("again: %+v, %v", again, err)
			}
		})
	}
}

// TestLoadNames checks that a name which is another image's is left to it unless that is
// asked for, and what is said.
func TestLoadNames(t *testing.T) {
	t.Parallel()
	from := newFixture(t, service.Options{})
	list := from.index(t, "app", "linux/amd64", "linux/arm64")
	from.put(t, list, "app:1", "app:2")
	data, _ := from.save(t, service.SaveOptions{}, "app")
	nameless, _ := from.save(t, service.SaveOptions{}, list.Digest.String())
	const one, two = "docker.io/library/app:1", "docker.io/library/app:2"
	for name, tc := range map[string]struct {
		data  []byte
		here  []string // names of another image
		opts  service.LoadOptions
		want  map[string]string // "new" or "old" by keys
		kept  int
		names int
	}{
		"new names":              {data, nil, service.LoadOptions{}, map[string]string{one: "new", two: "new"}, 0, 2},
		"B70 one is taken":       {data, []string{"app:1"}, service.LoadOptions{}, map[string]string{one: "old", two: "new"}, 1, 1},
		"B70 both are taken":     {data, []string{"app:1", "app:2"}, service.LoadOptions{}, map[string]string{one: "old", two: "old", "@new": "new"}, 2, 0},
		"B70 taken and replaced": {data, []string{"app:1", "app:2"}, service.LoadOptions{Replace: true}, map[string]string{one: "new", two: "new", "@old": "old"}, 0, 2},
		"no name":                {nameless, nil, service.LoadOptions{}, map[string]string{"@new": "new"}, 0, 0},
		"a name is given":        {nameless, []string{"app:1"}, service.LoadOptions{Names: []string{"app:1"}}, map[string]string{one: "new", "@old": "old"}, 0, 1},
		"another one is given":   {data, nil, service.LoadOptions{Names: []string{"x"}}, map[string]string{"docker.io/library/x:latest": "new"}, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, service.Options{})
			other := f.image(t, "linux/amd64", "other")
			if len(tc.here) > 0 {
				f.put(t, other, tc.here...)
			}
			loaded, err := f.Load(t.Context(), bytes.NewReader(tc.data), tc.opts)
			if err != nil {
				t.Fatal(err)
			}
			digests := map[string]digest.Digest{"old": other.Digest, "new": list.Digest}
			want := map[string]digest.Digest{}
			for key, which := range tc.want {
				if key[0] == '@' {
					key = "@" + string(digests[which])
				}
				want[key] = digests[which]
			}
			if diff := cmp.Diff(want, f.targets(t)); diff != "" {
				t.Error("records (-want +got):\n", diff)
			}
			im := loaded.Images[0]
			if len(im.Kept) != tc.kept || len(im.Notes) != tc.kept || len(im.Names) != tc.names {
				t.Errorf("%d kept, %d names, notes %q", len(im.Kept), len(im.Names), im.Notes)
			}
			f.wantAll(t, from.src, list)
			f.wantNoLease(t)
		})
	}
}

// wantNoLease checks that nothing is held any more.
func (f *fixture) wantNoLease(tb testing.TB) {
	tb.Helper()
	if leases, err := f.store.Leases(context.Background()); err != nil || len(leases) > 0 {
		tb.Errorf("leases are left: %v, %v", leases, err)
	}
}

// wantNothing checks that all that the store has is what it had before, and nothing is
// left of what was not loaded.
func (f *fixture) wantNothing(tb testing.TB, before map[string]digest.Digest, blobs int) {
	tb.Helper()
	if diff := cmp.Diff(before, f.targets(tb)); diff != "" {
		tb.Error("records (-want +got):\n", diff)
	}
	f.wantNoLease(tb)
	if _, err := store.Collect(tb.Context(), f.store); err != nil {
		tb.Error(err)
	}
	if partial, err := f.store.Partial(tb.Context()); err != nil || len(partial) > 0 {
		tb.Errorf("partial blobs are left: %+v, %v", partial, err)
	}
	if n := f.blobs(tb); n != blobs {
		tb.Errorf("%d blobs, there were %d", n, blobs)
	}
}

// TestLoadBroken checks that a broken archive changes no name and leaves nothing behind.
func TestLoadBroken(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{})
	list := f.index(t, "app", "linux/amd64", "linux/arm64")
	f.put(t, list, "app:1")
	other := f.image(t, "linux/amd64", "other")
	f.put(t, other, "app:2")
	data, _ := f.save(t, service.SaveOptions{}, "app")
	layer := f.children(t, other)[1].Digest
	layout, _ := testarchive.Unpack(t, data)
	o := testarchive.NewImage(t, "old")
	docker := o.Docker110(t, "app:1")
	item := testarchive.Item{
		Config: o.ID().Encoded() + ".json", RepoTags: []string{"app:1"},
		Layers: []string{testarchive.LayerID(0) + "/layer.tar", testarchive.LayerID(1) + "/layer.tar"},
	}
	manifest := func(text string) []byte {
		return docker.Set(t, "manifest.json", text).Pack(t)
	}
	link := func(target string) []byte {
		return docker.Link(t, testarchive.LayerID(1)+"/layer.tar", tar.TypeSymlink, target).Pack(t)
	}
	blob := "blobs/sha256/" + layer.Encoded()
	cut := item
	cut.Layers = cut.Layers[:1]
	gone := item
	gone.Layers = []string{"none", "none"}
	for name, tc := range map[string]struct {
		data []byte
		kind func(error) bool
		text string
	}{
		"no archive":                       {[]byte(strings.Repeat("garbage ", 200)), errdefs.IsInvalidArgument, ""},
		"nothing":                          {nil, errdefs.IsInvalidArgument, "empty"},
		"an archive of nothing":            {testarchive.Archive{}.Pack(t), errdefs.IsInvalidArgument, ""},
		"cut off":                          {data[:len(data)*2/3], errdefs.IsInvalidArgument, ""},
		"compressed with xz":               {[]byte("\xfd7zXZ\x00..."), errdefs.IsInvalidArgument, "xz"},
		"compressed and cut off":           {testarchive.Gzip(t, data)[:2000], errdefs.IsInvalidArgument, "cut off"},
		"the last blob is damaged":         {layout.Edit(t, blob, func(m *testarchive.Member) { m.Data = "x" + m.Data[1:] }).Pack(t), errdefs.IsDataLoss, layer.String()},
		"the last blob is shorter":         {layout.Edit(t, blob, func(m *testarchive.Member) { m.Data = m.Data[1:] }).Pack(t), errdefs.IsDataLoss, layer.String()},
		"a layer is not there":             {layout.Without(blob).Pack(t), errdefs.IsInvalidArgument, ""},
		"B66 a layer linked out":           {link("../../../etc/passwd"), errdefs.IsInvalidArgument, "layer.tar"},
		"B66 a layer linked to itself":     {link("layer.tar"), errdefs.IsInvalidArgument, "layer.tar"},
		"B66 a layer linked to nothing":    {link("../none/layer.tar"), errdefs.IsInvalidArgument, "layer.tar"},
		"B67 no manifest.json":             {testarchive.Archive{{Name: item.Config, Data: o.Config}}.Pack(t), errdefs.IsInvalidArgument, ""},
		"B67 manifest.json twice":          {docker.With(testarchive.Member{Name: "manifest.json", Data: "[]"}).Pack(t), errdefs.IsInvalidArgument, "manifest.json"},
		"B67 manifest.json without images": {manifest("[]"), errdefs.IsInvalidArgument, "no images"},
		"B67 manifest.json is null":        {manifest("null"), errdefs.IsInvalidArgument, "null"},
		"B67 a layer that is not there":    {manifest(testarchive.JSON(t, []testarchive.Item{gone})), errdefs.IsInvalidArgument, `"none"`},
		"B67 fewer layers than the config": {manifest(testarchive.JSON(t, []testarchive.Item{cut})), errdefs.IsInvalidArgument, "layers"},
		"B68 the two do not agree": {
			layout.Without("manifest.json").With(docker...).Pack(t), errdefs.IsInvalidArgument, "",
		},
		"B69 repositories is no JSON": {
			docker19(o).Set(t, "repositories", "{").Pack(t), errdefs.IsInvalidArgument, "repositories",
		},
		"B69 a bad name in repositories": {
			docker19(o).Set(t, "repositories", `{"../x":{"1":"`+testarchive.LayerID(1)+`"}}`).Pack(t), errdefs.IsInvalidArgument, "../x",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to := newFixture(t, service.Options{})
			here := to.image(t, "linux/amd64", "here")
			to.put(t, here, "app:1")
			before, blobs := to.targets(t), to.blobs(t)
			_, err := to.Load(t.Context(), bytes.NewReader(tc.data), service.LoadOptions{Replace: true})
			if err == nil || !tc.kind(err) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("Load: %v, want %q", err, tc.text)
			}
			to.wantNothing(t, before, blobs)
		})
	}
}

// TestLoadInterrupted checks the same of a stream that fails, and of one that never ends.
func TestLoadInterrupted(t *testing.T) {
	t.Parallel()
	from := newFixture(t, service.Options{})
	from.put(t, from.index(t, "app", "linux/amd64", "linux/arm64"), "app:1")
	data, _ := from.save(t, service.SaveOptions{}, "app:1")
	f := newFixture(t, service.Options{})
	boom := errors.New("boom")
	half := io.MultiReader(bytes.NewReader(data[:len(data)/2]), iotest.ErrReader(boom))
	if _, err := f.Load(t.Context(), half, service.LoadOptions{}); !errors.Is(err, boom) {
		t.Errorf("Load: %v", err)
	}
	f.wantNothing(t, map[string]digest.Digest{}, 0)
	ctx, cancel := context.WithCancel(t.Context())
	pr, pw := io.Pipe()
	t.Cleanup(func() { _ = pw.Close() }) // never fails
	go func() {
		_, _ = pw.Write(data[:len(data)/2])
		cancel()
	}()
	if _, err := f.Load(ctx, pr, service.LoadOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Load: %v", err)
	}
	f.wantNothing(t, map[string]digest.Digest{}, 0)
}

// TestLoadPlatforms checks which instances are loaded.
func TestLoadPlatforms(t *testing.T) {
	t.Parallel()
	from := newFixture(t, service.Options{})
	amd, arm := from.image(t, "linux/amd64", "app"), from.image(t, "linux/arm64", "app")
	list, single := withAttestations(from, amd, arm), from.image(t, "linux/amd64", "single")
	from.put(t, list, "app:1")
	from.put(t, single, "single")
	data, _ := from.save(t, service.SaveOptions{}, "app:1", "single")
	for name, tc := range map[string]struct {
		asked  []string
		has    []ocispec.Descriptor
		hasNot []ocispec.Descriptor
		notes  int
		text   string
	}{
		"one":          {[]string{"linux/arm64"}, []ocispec.Descriptor{arm}, []ocispec.Descriptor{amd, single}, 1, ""},
		"in both":      {[]string{"linux/x86_64"}, []ocispec.Descriptor{amd, single}, []ocispec.Descriptor{arm}, 0, ""},
		"two":          {[]string{"linux/amd64", "linux/arm64"}, []ocispec.Descriptor{amd, arm, single}, nil, 0, ""},
		"one of two":   {[]string{"linux/s390x", "linux/arm64"}, []ocispec.Descriptor{arm}, []ocispec.Descriptor{amd}, 1, ""},
		"none is that": {[]string{"linux/s390x"}, nil, []ocispec.Descriptor{amd, arm, single}, 0, "no images providing the requested platform(s) found: [linux/s390x]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, service.Options{})
			var opts service.LoadOptions
			for _, p := range tc.asked {
				opts.Platforms = append(opts.Platforms, parsePlatform(t, p))
			}
			loaded, err := f.Load(t.Context(), bytes.NewReader(data), opts)
			if tc.text != "" {
				if !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), tc.text) {
					t.Errorf("Load: %v", err)
				}
				f.wantNothing(t, map[string]digest.Digest{}, 0)
				return
			}
			if err != nil || len(loaded.Notes) != tc.notes {
				t.Errorf("Load: %v, notes %q", err, loaded.Notes)
			}
			f.wantAll(t, from.src, tc.has...)
			for _, desc := range tc.hasNot {
				if f.has(t, desc.Digest) {
					t.Errorf("%s is there", platformOf(desc))
				}
			}
		})
	}
}

func platformOf(desc ocispec.Descriptor) string {
	return desc.Platform.OS + "/" + desc.Platform.Architecture
}
