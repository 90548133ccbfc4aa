package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
)

func (f Factory) lookups() map[string]func(*testing.T) {
	return map[string]func(*testing.T){
		"target":                    f.target,
		"containing":                f.containing,
		"containing what is absent": f.containingAbsent,
		"a platform comes later":    f.platformLater,
		"after a move":              f.containingMoved,
		"prefix":                    f.prefix,
		"prefix of other digests":   f.prefixAlgorithms,
		"prefix that is none":       f.prefixBad,
		"repository":                f.repository,
		"children":                  f.children,
		"referrers":                 f.referrersOf,
		"list":                      f.list,
		"list in pages":             f.listPages,
		"list while names move":     f.listMoving,
		"one moment":                f.snapshot,
		"error of a view":           f.viewError,
	}
}

// keys returns the keys of records, in the order that they came.
func keys(records []store.Record) []string {
	found := []string{}
	for _, r := range records {
		found = append(found, r.Key())
	}
	return found
}

// wantKeys checks which records a lookup finds; their order is not said.
func wantKeys(t *testing.T, what string, records []store.Record, err error, want ...string) {
	t.Helper()
	found := keys(records)
	slices.Sort(found)
	slices.Sort(want)
	if diff := cmp.Diff(append([]string{}, want...), found); err != nil || diff != "" {
		t.Errorf("%s: %v, - wanted + found:\n%s", what, err, diff)
	}
}

// wantContaining checks which records contain a digest.
func (w *world) wantContaining(t *testing.T, d digest.Digest, want ...string) {
	t.Helper()
	w.view(t, func(r store.NameReader) {
		records, err := r.Containing(d)
		wantKeys(t, "Containing "+d.String(), records, err, want...)
	})
}

// target checks what points at a digest, and that only a target is found so.
func (f Factory) target(t *testing.T) {
	w := f.world(t)
	amd := w.src.Image(testimage.Image{Platform: amd64()})
	index, alone := w.src.Index(amd), w.src.Image(testimage.Image{Platform: arm64()})
	w.name(t, index, busybox, alpine, debian)
	w.name(t, alone, "docker.io/library/alone:1")
	dangling := w.src.Image(testimage.Image{Platform: arm()})
	w.name(t, dangling, "docker.io/library/gone:1")
	w.move(t, store.Move{Name: "docker.io/library/gone:1"})
	w.view(t, func(r store.NameReader) {
		for d, want := range map[digest.Digest][]string{
			index.Digest:                  {busybox, alpine, debian},
			alone.Digest:                  {"docker.io/library/alone:1"},
			dangling.Digest:               {"@" + dangling.Digest.String()},
			amd.Digest:                    {},
			digest.FromString("anything"): {},
		} {
			records, err := r.Target(d)
			wantKeys(t, "Target", records, err, want...)
			if records == nil {
				t.Error("Target: nil, want an empty slice")
			}
			for _, rec := range records {
				if rec.Target.Digest != d || rec.Created.IsZero() {
					t.Errorf("Target: record %+v", rec)
				}
			}
		}
	})
}

// containing checks that a record is found by everything in its graph but layers, once.
func (f Factory) containing(t *testing.T) {
	w := f.world(t)
	amd, arm64 := w.src.Image(testimage.Image{Platform: amd64()}), w.src.Image(testimage.Image{Platform: arm64(), Family: testimage.Docker})
	attestation := w.src.Attestation(amd)
	nested := w.src.Index(arm64)
	index := w.src.Index(amd, attestation, nested, arm64)
	w.name(t, index, busybox, debian)
	w.name(t, w.src.List(amd), alpine)
	w.name(t, arm64, "docker.io/library/arm:64")
	w.move(t, store.Move{Name: "docker.io/library/arm:64"})
	dangling := "@" + arm64.Digest.String()
	config := func(of ocispec.Descriptor) digest.Digest { return w.edges(t, of)[0].Desc.Digest }
	for range 2 {
		w.wantContaining(t, index.Digest, busybox, debian)
		w.wantContaining(t, nested.Digest, busybox, debian)
		w.wantContaining(t, amd.Digest, busybox, debian, alpine)
		w.wantContaining(t, config(amd), busybox, debian, alpine)
		w.wantContaining(t, arm64.Digest, busybox, debian, dangling)
		w.wantContaining(t, config(arm64), busybox, debian, dangling)
		w.wantContaining(t, attestation.Digest, busybox, debian)
		w.wantContaining(t, config(attestation), busybox, debian)
		w.wantContaining(t, w.edges(t, amd)[1].Desc.Digest)
		w.wantContaining(t, digest.FromString("absent"))
		w.reopen(t)
	}
}

