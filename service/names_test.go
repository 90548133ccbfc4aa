package service_test

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
)

func TestRepository(t *testing.T) {
	t.Parallel()
	w := newResolveWorld(t)
	w.put(t, w.image(t, "linux/amd64", "port"), "alpine:5000/other:1")
	for name, want := range map[string]string{
		"alpine":                      "alpine:3.20",
		"docker.io/library/busybox":   "busybox:1.36 busybox:latest",
		"localhost:5000/team/alpine":  "localhost:5000/team/alpine:3.20",
		"nobody/nothing":              "",
		"pinned":                      "",
		"EXAMPLE.com/mirror/busybox":  "example.com/mirror/busybox:1.36",
		"example.com/mirror/busybox1": "",
	} {
		records, err := w.Repository(t.Context(), name)
		if got := keys(records); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", name, got, err, want)
		}
	}
	for _, name := range []string{"alpine:3.20", "alpine@" + string(w.digests["A"]), "", "Alpine"} {
		if _, err := w.Repository(t.Context(), name); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%q: error %v; want invalid argument", name, err)
		}
	}
}

func TestDangling(t *testing.T) {
	t.Parallel()
	w := newResolveWorld(t)
	records, err := w.Dangling(t.Context())
	if got, want := keys(records), w.fill(t, "@{O}"); err != nil || got != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
	if records, err = newFixture(t, service.Options{}).Dangling(t.Context()); err != nil || len(records) != 0 {
		t.Errorf("of an empty store: %v, %v", records, err)
	}
}

func TestFamiliar(t *testing.T) {
	t.Parallel()
	digest := ocispec.DescriptorEmptyJSON.Digest
	for name, want := range map[string]string{
		"docker.io/library/busybox:latest": "busybox:latest", "docker.io/a/b:1": "a/b:1", "example.com/x:1": "example.com/x:1",
		"docker.io/library/x@" + string(digest): "x@" + string(digest), "NOT A NAME": "NOT A NAME", "": string(digest),
	} {
		if got := service.Familiar(store.Record{Name: name, Target: ocispec.Descriptor{Digest: digest}}); got != want {
			t.Errorf("%q is %q; want %q", name, got, want)
		}
	}
}

func TestLabel(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{})
	image := f.image(t, "linux/amd64", "x")
	f.put(t, image, "x:1", "x:2", "x:3")
	set := func(name string, labels map[string]string) {
		t.Helper()
		if _, err := f.store.Move(t.Context(), store.Move{Name: normalName(t, name), To: targetOf(image), Labels: labels}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(key, value string) {
		t.Helper()
		if got, err := f.Label(t.Context(), image.Digest, key); err != nil || got != value {
			t.Errorf("label %s: %q, %v; want %q", key, got, err, value)
		}
	}
	want("parent", "")
	set("x:2", map[string]string{"parent": "one", "empty": ""})
	want("parent", "one")
	set("x:3", map[string]string{"parent": "one"})
	want("parent", "one")
	want("empty", "")
	want("other", "")
	set("x:1", map[string]string{"parent": "two", "empty": "full"})
	for key, values := range map[string][]string{"parent": {`"one"`, `"two"`, "x:1", "x:2"}, "empty": {`""`, `"full"`}} {
		_, err := f.Label(t.Context(), image.Digest, key)
		if !errdefs.IsConflict(err) {
			t.Fatalf("label %s: error %v; want a conflict", key, err)
		}
		for _, v := range values {
			if !strings.Contains(err.Error(), v) {
				t.Errorf("label %s: error %v; want %s in it", key, err, v)
			}
		}
	}
	if _, err := f.Label(t.Context(), "sha256:x", "parent"); !errdefs.IsInvalidArgument(err) {
		t.Errorf("error %v; want invalid argument", err)
	}
}
