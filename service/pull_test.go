package service_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/transport"
)

// eleven is an image for eleven platforms with an attestation of each, and what refers to
// it and to two of its manifests.
type eleven struct {
	root      ocispec.Descriptor
	manifests map[string]ocispec.Descriptor
	attests   map[string]ocispec.Descriptor
	referrers []ocispec.Descriptor
	ofRoot    ocispec.Descriptor
	of        map[string]ocispec.Descriptor // referrers of manifests
}

func (f *fixture) eleven(tb testing.TB, name string) eleven {
	tb.Helper()
	e := eleven{manifests: map[string]ocispec.Descriptor{}, attests: map[string]ocispec.Descriptor{}, of: map[string]ocispec.Descriptor{}}
	var entries []ocispec.Descriptor
	for _, p := range elevenPlatforms() {
		e.manifests[p] = f.src.Image(testimage.Image{Platform: parsePlatform(tb, p), Name: name, Layers: 2, LayerSize: 100 << 10})
		e.attests[p] = f.src.Attestation(e.manifests[p])
		entries = append(entries, e.manifests[p], e.attests[p])
	}
	e.root = f.src.Index(entries...)
	e.ofRoot = f.src.Referrer(e.root, "application/vnd.example.sbom", "of all")
	e.referrers = append(e.referrers, e.ofRoot)
	for _, p := range []string{"linux/arm64", "linux/s390x"} {
		e.of[p] = f.src.Referrer(e.manifests[p], "application/vnd.example.sbom", "of "+p)
		e.referrers = append(e.referrers, e.of[p])
	}
	return e
}

// part returns the digests of what belongs to platforms, without the list.
func (e eleven) part(tb testing.TB, f *fixture, platforms ...string) []digest.Digest {
	tb.Helper()
	var roots []ocispec.Descriptor
	for _, p := range platforms {
		roots = append(roots, e.manifests[p], e.attests[p])
		if r, ok := e.of[p]; ok {
			roots = append(roots, r)
		}
	}
	return digestsOf(tb, f.src, roots...)
}

// platforms parses platforms.
func platforms(tb testing.TB, names ...string) []ocispec.Platform {
	tb.Helper()
	var all []ocispec.Platform
	for _, name := range names {
		all = append(all, parsePlatform(tb, name))
	}
	return all
}

// TestPullPlatforms pulls two of eleven platforms, a third one, and then all: each time
// what is missing is fetched, once, and nothing else.
func TestPullPlatforms(t *testing.T) {
	for name, handler := range servers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, from := newFixture(t, service.Options{}), serve(t, handler(t))
			e := f.eleven(t, "busybox")
			from.give(t, f.src, e.root, "library/busybox:1.37", e.referrers...)

			list := digestsOf(t, f.src, e.ofRoot)
			two := slices.Concat(list, e.part(t, f, "linux/amd64", "linux/arm64"))
			third := without(e.part(t, f, "linux/s390x"), two...)
			rest := without(e.part(t, f, elevenPlatforms()...), slices.Concat(two, third)...)
			for _, step := range []struct {
				what   string
				opts   service.PullOptions
				want   []digest.Digest
				status service.PullStatus
			}{
				{"two", service.PullOptions{Platforms: platforms(t, "linux/amd64", "linux/arm64")}, two, service.Newer},
				{"the two again", service.PullOptions{Platforms: platforms(t, "linux/amd64", "linux/arm64")}, nil, service.UpToDate},
				{"a third", service.PullOptions{Platforms: platforms(t, "linux/s390x")}, third, service.Completed},
				{"all", service.PullOptions{All: true}, rest, service.Completed},
				{"all again", service.PullOptions{All: true}, nil, service.UpToDate},
				{"one of all", service.PullOptions{Platforms: platforms(t, "linux/mips")}, nil, service.UpToDate},
			} {
				p, err := f.Pull(t.Context(), from.source(t, "library/busybox:1.37"), "busybox", step.opts)
				if err != nil {
					t.Fatalf("%s: %v", step.what, err)
				}
				asked := from.asked()
				slices.Sort(step.want)
				step.want = slices.Compact(step.want)
				if diff := cmp.Diff(append([]digest.Digest{}, step.want...), fetched(asked)); diff != "" {
					t.Errorf("%s: fetched, - wanted + seen:\n%s\n%s", step.what, diff, strings.Join(asked, "\n"))
				}
				if p.Status != step.status || p.Name != "docker.io/library/busybox:latest" || p.Target.Digest != e.root.Digest {
					t.Errorf("%s: %s, %s, %s", step.what, p.Status, p.Name, p.Target.Digest)
				}
				f.wantBytes(t, step.want...)
			}
		})
	}
}