// containingAbsent checks that a record is found by a manifest of its list that is
// not there.
func (f Factory) containingAbsent(t *testing.T) {
	w := f.world(t)
	amd, absent := w.src.Image(testimage.Image{Platform: amd64()}), w.src.Image(testimage.Image{Platform: arm64()})
	index := w.src.Index(amd, w.src.Index(absent))
	w.src.Delete(absent.Digest)
	w.name(t, index, busybox)
	w.wantContaining(t, absent.Digest, busybox)
	w.wantContaining(t, amd.Digest, busybox)
}

// platformLater checks that a platform which comes when the list has its name is
// found as if it had been there, and goes with the name.
func (f Factory) platformLater(t *testing.T) {
	w := f.world(t)
	amd, later := w.src.Image(testimage.Image{Platform: amd64()}), w.src.Image(testimage.Image{Platform: arm64()})
	nested := w.src.Index(later)
	index := w.src.Index(amd, nested)
	list := w.src.Get(nested.Digest)
	w.src.Delete(nested.Digest)
	w.name(t, index, busybox)
	config := func() digest.Digest { return w.edges(t, later)[0].Desc.Digest }
	w.src.Set(nested.Digest, list)
	w.wantContaining(t, config())
	lease := w.hold(t, later) // bottom up, and each by itself
	w.wantContaining(t, config())
	second := w.hold(t, nested)
	w.release(t, lease)
	w.release(t, second)
	w.collect(t)
	w.wantImage(t, index)
	w.wantContaining(t, config(), busybox)
	w.wantContaining(t, later.Digest, busybox)
	w.view(t, func(r store.NameReader) {
		if found, err := r.Prefix(config().Encoded()[:40], 0); err != nil || !slices.Equal(found, []digest.Digest{config()}) {
			t.Errorf("Prefix of the config that came later: %v, %v", found, err)
		}
	})
	w.move(t, store.Move{Name: busybox, Forget: true})
	w.wantContaining(t, config())
	w.wantContaining(t, later.Digest)
}

// containingMoved checks that what a name does not contain any more is not found by it.
func (f Factory) containingMoved(t *testing.T) {
	w := f.world(t)
	shared := w.src.Image(testimage.Image{Platform: amd64()})
	old := w.src.Index(shared, w.src.Image(testimage.Image{Platform: arm64(), Name: "old"}))
	next := w.src.Index(shared, w.src.Image(testimage.Image{Platform: arm64(), Name: "next"}))
	w.name(t, old, busybox)
	w.name(t, next, alpine)
	w.move(t, store.Move{Name: busybox, To: target(next), Forget: true})
	w.wantContaining(t, old.Digest)
	w.wantContaining(t, w.edges(t, old)[1].Desc.Digest)
	w.wantContaining(t, next.Digest, busybox, alpine)
	w.wantContaining(t, w.edges(t, next)[1].Desc.Digest, busybox, alpine)
	w.wantContaining(t, shared.Digest, busybox, alpine)
	w.collect(t)
	w.wantContaining(t, w.edges(t, old)[1].Desc.Digest)
	w.wantBlobs(t, w.src.digests(t, next)...)
}

