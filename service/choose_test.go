package service_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/service"
)

// choice is what is chosen from an image for a platform: the name of an entry, or an error.
type choice struct {
	name  string
	image string // see parts
	asked string
	// get and manifest are the entries that are chosen, size what adds up, and history
	// the entry whose it is; "" is as get has it, and an error begins with "!".
	get, manifest, size, history string
	// why is what Get says beside ErrNotFound.
	why error
}

const (
	noPlatform = "!does not provide the specified platform"
	notAny     = "!does not provide any platform"
	noManifest = "!failed to find manifest"
	noMatch    = "!was found but does not match the specified platform: wanted "
)

const two = "amd=linux/amd64 arm=linux/arm64 "

func testChoices(t *testing.T, rows []choice) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, amd64)
			p := f.parts(t, row.image)
			p.write(t, f, "example.com/image:1")
			row.check(t, f, p)
			f.Service = service.New(plain{f.store}, amd64)
			row.check(t, f, p)
		})
	}
}

// checkPreferred checks that a list prefers what Get returns without a platform.
func (row choice) checkPreferred(t *testing.T, f *fixture, name string) {
	t.Helper()
	all, err := f.List(t.Context(), service.ListOptions{})
	if err != nil || len(all) != 1 {
		t.Fatalf("List: %+v, %v", all, err)
	}
	img, err := f.Get(t.Context(), name, service.GetOptions{})
	switch i := all[0].Preferred; {
	case err == nil && (i < 0 || all[0].Instances[i].Descriptor.Digest != img.Instance.Descriptor.Digest):
		t.Errorf("List prefers %d, Get %s", i, img.Instance.Descriptor.Digest)
	case err != nil && i >= 0:
		t.Errorf("List prefers %d, Get %v", i, err)
	}
}

func (row choice) check(t *testing.T, f *fixture, p *parts) {
	t.Helper()
	const name = "example.com/image:1"
	platform := asked(row.asked)
	row.checkPreferred(t, f, name)
	img, err := f.Get(t.Context(), name, service.GetOptions{Platform: platform})
	if wanted(t, "Get", err, row.get) {
		if got := p.names[img.Instance.Descriptor.Digest]; got != row.get || img.ID != p.root.Digest {
			t.Errorf("Get is %q of %s, want %q of %s", got, img.ID, row.get, p.root.Digest)
		}
		if want := f.src.Get(img.Instance.Config); string(img.Config) != string(want) {
			t.Errorf("Get has the config\n%s\nwant\n%s", img.Config, want)
		}
	}
	if row.why != nil && !errors.Is(err, row.why) {
		t.Errorf("Get: %v, want it to be %v", err, row.why)
	}
	for _, other := range []error{service.ErrNoPlatform, service.ErrConfigMissing, service.ErrContentMissing} {
		if row.why != nil && !errors.Is(row.why, other) && errors.Is(err, other) {
			t.Errorf("Get: %v is %v too", err, other)
		}
	}
	desc, err := f.Manifest(t.Context(), name, platform)
	if want := orElse(row.manifest, row.get); wanted(t, "Manifest", err, want) {
		if got := p.names[desc.Digest]; got != want {
			t.Errorf("Manifest is %q, want %q", got, want)
		}
	}
	size, err := f.Size(t.Context(), name, platform)
	if want := orElse(row.size, row.get); wanted(t, "Size", err, want) {
		if got, want := size, p.size(t, want); got != want {
			t.Errorf("Size is %d, want %d, that of %s", got, want, row.size)
		}
	}
	h, err := f.History(t.Context(), name, platform)
	if want := orElse(row.history, row.get); wanted(t, "History", err, want) {
		if len(h.Lines) != 2 || h.Lines[1].CreatedBy != "layer of "+want || h.Lines[1].Layer == "" || h.Lines[0].Layer != "" {
			t.Errorf("History is %+v, want that of %q", h.Lines, want)
		}
	}
}

func orElse(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// wanted checks an error against what a row says, and reports whether there is none.
func wanted(t *testing.T, what string, err error, want string) bool {
	t.Helper()
	text, fails := strings.CutPrefix(want, "!")
	switch {
	case !fails && err != nil:
		t.Errorf("%s: %v, want %q", what, err, want)
	case fails && (err == nil || !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), text)):
		t.Errorf("%s: %v, want ErrNotFound with %q", what, err, text)
	}
	return err == nil && !fails
}

