package service_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/service"
)

// save writes an archive.
func (f *fixture) save(tb testing.TB, opts service.SaveOptions, references ...string) ([]byte, service.Saved) {
	tb.Helper()
	var buf bytes.Buffer
	saved, err := f.Save(tb.Context(), &buf, references, opts)
	if err != nil {
		tb.Fatal("Save:", err)
	}
	return buf.Bytes(), saved
}

// loadAnew loads an archive into a new store.
func loadAnew(tb testing.TB, data []byte, opts service.LoadOptions) (*fixture, service.Loaded) {
	tb.Helper()
	f := newFixture(tb, service.Options{})
	loaded, err := f.Load(tb.Context(), bytes.NewReader(data), opts)
	if err != nil {
		tb.Fatal("Load:", err)
	}
	return f, loaded
}

// targets returns what the records of the store point at, by their keys.
func (f *fixture) targets(tb testing.TB) map[string]digest.Digest {
	tb.Helper()
	all := map[string]digest.Digest{}
	for key, rec := range f.records(tb) {
		all[key] = rec.Target.Digest
	}
	return all
}

// wantAll checks that the store has all that a source has made of roots, byte for byte.
func (f *fixture) wantAll(tb testing.TB, src *testimage.Store, roots ...ocispec.Descriptor) {
	tb.Helper()
	(&fixture{store: f.store, src: src}).wantBytes(tb, digestsOf(tb, src, roots...)...)
}

func withAttestations(f *fixture, entries ...ocispec.Descriptor) ocispec.Descriptor {
	for _, e := range slices.Clone(entries) {
		entries = append(entries, f.src.Attestation(e))
	}
	return f.src.Index(entries...)
}

// lack is what is not there of an image, by the digests of its manifests.
func lack(digests ...digest.Digest) func(*image.Node) bool {
	return func(n *image.Node) bool { return slices.Contains(digests, n.Desc.Digest) }
}

// TestSaveRoundTrip checks that what was saved as it is comes back byte for byte, under
// the names by which it was asked for.
func TestSaveRoundTrip(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{})
	amd, arm := f.image(t, "linux/amd64", "app"), f.image(t, "linux/arm64", "app")
	list, single := withAttestations(f, amd, arm), f.image(t, "linux/amd64", "single")
	docker := f.src.List(f.src.Image(testimage.Image{Family: testimage.Docker, Platform: parsePlatform(t, "linux/s390x")}))
	nested := f.src.Index(f.src.Index(f.image(t, "linux/arm64", "nested")), amd)
	f.put(t, list, "app:1", "app:2")
	f.put(t, single, "team/single")
	f.put(t, docker, "docker")
	f.put(t, nested, "nested:x")
	for name, tc := range map[string]struct {
		references []string
		want       map[string]digest.Digest
		roots      []ocispec.Descriptor
	}{
		"a list by a name": {[]string{"app:1"}, map[string]digest.Digest{"docker.io/library/app:1": list.Digest}, []ocispec.Descriptor{list}},
		"all tags of a repository": {
			[]string{"app"}, map[string]digest.Digest{"docker.io/library/app:1": list.Digest, "docker.io/library/app:2": list.Digest}, []ocispec.Descriptor{list},
		},
		"an ID has no name": {[]string{list.Digest.String()[:20]}, map[string]digest.Digest{"@" + list.Digest.String(): list.Digest}, []ocispec.Descriptor{list}},
		"a digest has none": {[]string{"app@" + list.Digest.String()}, map[string]digest.Digest{"@" + list.Digest.String(): list.Digest}, []ocispec.Descriptor{list}},
		"a manifest of a list": {
			[]string{arm.Digest.String()}, map[string]digest.Digest{"@" + arm.Digest.String(): arm.Digest}, []ocispec.Descriptor{arm},
		},
		"several images that share blobs, one twice": {
			[]string{"app:2", "docker", "nested:x", "team/single:latest", "app:1", list.Digest.String()},
			map[string]digest.Digest{
				"docker.io/library/app:1": list.Digest, "docker.io/library/app:2": list.Digest, "docker.io/library/docker:latest": docker.Digest,
				"docker.io/library/nested:x": nested.Digest, "docker.io/team/single:latest": single.Digest,
			},
			[]ocispec.Descriptor{list, docker, nested, single},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, saved := f.save(t, service.SaveOptions{}, tc.references...)
			for _, im := range saved.Images {
				if im.Part != service.SavedAll || im.Root.Digest != im.Image.Digest || len(im.Left) > 0 || len(im.Notes) > 0 {
					t.Errorf("saved: %s of %s as %s, left %v, %q", im.Part, im.Image.Digest, im.Root.Digest, im.Left, im.Notes)
				}
			}
			again, _ := f.save(t, service.SaveOptions{}, tc.references...)
			if !bytes.Equal(data, again) {
				t.Error("the same images give other bytes")
			}
			to, _ := loadAnew(t, data, service.LoadOptions{})
			if diff := cmp.Diff(tc.want, to.targets(t)); diff != "" {
				t.Error("records (-want +got):\n", diff)
			}
			to.wantAll(t, f.src, tc.roots...)
		})
	}
}