// repository checks that a repository has its own names and no others.
func (f Factory) repository(t *testing.T) {
	w := f.world(t)
	im := w.images(t, "a")[0]
	repositories := []string{
		"docker.io/library/a", "docker.io/library/a-b", "docker.io/library/a.b", "docker.io/library/a_b", "docker.io/library/a/b", "docker.io/library/aa",
		"docker.io/library/a0", "registry.example/library/a", "registry.example:5000/library/a", "localhost/a",
	}
	for _, name := range repositories {
		w.move(t, store.Move{Name: name + ":1", To: im}, store.Move{Name: name + ":2.0-x", To: im}, store.Move{Name: name + "@" + im.Digest.String(), To: im})
	}
	w.move(t, store.Move{Name: "docker.io/library/aa:2.0-x"})
	w.view(t, func(r store.NameReader) {
		for _, name := range repositories {
			want := []string{name + ":1", name + ":2.0-x", name + "@" + im.Digest.String()}
			if name == "docker.io/library/aa" {
				want = slices.Delete(want, 1, 2)
			}
			records, err := r.Repository(name)
			wantKeys(t, "Repository "+name, records, err, want...)
		}
		for _, name := range []string{"docker.io/library", "docker.io/library/", "docker.io/library/a:1", "docker.io", "a", "docker.io/library/b", ""} {
			records, err := r.Repository(name)
			if !invalid(err) {
				wantKeys(t, "Repository "+name, records, err)
			}
		}
	})
}

// children checks which images were built upon one.
func (f Factory) children(t *testing.T) {
	w := f.world(t)
	base := w.src.Image(testimage.Image{Platform: amd64()})
	parent := w.edges(t, base)[0].Desc.Digest
	w.name(t, base, busybox)
	var want []digest.Digest
	for i := range 3 {
		child := w.manifest(fmt.Sprintf(`{"architecture":"amd64","os":"linux","author":"%d","config":{"Labels":{%q:%q}}}`, i, labelParent, parent))
		w.name(t, child, fmt.Sprintf("docker.io/library/child:%d", i))
		want = append(want, w.edges(t, child)[0].Desc.Digest)
	}
	check := func() {
		t.Helper()
		w.view(t, func(r store.NameReader) {
			found, err := r.Children(parent)
			slices.Sort(found)
			slices.Sort(want)
			if err != nil || !slices.Equal(found, want) {
				t.Errorf("Children: %v, %v; want %v", found, err, want)
			}
			if found, err := r.Children(want[0]); len(found) != 0 || err != nil {
				t.Errorf("Children of a child: %v, %v", found, err)
			}
		})
	}
	check()
	w.reopen(t)
	check()
	for i := range 3 {
		if gone := w.record(t, fmt.Sprintf("docker.io/library/child:%d", i)); w.edges(t, gone.Target)[0].Desc.Digest == want[2] {
			w.move(t, store.Move{Name: gone.Name, Forget: true})
		}
	}
	w.collect(t)
	want = want[:2]
	check()
}

// viewError checks that the error of a view's function comes back.
func (f Factory) viewError(t *testing.T) {
	w := f.world(t)
	if err := w.View(t.Context(), func(store.NameReader) error { return errBroken }); !errors.Is(err, errBroken) {
		t.Errorf("View: %v", err)
	}
	w.view(t, func(r store.NameReader) {
		_, err := r.Get(busybox)
		wantKind(t, "Get of an absent name", err, errdefs.ErrNotFound)
		_, err = r.Blob(digest.FromString("absent"))
		wantKind(t, "Blob", err, errdefs.ErrNotFound)
		for what, found := range map[string]func() ([]store.Record, error){
			"List":       func() ([]store.Record, error) { return r.List("", 0) },
			"Target":     func() ([]store.Record, error) { return r.Target(digest.FromString("absent")) },
			"Containing": func() ([]store.Record, error) { return r.Containing(digest.FromString("absent")) },
			"Repository": func() ([]store.Record, error) { return r.Repository("docker.io/library/absent") },
		} {
			if records, err := found(); records == nil || len(records) != 0 || err != nil {
				t.Errorf("%s in an empty store: %v, %v; want an empty slice", what, records, err)
			}
		}
	})
	w.images(t, "a")
}