// TestChoiceOfIndex chooses among instances that are all there.
func TestChoiceOfIndex(t *testing.T) {
	t.Parallel()
	testChoices(t, []choice{
		{name: "the host's, where none is asked for", image: "arm=linux/arm64 amd=linux/amd64", get: "amd", size: "index+amd"},
		{name: "the one that is asked for", image: two, asked: "linux/arm64", get: "arm", size: "index+arm"},
		{name: "in another spelling", image: two, asked: "linux/aarch64", get: "arm", size: "index+arm"},
		{name: "written in another spelling", image: "x=linux/x86_64", asked: "linux/amd64", get: "x", size: "index+x"},
		{name: "the first of two", image: "a=linux/amd64 b=linux/amd64", asked: "linux/amd64", get: "a", size: "index+a"},
		{name: "no foreign one is the host's, the first is taken", image: "s=linux/s390x p=linux/ppc64le", get: "s", size: "index+s"},
		{name: "386 comes before what the host cannot run", image: "s=linux/s390x i=linux/386", get: "i", size: "index+i"},
		{
			name: "386 is not amd64, but compatible", image: "i=linux/386", asked: "linux/amd64",
			get: noPlatform + " (linux/amd64)", manifest: "i", size: "index+i", history: "i", why: service.ErrNoPlatform,
		},
		{
			name: "unknown to the list", image: two, asked: "linux/riscv64",
			get: noPlatform + " (linux/riscv64)", manifest: noManifest, why: service.ErrNoPlatform,
		},
		{name: "what is there is said", image: two, asked: "linux/riscv64", get: "!(complete: linux/amd64, linux/arm64)", why: service.ErrNoPlatform},
		{name: "an empty index", image: "", get: notAny + ": no such platform (there are no manifests)", manifest: noManifest, why: service.ErrNoPlatform},
		{name: "without a platform in the index: that of the config", image: "a=-;config=linux/arm64 b=-;config=linux/amd64", asked: "linux/amd64", get: "b", size: "index+b"},
		{name: "without a platform in the index, none asked", image: "a=-;config=linux/arm64 b=-;config=linux/amd64", get: "b", size: "index+b"},
		{name: "an empty platform is none", image: "a={};config=linux/arm64 b={};config=linux/amd64", asked: "linux/arm64", get: "a", size: "index+a"},
		{
			name: "no platform anywhere, one is asked for", image: "a=-", asked: "linux/amd64",
			get: noPlatform, manifest: noManifest, why: service.ErrNoPlatform,
		},
		{name: "no platform anywhere, none asked for", image: "a=-", get: "a", size: "index+a"},
		{name: "a platform comes before none", image: "a=- b=linux/amd64", get: "b", size: "index+b"},
		{name: "zstd beside gzip: the first", image: "g=linux/amd64 z=linux/amd64;zstd", asked: "linux/amd64", get: "g", size: "index+g"},
		{name: "zstd before gzip: the first", image: "z=linux/amd64;zstd g=linux/amd64", get: "z", size: "index+z"},
		{name: "nested", image: "n/amd=linux/amd64 n/arm=linux/arm64", asked: "linux/arm64", get: "n/arm", size: "index+n+n/arm"},
		{name: "the outer list comes first", image: "n/amd=linux/amd64 outer=linux/amd64", get: "outer", size: "index+outer"},
		{name: "what only the nested list has", image: "n/amd=linux/amd64 outer=linux/arm64", get: "n/amd", size: "index+n+n/amd"},
	})
}

// TestChoiceOfVariants goes up and down the ladders.
func TestChoiceOfVariants(t *testing.T) {
	t.Parallel()
	const arms = "v5=linux/arm/v5 v7=linux/arm/v7 v6=linux/arm/v6 v8=linux/arm64/v8 "
	testChoices(t, []choice{
		{name: "arm is v7", image: arms, asked: "linux/arm", get: "v7", size: "index+v7"},
		{name: "armhf is v7", image: arms, asked: "linux/armhf", get: "v7", size: "index+v7"},
		{name: "armel is v6", image: arms, asked: "linux/armel", get: "v6", size: "index+v6"},
		{name: "v6 exactly", image: arms, asked: "linux/arm/v6", get: "v6", size: "index+v6"},
		{
			name: "v7 where there are v5 and v6", image: "v5=linux/arm/v5 v6=linux/arm/v6", asked: "linux/arm/v7",
			get: noPlatform, manifest: "v6", size: "index+v6", history: "v6", why: service.ErrNoPlatform,
		},
		{
			name: "v5 where there is v6", image: "v6=linux/arm/v6", asked: "linux/arm/v5",
			get: noPlatform + " (linux/arm/v5)", manifest: noManifest, why: service.ErrNoPlatform,
		},
		{
			name: "arm64 where there are 32 bits", image: "v6=linux/arm/v6 v7=linux/arm/v7", asked: "linux/arm64",
			get: noPlatform, manifest: "v7", size: "index+v7", history: "v7", why: service.ErrNoPlatform,
		},
		{name: "arm64 is v8", image: arms, asked: "linux/arm64", get: "v8", size: "index+v8"},
		{name: "arm64/v8 where the variant is not said", image: "a=linux/arm64", asked: "linux/arm64/v8", get: "a", size: "index+a"},
		{
			name: "amd64/v3 where there is v1", image: "a=linux/amd64", asked: "linux/amd64/v3",
			get: noPlatform, manifest: "a", size: "index+a", history: "a", why: service.ErrNoPlatform,
		},
		{name: "amd64 where there are v2 and v1", image: "v2=linux/amd64/v2 a=linux/amd64", asked: "linux/amd64", get: "a", size: "index+a"},
		{name: "a variant that nobody knows", image: "a=linux/arm64/v99", asked: "linux/arm64/v99", get: "a", size: "index+a"},
		{
			name: "Windows of the same build", image: "a=windows(10.0.17763.1)/amd64 b=windows(10.0.20348.5)/amd64", asked: "windows(10.0.20348.1)/amd64",
			get: "b", size: "index+b",
		},
		{
			name: "Windows of another build", image: "a=windows(10.0.17763.1)/amd64", asked: "windows(10.0.14393.1)/amd64",
			get: noPlatform + " (windows(10.0.14393.1)/amd64)", manifest: noManifest, why: service.ErrNoPlatform,
		},
		{name: "Windows without a version", image: "a=windows(10.0.17763.1)/amd64", asked: "windows/amd64", get: "a", size: "index+a"},
		{name: "layers that may not be distributed need not be there", image: "w=windows/amd64;foreign;nolayer", asked: "windows/amd64", get: "w", size: "index+w"},
	})
}