// TestPullRequests counts what a pull of one platform more asks a registry, without what
// it fetches: the list by its name, and what refers to each document.
func TestPullRequests(t *testing.T) {
	t.Parallel()
	f, from := newFixture(t, service.Options{}), serve(t, servers()["olareg"](t))
	e := f.eleven(t, "busybox")
	from.give(t, f.src, e.root, "library/busybox:1", e.referrers...)
	pull := func(opts service.PullOptions) []string {
		t.Helper()
		if _, err := f.Pull(t.Context(), from.source(t, "library/busybox:1"), "busybox:1", opts); err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(from.asked(), func(said string) bool { return strings.HasPrefix(said, "GET") && len(fetched([]string{said})) > 0 })
	}
	only := service.PullOptions{Platforms: platforms(t, "linux/mips"), NoReferrers: true}
	const list = "GET /v2/library/busybox/manifests/1"
	for _, what := range []string{"the first time", "again"} {
		if asked := pull(only); len(asked) != 1 || asked[0] != list {
			t.Errorf("%s: %q", what, asked)
		}
	}
	only.NoReferrers = false
	if asked := pull(only); len(asked) != 1+4 { // of the list, the manifest, its attestation, and what refers to the list
		t.Errorf("with referrers: %q", asked)
	}
}

// TestPullChoice checks which instances come, by the row of the table, and what is said
// of platforms that are not there.
func TestPullChoice(t *testing.T) {
	t.Parallel()
	host := parsePlatform(t, "linux/arm/v7")
	f := newFixture(t, service.Options{})
	v6, v5, amd := f.image(t, "linux/arm/v6", "x"), f.image(t, "linux/arm/v5", "x"), f.image(t, "linux/amd64", "x")
	nested := f.src.Index(f.image(t, "linux/s390x", "x"))
	list := f.src.Index(amd, v5, v6, f.src.Attestation(v6), nested)
	s390x := f.children(t, nested)[0]
	for name, tc := range map[string]struct {
		opts    service.PullOptions
		has     []ocispec.Descriptor
		hasNot  []ocispec.Descriptor
		wantErr string
	}{
		"the host's best":    {service.PullOptions{}, []ocispec.Descriptor{v6}, []ocispec.Descriptor{v5, amd, s390x}, ""},
		"what was asked for": {service.PullOptions{Platforms: platforms(t, "linux/amd64")}, []ocispec.Descriptor{amd}, []ocispec.Descriptor{v5, v6}, ""},
		"in a nested list":   {service.PullOptions{Platforms: platforms(t, "linux/s390x")}, []ocispec.Descriptor{nested, s390x}, []ocispec.Descriptor{amd, v6}, ""},
		"two":                {service.PullOptions{Platforms: platforms(t, "linux/amd64", "linux/arm/v5")}, []ocispec.Descriptor{amd, v5}, []ocispec.Descriptor{v6}, ""},
		"all":                {service.PullOptions{All: true}, []ocispec.Descriptor{amd, v5, v6, s390x}, nil, ""},
		"not there": {
			service.PullOptions{Platforms: platforms(t, "linux/riscv64")}, nil, []ocispec.Descriptor{list},
			"no matching manifest for linux/riscv64 in the manifest list entries",
		},
		"one of two is not there": {
			service.PullOptions{Platforms: platforms(t, "linux/amd64", "windows/amd64")}, nil, []ocispec.Descriptor{list, amd},
			"no matching manifest for windows/amd64 in the manifest list entries",
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newFixture(t, service.Options{Host: &host})
			g.src = f.src
			_, err := g.Pull(t.Context(), &memorySource{Store: f.src, root: list}, "x", tc.opts)
			if tc.wantErr == "" && err != nil || tc.wantErr != "" && (!errdefs.IsNotFound(err) || !strings.Contains(err.Error(), tc.wantErr)) {
				t.Errorf("error %v; want %q", err, tc.wantErr)
			}
			for _, desc := range tc.has {
				g.wantBytes(t, digestsOf(t, f.src, desc)...)
			}
			for _, desc := range tc.hasNot {
				if g.has(t, desc.Digest) {
					t.Errorf("%s came", desc.Digest)
				}
			}
		})
	}
}

// TestPullAbsentPlatform checks the words that clients know.
func TestPullAbsentPlatform(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{})
	src := &memorySource{Store: f.src, root: f.index(t, "x", "linux/amd64", "linux/s390x")}
	_, err := f.Pull(t.Context(), src, "x", service.PullOptions{Platforms: platforms(t, "linux/arm64/v8")})
	const want = "no matching manifest for linux/arm64/v8 in the manifest list entries"
	if !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "linux/amd64, linux/s390x") {
		t.Errorf("%v; want %q and what there is", err, want)
	}
	if len(f.records(t)) > 0 {
		t.Error("a name has moved")
	}
}

