package containerd

import (
	"maps"
	"strings"
	"testing"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// TestKeys shows which image records have a key, and that they keep it.
func TestKeys(t *testing.T) {
	t.Parallel()
	d := digest.FromString("x").String()
	for name, want := range map[string]string{
		"docker.io/library/busybox:latest":       "docker.io/library/busybox:latest",
		"registry.example:5000/a/b@" + d:         "registry.example:5000/a/b@" + d,
		"moby-dangling@" + d:                     "@" + d,
		"docker.io/library/moby-dangling:latest": "docker.io/library/moby-dangling:latest",
		"moby-dangling@sha256:x":                 "",
		"moby-dangling@":                         "",
		d:                                        "",
		"import-2024-01-01@" + d:                 "",
		"busybox":                                "",
		"docker.io/library/busybox":              "",
		"":                                       "",
	} {
		key, ours := keyOf(name)
		if ours != (want != "") || ours && (key != want || nameOf(key) != name) {
			t.Errorf("%q: key %q, %v; want %q, and its name is %q", name, key, ours, want, nameOf(key))
		}
	}
}

// TestRecords shows which image records are understood.
func TestRecords(t *testing.T) {
	t.Parallel()
	d, other := digest.FromString("x").String(), digest.FromString("y").String()
	for what, tc := range map[string]struct {
		name, target string
		ours         bool
	}{
		"a name":                    {"docker.io/library/busybox:latest", d, true},
		"a dangling record":         {danglingName + d, d, true},
		"a dangling record of else": {danglingName + d, other, false},
		"no digest":                 {"docker.io/library/busybox:latest", "sha256:x", false},
		"another kind of name":      {"sha256:" + d, d, false},
	} {
		r, ours := recordOf(&imagesapi.Image{Name: tc.name, Target: &types.Descriptor{MediaType: "a/b", Digest: tc.target, Size: 1}})
		if ours != tc.ours || ours && nameOf(r.Key()) != tc.name {
			t.Errorf("%s: %+v, %v", what, r, ours)
		}
	}
}

// TestLabels shows that labels come back, and that none which is kept is acted on.
func TestLabels(t *testing.T) {
	t.Parallel()
	labels := map[string]string{
		"": "x", "a": "", "b": "b", "containerd.io/gc.expire": "x", "containerd.io/gc.root": "", "containerd.io/distribution.source.docker.io": "library/x",
		"io.dhow.document": "x", "io.dhow.label.io.dhow.label.x": "y", "io.dhow.empty.a": "", "io.dhow.empty.b": "c", "\u202e": "\x00",
	}
	kept, err := keptLabels(labels)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range kept {
		if strings.HasPrefix(name, spaceCollector) || name == labelDocument || name == "" || value == "" {
			t.Errorf("kept: %q=%q", name, value)
		}
	}
	if shown := shownLabels(kept); !maps.Equal(shown, labels) {
		t.Errorf("shown: %q; want %q", shown, labels)
	}
	for _, bad := range []map[string]string{{"\xff": "x"}, {"x": "\xff"}} {
		if _, err := keptLabels(bad); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if shown := shownLabels(nil); len(shown) != 0 {
		t.Errorf("shown of none: %v", shown)
	}
}

// TestRefs shows that the refs of ingests are those of callers.
func TestRefs(t *testing.T) {
	t.Parallel()
	for _, ref := range []string{"a", "", "\xff/\x00", "dhow-writer/0/YQ", strings.Repeat("x", 1024)} {
		for number := range 3 {
			if have := callersRef(writerRef(ref, number)); have != ref {
				t.Errorf("%q under number %d: %q", ref, number, have)
			}
		}
	}
	d := digest.FromString("x")
	for number := range 3 {
		if ref := putRef(d, number); callersRef(ref) != d.String() {
			t.Errorf("%q: %q", ref, callersRef(ref))
		}
	}
	for _, ingest := range []string{"layer-sha256:x", "dhow-writer/", "dhow-writer/0", "dhow-writer/0/%", "dhow-put/sha256:x"} {
		if have := callersRef(ingest); have != ingest {
			t.Errorf("%q: %q", ingest, have)
		}
	}
}