// TestChoiceOfWhatIsThere leaves parts out.
func TestChoiceOfWhatIsThere(t *testing.T) {
	t.Parallel()
	testChoices(t, []choice{
		{name: "the other one is absent", image: "amd=linux/amd64 arm=linux/arm64;absent", asked: "linux/amd64", get: "amd", size: "index+amd"},
		{
			name: "this one is absent", image: "amd=linux/amd64 arm=linux/arm64;absent", asked: "linux/arm64",
			get: "!(complete: linux/amd64; absent: linux/arm64)", manifest: noManifest, size: "index+arm.manifest", why: service.ErrNoPlatform,
		},
		{name: "the host's is absent", image: "amd=linux/amd64;absent arm=linux/arm64", get: "arm", size: "index+arm"},
		{name: "the first of two is absent", image: "a=linux/amd64;absent b=linux/amd64", get: "b", size: "index+b"},
		{
			name: "all are absent", image: "amd=linux/amd64;absent arm=linux/arm64;absent",
			get: notAny + ": no such platform (absent: linux/amd64, linux/arm64)", manifest: noManifest, size: "index+amd.manifest", why: service.ErrNoPlatform,
		},
		{
			name: "without its config", image: "amd=linux/amd64;noconfig", asked: "linux/amd64",
			get: noPlatform + " (linux/amd64): the config is missing", manifest: "amd", size: "index+amd", why: service.ErrConfigMissing,
		},
		{name: "the first of two without its config", image: "a=linux/amd64;noconfig b=linux/amd64", asked: "linux/amd64", get: "b", manifest: "a", size: "index+a", history: "b"},
		{
			name: "without a layer", image: "amd=linux/amd64;nolayer", asked: "linux/amd64",
			get: noPlatform + " (linux/amd64): content is partly missing", manifest: "amd", size: "index+amd", history: "amd", why: service.ErrContentMissing,
		},
		{name: "without a layer, none asked", image: "amd=linux/amd64;nolayer", get: notAny, manifest: "amd", size: "index+amd", history: "amd", why: service.ErrContentMissing},
		{name: "the first of two without a layer", image: "a=linux/amd64;nolayer b=linux/amd64", get: "b", manifest: "a", size: "index+a", history: "a"},
		{
			name: "the nearest is told of", image: "a=linux/amd64;absent b=linux/amd64;noconfig c=linux/amd64;nolayer", asked: "linux/amd64",
			get: "!content is partly missing", manifest: "b", size: "index+b", history: "c", why: service.ErrContentMissing,
		},
		{
			name: "without a config, and no platform in the index", image: "a=-;config=linux/amd64;noconfig", asked: "linux/amd64",
			get: noPlatform, manifest: noManifest, why: service.ErrNoPlatform,
		},
		{name: "without a config, and no platform, none asked", image: "a=-;config=linux/amd64;noconfig", get: notAny, manifest: "a", size: "index+a", why: service.ErrConfigMissing},
		{
			name: "of another platform without a layer", image: "amd=linux/amd64 arm=linux/arm64;nolayer", asked: "linux/s390x",
			get: "!(complete: linux/amd64; partial: linux/arm64)", manifest: noManifest, why: service.ErrNoPlatform,
		},
	})
}