// TestPullSingle checks what is said of a single image for another platform.
func TestPullSingle(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{})
	amd := f.image(t, "linux/amd64", "x")
	src := &memorySource{Store: f.src, root: amd}
	p, err := f.Pull(t.Context(), src, "x", service.PullOptions{Platforms: platforms(t, "linux/arm64")})
	const want = "does not match the specified platform: wanted linux/arm64, actual: linux/amd64"
	if err != nil || !slices.ContainsFunc(p.Notes, func(n string) bool { return strings.Contains(n, want) }) {
		t.Errorf("%q, %v", p.Notes, err)
	}
	p, err = f.Pull(t.Context(), src, "x", service.PullOptions{Platforms: platforms(t, "linux/amd64")})
	if err != nil || len(p.Notes) > 0 || p.Status != service.UpToDate {
		t.Errorf("%q, %s, %v", p.Notes, p.Status, err)
	}
}

// TestPullMovesName checks what becomes of what a name pointed at before.
func TestPullMovesName(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{})
	old, next := f.index(t, "old", "linux/amd64"), f.index(t, "next", "linux/amd64")
	all := service.PullOptions{All: true}
	pull := func(root ocispec.Descriptor, name string) service.Pulled {
		t.Helper()
		p, err := f.Pull(t.Context(), &memorySource{Store: f.src, root: root}, name, all)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := pull(old, "x:1"); p.Before.Name != "" || p.Dangling || p.Copied != 4 || p.Reused != 0 || p.BytesCopied == 0 {
		t.Errorf("first: %+v", p)
	}
	if p := pull(next, "x:1"); p.Before.Target.Digest != old.Digest || !p.Dangling || p.Status != service.Newer {
		t.Errorf("moved: %+v", p)
	}
	if rec, ok := f.records(t)["@"+old.Digest.String()]; !ok {
		t.Errorf("the old target does not dangle: %+v", rec)
	}
	if p := pull(old, "x:2"); p.Copied != 0 || p.Reused == 0 || p.Status != service.Newer {
		t.Errorf("what was there under another name: %+v", p)
	}
	if _, ok := f.records(t)["@"+old.Digest.String()]; ok {
		t.Error("what has a name again still dangles")
	}
	if leases, err := f.store.Leases(t.Context()); err != nil || len(leases) > 0 {
		t.Errorf("leases are left: %v, %v", leases, err)
	}
}

// TestPullNames checks names with digests, and those that are none.
func TestPullNames(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{})
	root := f.index(t, "x", "linux/amd64")
	other := digest.FromString("other").String()
	for name, want := range map[string]string{
		"x":                               "docker.io/library/x:latest",
		"x:1":                             "docker.io/library/x:1",
		"x@" + root.Digest.String():       "docker.io/library/x@" + root.Digest.String(),
		"x:2@" + root.Digest.String():     "docker.io/library/x:2",
		"example.org:5000/a/b:c":          "example.org:5000/a/b:c",
		"x:3@" + other:                    "",
		"x@" + other:                      "",
		"X":                               "",
		"":                                "",
		strings.Repeat("0", 64):           "",
		"x:" + strings.Repeat("long", 33): "",
	} {
		p, err := f.Pull(t.Context(), &memorySource{Store: f.src, root: root}, name, service.PullOptions{All: true})
		if p.Name != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", name, p.Name, err, want)
		}
		if _, ok := f.records(t)[want]; want != "" && !ok {
			t.Errorf("%q: there is no record %s", name, want)
		}
	}
	if _, err := f.Pull(t.Context(), &memorySource{Store: f.src, root: root}, "x", service.PullOptions{All: true, Platforms: platforms(t, "linux/amd64")}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("all platforms and one: %v", err)
	}
}

// TestPullEvents checks that the steps of a copy are told, and that an event is emitted.
func TestPullEvents(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{})
	events, err := f.Events(t.Context(), service.EventOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var kinds []copy.EventKind
	var src transport.Source = &memorySource{Store: f.src, root: f.index(t, "x", "linux/amd64")}
	if _, err := f.Pull(t.Context(), src, "x:1", service.PullOptions{All: true, Events: func(e copy.Event) { kinds = append(kinds, e.Kind) }}); err != nil {
		t.Fatal(err)
	}
	if len(kinds) == 0 || kinds[0] != copy.EventPlanned || kinds[len(kinds)-1] != copy.EventCommitted {
		t.Errorf("steps: %v", kinds)
	}
	for e := range events {
		if e.Action != service.ActionPull || e.ID != "x:1" || e.Name != "x:1" {
			t.Errorf("event %+v", e)
		}
		break
	}
}