// TestSavePart checks which part of a list is saved, that it loads, and what is said.
func TestSavePart(t *testing.T) {
	t.Parallel()
	amd, arm, s390 := "linux/amd64", "linux/arm64", "linux/s390x"
	for name, tc := range map[string]struct {
		absent, asked []string
		index         service.SaveIndex
		part          service.SavedPart
		has, left     []string // platforms
		attested      int
	}{
		"what is there":             {[]string{s390}, nil, "", service.SavedPruned, []string{amd, arm}, []string{s390}, 2},
		"one that is there":         {[]string{amd, arm}, nil, "", service.SavedPruned, []string{s390}, []string{amd, arm}, 1},
		"what is there, whole list": {[]string{s390}, nil, service.SaveWhole, service.SavedSparse, []string{amd, arm}, []string{s390}, 2},
		"pruned, nothing is absent": {nil, nil, service.SavePruned, service.SavedAll, []string{amd, arm, s390}, nil, 3},
		"one platform":              {nil, []string{arm}, "", service.SavedOne, []string{arm}, []string{amd, s390}, 0},
		"one platform, whole list":  {nil, []string{arm}, service.SaveWhole, service.SavedSparse, []string{arm}, []string{amd, s390}, 1},
		"two platforms":             {[]string{s390}, []string{arm, amd}, "", service.SavedPruned, []string{amd, arm}, []string{s390}, 2},
		"all platforms":             {nil, []string{arm, amd, s390}, "", service.SavedAll, []string{amd, arm, s390}, nil, 3},
		"two platforms, whole list": {nil, []string{arm, amd}, service.SaveWhole, service.SavedSparse, []string{amd, arm}, []string{s390}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, service.Options{})
			by := map[string]ocispec.Descriptor{}
			for _, p := range []string{amd, arm, s390} {
				by[p] = f.image(t, p, "app")
			}
			list := withAttestations(f, by[amd], by[arm], by[s390])
			var absent []digest.Digest
			for _, p := range tc.absent {
				absent = append(absent, by[p].Digest, attestationOf(t, f, list, by[p].Digest))
			}
			f.putPart(t, list, lack(absent...), "app:1")
			opts := service.SaveOptions{Index: tc.index}
			for _, p := range tc.asked {
				opts.Platforms = append(opts.Platforms, parsePlatform(t, p))
			}
			data, saved := f.save(t, opts, "app:1")
			im := saved.Images[0]
			if im.Part != tc.part || (len(im.Notes) > 0) != (tc.part != service.SavedAll) {
				t.Errorf("saved %s, notes %q; want %s", im.Part, im.Notes, tc.part)
			}
			if same := im.Root.Digest == list.Digest; same != (tc.part == service.SavedAll || tc.part == service.SavedSparse) {
				t.Errorf("saved %s as %s", list.Digest, im.Root.Digest)
			}
			for _, p := range tc.left {
				if !slices.ContainsFunc(im.Left, func(d ocispec.Descriptor) bool { return d.Digest == by[p].Digest }) {
					t.Errorf("%s is not said to be left", p)
				}
			}
			to, loaded := loadAnew(t, data, service.LoadOptions{})
			if diff := cmp.Diff(map[string]digest.Digest{"docker.io/library/app:1": im.Root.Digest}, to.targets(t)); diff != "" {
				t.Error("records (-want +got):\n", diff)
			}
			if missing := len(loaded.Images[0].Left) > 0; missing != (tc.part == service.SavedSparse) {
				t.Errorf("left when it was loaded: %v", loaded.Images[0].Left)
			}
			for _, p := range tc.has {
				to.wantAll(t, f.src, by[p])
			}
			attested := 0
			for _, p := range []string{amd, arm, s390} {
				if to.has(t, attestationOf(t, f, list, by[p].Digest)) {
					attested++
				}
			}
			if attested != tc.attested {
				t.Errorf("%d attestations are there, not %d", attested, tc.attested)
			}
		})
	}
}