// TestChoiceOfWhatIsNoImage has entries that never serve, and single manifests.
func TestChoiceOfWhatIsNoImage(t *testing.T) {
	t.Parallel()
	testChoices(t, []choice{
		{name: "an attestation", image: "att=linux/amd64;attestation amd=linux/amd64", asked: "linux/amd64", get: "amd", size: "index+amd"},
		{name: "nothing but an attestation", image: "att=linux/amd64;attestation", get: notAny + ": no such platform (no images: 1)", manifest: noManifest, why: service.ErrNoPlatform},
		{name: "unknown/unknown", image: "u=unknown/unknown;config=linux/amd64 amd=linux/amd64", asked: "linux/amd64", get: "amd", size: "index+amd"},
		{name: "nothing but unknown/unknown", image: "u=unknown/unknown;config=linux/amd64", get: notAny, manifest: noManifest, why: service.ErrNoPlatform},
		{name: "unknown/unknown is asked for", image: "u=unknown/unknown", asked: "unknown/unknown", get: noPlatform, manifest: noManifest, why: service.ErrNoPlatform},
		{name: "unknown in other letters", image: "u=Unknown/UNKNOWN amd=linux/amd64", get: "amd", size: "index+amd"},
		{name: "the config says unknown", image: "u=-;config=unknown/unknown amd=linux/amd64", get: "amd", size: "index+amd"},
		{
			name: "the config is for another platform", image: "a=linux/arm64;config=linux/amd64", asked: "linux/arm64",
			get: noPlatform + " (linux/arm64): no such platform (complete: linux/amd64)", manifest: "a", size: "index+a", history: noPlatform, why: service.ErrNoPlatform,
		},
		{
			name: "the config is for another platform, and Manifest tells what the list says", image: "a=linux/arm64;config=linux/amd64", asked: "linux/s390x",
			get: "!(complete: linux/amd64)", manifest: "!(complete: linux/arm64)", size: "!(complete: linux/arm64)", why: service.ErrNoPlatform,
		},
		{
			name: "the config is for this platform, the list says another", image: "a=linux/arm64;config=linux/amd64", asked: "linux/amd64",
			get: "a", manifest: noManifest, size: noPlatform, history: "a",
		},
		{
			name: "a variant that the config does not say", image: "a=linux/arm/v6;config=linux/arm", asked: "linux/arm/v6",
			get: noPlatform, manifest: "a", size: "index+a", history: noPlatform, why: service.ErrNoPlatform,
		},
		{name: "an artifact in the index", image: "x=linux/amd64;artifact amd=linux/amd64", asked: "linux/amd64", get: "amd", manifest: "x", size: "index+amd"},
		{name: "an entry that is no manifest", image: "o=linux/amd64;opaque", asked: "linux/amd64", get: noPlatform, manifest: "!manifest has incorrect mediatype: application/vnd.example.thing", why: service.ErrNoPlatform},
		{name: "a single manifest", image: "single=-;config=linux/amd64", get: "single"},
		{name: "a single manifest of the platform", image: "single=-;config=linux/arm64", asked: "linux/arm64", get: "single"},
		{
			name: "a single manifest of another platform", image: "single=-;config=linux/arm64", asked: "linux/amd64",
			get: noPlatform + " (linux/amd64): no such platform (complete: linux/arm64)", manifest: noMatch + "linux/amd64, actual: linux/arm64", size: noPlatform, why: service.ErrNoPlatform,
		},
		{name: "a single manifest of a foreign platform, none asked", image: "single=-;config=linux/s390x", get: "single"},
		{name: "a single manifest without a platform", image: "single=-", asked: "linux/amd64", get: noPlatform, manifest: noMatch + "linux/amd64, actual: nil", why: service.ErrNoPlatform},
		{name: "a single manifest without a config", image: "single=-;config=linux/amd64;noconfig", get: notAny, manifest: "single", size: "single", why: service.ErrConfigMissing},
		{name: "a single manifest without a config, a platform asked", image: "single=-;config=linux/amd64;noconfig", asked: "linux/amd64", get: noPlatform, manifest: noMatch + "linux/amd64, actual: nil", why: service.ErrNoPlatform},
		{name: "a single artifact", image: "single=-;artifact", get: notAny + ": no such platform (no images: 1)", manifest: "single", why: service.ErrNoPlatform},
		{name: "a single artifact, a platform asked", image: "single=-;artifact", asked: "linux/amd64", get: noPlatform, manifest: noMatch + "linux/amd64, actual: nil", why: service.ErrNoPlatform},
		{name: "schema 1", image: "single=-;schema1", get: "!of schema 1 has none", manifest: "single", size: "single", why: service.ErrConfigMissing},
		{name: "schema 1, a platform asked", image: "single=-;schema1", asked: "linux/amd64", get: noPlatform, manifest: noMatch + "linux/amd64, actual: nil", why: service.ErrNoPlatform},
	})
}