// prefix checks which digests begin with some characters, even and odd ones.
func (f Factory) prefix(t *testing.T) {
	w := f.world(t)
	var roots []ocispec.Descriptor
	for i := range 20 {
		amd := w.src.Image(testimage.Image{Platform: amd64(), Name: fmt.Sprint(i)})
		root := w.src.Index(amd, w.src.Image(testimage.Image{Platform: arm64(), Name: fmt.Sprint(i)}), w.src.Attestation(amd))
		name := fmt.Sprintf("docker.io/library/x%d:1", i)
		w.name(t, root, name, fmt.Sprintf("docker.io/library/x%d:2", i), fmt.Sprintf("docker.io/library/y:%d", i))
		roots = append(roots, root)
	}
	w.move(t, store.Move{Name: "docker.io/library/x0:1"}, store.Move{Name: "docker.io/library/x0:2"}, store.Move{Name: "docker.io/library/y:0"})
	all := w.idsOf(t, roots...)
	w.wantPrefixes(t, all, all...)
	w.reopen(t)
	w.move(t, store.Move{Name: "@" + roots[0].Digest.String()})
	w.collect(t)
	w.wantPrefixes(t, w.idsOf(t, roots[1:]...), all...)
}

// idsOf returns the digests by which graphs are found, sorted.
func (w *world) idsOf(t *testing.T, roots ...ocispec.Descriptor) []digest.Digest {
	t.Helper()
	var all []digest.Digest
	for _, root := range roots {
		for _, n := range w.src.nodes(t, root) {
			if n.Role != image.RoleLayer {
				all = append(all, n.Desc.Digest)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// wantPrefixes checks what is found by the beginnings of digests.
func (w *world) wantPrefixes(t *testing.T, all []digest.Digest, of ...digest.Digest) {
	t.Helper()
	lengths := []int{1, 2, 3, 4, 5, 11, 12, 13, 32, 63, 64}
	w.view(t, func(r store.NameReader) {
		for i, d := range of {
			hex := d.Encoded()[:lengths[i%len(lengths)]]
			want := beginning(all, hex)
			for _, limit := range []int{0, 1, 2, len(all)} {
				want := want
				if limit > 0 && limit < len(want) {
					want = want[:limit]
				}
				found, err := r.Prefix(hex, limit)
				if diff := cmp.Diff(want, append([]digest.Digest{}, found...)); err != nil || diff != "" {
					t.Fatalf("Prefix of %s, limit %d: %v, - wanted + found:\n%s", hex, limit, err, diff)
				}
			}
		}
	})
}

// beginning returns the digests that begin with some characters.
func beginning(all []digest.Digest, hex string) []digest.Digest {
	found := []digest.Digest{}
	for _, d := range all {
		if strings.HasPrefix(d.Encoded(), hex) {
			found = append(found, d)
		}
	}
	return found
}

// prefixAlgorithms checks that digests of all algorithms are found by their first
// characters.
func (f Factory) prefixAlgorithms(t *testing.T) {
	skipIf(t, f.Cannot.SHA512)
	w := f.world(t)
	var all []digest.Digest
	for i, alg := range []digest.Algorithm{digest.SHA512, digest.SHA256, digest.SHA384} {
		w.src.Algorithm = alg
		root := w.src.Image(testimage.Image{Platform: amd64()})
		w.name(t, root, fmt.Sprintf("docker.io/library/x:%d", i))
		all = append(all, w.idsOf(t, root)...)
	}
	slices.Sort(all)
	w.wantPrefixes(t, all, slices.Repeat(all, 11)...) // each by each length
}

// prefixBad checks that what cannot begin a digest is refused.
func (f Factory) prefixBad(t *testing.T) {
	w := f.world(t)
	w.move(t, store.Move{Name: busybox, To: w.images(t, "a")[0]})
	w.view(t, func(r store.NameReader) {
		for _, hex := range []string{"", "g", "A", "0G", "sha256:0", " ", "../", "\x00", strings.Repeat("0", 65), "0\n", "é"} {
			if found, err := r.Prefix(hex, 0); !errdefs.IsInvalidArgument(err) {
				t.Errorf("Prefix of %q: %v, %v; want %v", hex, found, err, errdefs.ErrInvalidArgument)
			}
		}
		if found, err := r.Prefix(strings.Repeat("0", 64), 0); len(found) != 0 || err != nil {
			t.Errorf("Prefix of what is absent: %v, %v", found, err)
		}
	})
}