// attestationOf returns what attests an entry of a list.
func attestationOf(tb testing.TB, f *fixture, list ocispec.Descriptor, of digest.Digest) digest.Digest {
	tb.Helper()
	for _, e := range f.children(tb, list) {
		if about, ok := image.AttestationOf(e); ok && about == of {
			return e.Digest
		}
	}
	tb.Fatal("nothing attests", of)
	return ""
}

// TestSaveSigned checks that a list which is signed is not changed unless that is asked
// for.
func TestSaveSigned(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{})
	amd, arm := f.image(t, "linux/amd64", "app"), f.image(t, "linux/arm64", "app")
	list := f.src.Index(amd, arm)
	tag, sig := f.src.CosignTag(list, "sig")
	f.putPart(t, list, lack(arm.Digest), "app:1")
	f.put(t, sig, "app:"+tag)
	data, saved := f.save(t, service.SaveOptions{}, "app:1")
	if im := saved.Images[0]; im.Part != service.SavedSparse || im.Root.Digest != list.Digest || !strings.Contains(strings.Join(im.Notes, "\n"), "signed by") {
		t.Errorf("saved %s as %s, %s, %q", list.Digest, im.Root.Digest, im.Part, im.Notes)
	}
	to, _ := loadAnew(t, data, service.LoadOptions{})
	want := map[string]digest.Digest{"docker.io/library/app:1": list.Digest, "docker.io/library/app:" + tag: sig.Digest}
	if diff := cmp.Diff(want, to.targets(t)); diff != "" {
		t.Error("records (-want +got):\n", diff)
	}
	var out bytes.Buffer
	if _, err := f.Save(t.Context(), &out, []string{"app:1"}, service.SaveOptions{Index: service.SavePruned}); !errdefs.IsFailedPrecondition(err) || out.Len() > 0 {
		t.Errorf("pruned: %v, %d bytes", err, out.Len())
	}
}

// TestSaveErrors checks that nothing is written before all is found.
func TestSaveErrors(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{})
	amd, arm := f.image(t, "linux/amd64", "app"), f.image(t, "linux/arm64", "app")
	f.putPart(t, f.src.Index(amd, arm), lack(arm.Digest), "app:1")
	broken := f.image(t, "linux/amd64", "broken")
	f.putPart(t, broken, lack(f.children(t, broken)[1].Digest), "broken")
	f.putPart(t, f.src.Index(broken, arm), lack(arm.Digest, f.children(t, broken)[1].Digest), "none")
	for name, tc := range map[string]struct {
		references []string
		opts       service.SaveOptions
		kind       func(error) bool
		text       string
	}{
		"no image":                 {nil, service.SaveOptions{}, errdefs.IsInvalidArgument, "no image is named"},
		"an unknown name":          {[]string{"app:1", "other"}, service.SaveOptions{}, errdefs.IsNotFound, "No such image: other:latest"},
		"an unknown tag":           {[]string{"app:2"}, service.SaveOptions{}, errdefs.IsNotFound, "No such image: app:2"},
		"an unknown part":          {[]string{"app:1"}, service.SaveOptions{Index: "half"}, errdefs.IsInvalidArgument, "half"},
		"nothing to complete from": {[]string{"app:1"}, service.SaveOptions{Index: service.SaveCompleted}, errdefs.IsInvalidArgument, "completes"},
		"a platform that is not there": {
			[]string{"app:1"}, service.SaveOptions{Platforms: []ocispec.Platform{parsePlatform(t, "linux/arm64")}}, errdefs.IsNotFound, "no suitable export target found for platform linux/arm64",
		},
		"an image that lacks a layer": {[]string{"app:1", "broken"}, service.SaveOptions{}, errdefs.IsUnavailable, "is missing"},
		"a list without an image":     {[]string{"none"}, service.SaveOptions{}, errdefs.IsNotFound, "does not provide any platform"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			_, err := f.Save(t.Context(), &out, tc.references, tc.opts)
			if err == nil || !tc.kind(err) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("Save: %v, want %q", err, tc.text)
			}
			if out.Len() > 0 {
				t.Errorf("%d bytes were written", out.Len())
			}
			if leases, err := f.store.Leases(t.Context()); err != nil {
				t.Error(leases, err)
			}
		})
	}
}
