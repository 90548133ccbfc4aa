package service_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
)

const parentLabel = "org.mobyproject.image.parent"

func get(tb testing.TB, f *fixture, reference string, opts service.GetOptions) service.Image {
	tb.Helper()
	img, err := f.Get(tb.Context(), reference, opts)
	if err != nil {
		tb.Fatalf("Get of %s: %v", reference, err)
	}
	return img
}

func move(tb testing.TB, f *fixture, moves ...store.Move) {
	tb.Helper()
	if _, err := f.store.Move(tb.Context(), moves...); err != nil {
		tb.Fatal("Move:", err)
	}
}

// TestGetPart gets what a reference means in an image, and nothing else of that.
func TestGetPart(t *testing.T) {
	t.Parallel()
	f := newFixture(t, amd64)
	p := f.parts(t, "n/amd=linux/amd64 n/v7=linux/arm/v7 arm=linux/arm64")
	p.write(t, f, "example.com/image:1")
	digests := map[string]digest.Digest{"index": p.root.Digest}
	for _, desc := range p.order {
		name := p.names[desc.Digest]
		digests[name], digests[name+" config"] = desc.Digest, f.config(t, desc)
	}
	digests["n"] = f.children(t, p.root)[0].Digest
	for _, row := range []struct{ of, asked, want string }{
		{of: "index", want: "n/amd"},
		{of: "arm", want: "arm"},
		{of: "arm config", want: "arm"},
		{of: "n/v7 config", want: "n/v7"},
		{of: "n", want: "n/amd"},
		{of: "n", asked: "linux/arm/v7", want: "n/v7"},
		{of: "n", asked: "linux/arm64", want: noPlatform},
		{of: "arm", asked: "linux/amd64", want: noPlatform},
		{of: "arm config", asked: "linux/amd64", want: noPlatform},
	} {
		t.Run(row.of+" "+row.asked, func(t *testing.T) {
			t.Parallel()
			img, err := f.Get(t.Context(), digests[row.of].String(), service.GetOptions{Platform: asked(row.asked)})
			if wanted(t, "Get", err, row.want) && (p.names[img.Instance.Descriptor.Digest] != row.want || img.ID != p.root.Digest || img.Digest != digests[row.of]) {
				t.Errorf("Get is %s of %s", describe(img.Instance), img.ID)
			}
		})
	}
	if size, err := f.Size(t.Context(), digests["n/v7"].String(), nil); err != nil || size != p.size(t, "index+n+n/v7") {
		t.Errorf("Size of a manifest: %d, %v", size, err)
	}
	for _, of := range []string{"n/v7", "n/v7 config"} {
		if desc, err := f.Manifest(t.Context(), digests[of].String(), nil); err != nil || desc.Digest != digests["n/v7"] {
			t.Errorf("Manifest of %s: %v, %v", of, desc, err)
		}
	}
}

func TestGetErrors(t *testing.T) {
	t.Parallel()
	f := newFixture(t, amd64)
	f.put(t, f.index(t, "a", "linux/amd64"), "a")
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for _, row := range []struct {
		name string
		ctx  context.Context
		of   string
		opts service.GetOptions
		kind error
		text string
	}{
		{name: "unknown", of: "b", kind: errdefs.ErrNotFound, text: "No such image: b:latest"},
		{name: "no reference", of: "A b", kind: errdefs.ErrInvalidArgument},
		{name: "no name", of: "", kind: errdefs.ErrInvalidArgument, text: "image name cannot be blank"},
		{name: "no architecture", of: "a", opts: service.GetOptions{Platform: &ocispec.Platform{OS: "linux"}}, kind: errdefs.ErrInvalidArgument},
		{name: "cancelled", ctx: stopped, of: "a", kind: context.Canceled},
		{
			name: "hostile platform", of: "a", opts: service.GetOptions{Platform: &ocispec.Platform{OS: "linux", Architecture: "x\x1b[2J\n" + strings.Repeat("y", 1000)}},
			kind: errdefs.ErrNotFound, text: `(linux/x\x1b[2J\ny`,
		},
		{name: "bare does not hide an unknown image", of: "b", opts: service.GetOptions{Bare: true}, kind: errdefs.ErrNotFound},
		{
			name: "bare with a platform", of: "a", kind: errdefs.ErrNotFound,
			opts: service.GetOptions{Bare: true, Platform: &ocispec.Platform{OS: "linux", Architecture: "arm64"}},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			if row.ctx != nil {
				ctx = row.ctx
			}
			_, err := f.Get(ctx, row.of, row.opts)
			if !errors.Is(err, row.kind) || !strings.Contains(err.Error(), row.text) || len(err.Error()) > 1000 {
				t.Errorf("Get: %v, want %v with %q", err, row.kind, row.text)
			}
		})
	}
}

// TestGetBare gets images of which no instance is whole.
func TestGetBare(t *testing.T) {
	t.Parallel()
	f := newFixture(t, amd64)
	p := f.parts(t, "amd=linux/amd64;nolayer arm=linux/arm64;absent att=unknown/unknown;attestation")
	p.write(t, f, "example.com/image:1")
	img := get(t, f, "example.com/image:1", service.GetOptions{Bare: true, Details: true})
	if img.ID != p.root.Digest || img.Instance != nil || img.Config != nil {
		t.Errorf("Get: %+v", img)
	}
	var got []string
	for i := range img.Details.Instances {
		inst := &img.Details.Instances[i]
		got = append(got, describe(inst))
		if len(inst.Missing) != map[service.Presence]int{service.Complete: 0, service.Partial: 1, service.Absent: 1}[inst.Presence] {
			t.Errorf("%s lacks %v", describe(inst), inst.Missing)
		}
	}
	want := []string{"image partial " + p.order[0].Digest.String(), "image absent " + p.order[1].Digest.String(), "attestation complete " + p.order[2].Digest.String()}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("instances (-want +got):\n", diff)
	}
	layer := f.children(t, p.order[0])[1].Size
	if want := p.size(t, "index+amd+att") - layer; img.Details.Size != want {
		t.Errorf("the size is %d, want %d", img.Details.Size, want)
	}
	first := img.Details.Instances[0]
	if first.Total != p.size(t, "amd") || first.Content != first.Total-layer {
		t.Errorf("%d of %d bytes are there, want all but %d of %d", first.Content, first.Total, layer, p.size(t, "amd"))
	}
}

func TestGetDetails(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	opts := service.Options{Host: amd64.Host, Driver: "a driver", Clock: func() time.Time { now = now.Add(time.Second); return now }}
	f := newFixture(t, opts)
	root := f.index(t, "a", "linux/amd64", "linux/arm64")
	f.put(t, root, "app:1", "app:2", "example.com/x/app", "app@"+root.Digest.String())
	img := get(t, f, "app:1", service.GetOptions{Details: true})
	var got []string
	for _, name := range img.Details.References {
		got = append(got, name.Familiar())
	}
	want := []string{"app:1", "app:2", "app@" + root.Digest.String(), "example.com/x/app:latest", "example.com/x/app@" + root.Digest.String()}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("references (-want +got):\n", diff)
	}
	var last time.Time
	for _, rec := range f.records(t) {
		if rec.Updated.After(last) {
			last = rec.Updated
		}
	}
	size, err := f.Size(t.Context(), "app:1", nil)
	if d := img.Details; err != nil || d.Driver != "a driver" || !d.Updated.Equal(last) || d.Size != size || len(d.Instances) != 2 {
		t.Errorf("details: %+v; want size %d, last moved %s", d, size, last)
	}
	if err := f.store.View(t.Context(), func(r store.NameReader) error { _, err := r.Get("docker.io/library/app:1"); return err }); err != nil {
		t.Error(err)
	}
	dangling := f.index(t, "b", "linux/amd64")
	f.put(t, dangling)
	if img := get(t, f, dangling.Digest.String(), service.GetOptions{Details: true}); len(img.Details.References) != 0 {
		t.Errorf("a dangling image is called %v", img.Details.References)
	}
}

// TestGetParent has records and configs say what an image was built upon.
func TestGetParent(t *testing.T) {
	t.Parallel()
	one, two := digest.FromString("one"), digest.FromString("two")
	for _, row := range []struct {
		name          string
		first, second string // labels of the records
		config        string // label of the config
		want          digest.Digest
		warning       string
	}{
		{name: "nobody says"},
		{name: "one record", first: one.String(), want: one},
		{name: "both records", first: one.String(), second: one.String(), want: one},
		{name: "they disagree", first: one.String(), second: two.String(), warning: "conflicting values"},
		{name: "they disagree, and the config is not asked", first: one.String(), second: two.String(), config: one.String(), warning: "conflicting values"},
		{name: "no digest", first: "../../etc\x1b", warning: "is no digest"},
		{name: "the config", config: two.String(), want: two},
		{name: "records come before it", first: one.String(), config: two.String(), want: one},
		{name: "nonsense in it", config: "sha256:../.."},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, amd64)
			labels := map[string]string{}
			if row.config != "" {
				labels[parentLabel] = row.config
			}
			root := f.labelled(labels)
			f.put(t, root, "a:1", "a:2")
			for name, label := range map[string]string{"docker.io/library/a:1": row.first, "docker.io/library/a:2": row.second} {
				if label != "" {
					move(t, f, store.Move{Name: name, To: targetOf(root), Labels: map[string]string{parentLabel: label}})
				}
			}
			img := get(t, f, "a:1", service.GetOptions{})
			if img.Parent != row.want || len(img.Warnings) > 0 != (row.warning != "") || !strings.Contains(strings.Join(img.Warnings, ""), row.warning) {
				t.Errorf("the parent is %q with warnings %q", img.Parent, img.Warnings)
			}
		})
	}
}

// labelled makes an image for linux/amd64 whose config has labels.
func (f *fixture) labelled(labels map[string]string) ocispec.Descriptor {
	config := f.src.JSON(ocispec.MediaTypeImageConfig, map[string]any{
		"os": "linux", "architecture": "amd64", "created": testimage.Created, "config": map[string]any{"Labels": labels},
		"rootfs": map[string]any{"type": "layers"}, "unknown": "\u202e<script>", "history": []any{},
	})
	return f.src.JSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: versioned, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: []ocispec.Descriptor{},
	})
}

// TestGetConfigIsOwn changes a config that was returned, which changes no other one.
func TestGetConfigIsOwn(t *testing.T) {
	t.Parallel()
	f := newFixture(t, amd64)
	f.put(t, f.image(t, "linux/amd64", "x"), "x")
	first := get(t, f, "x", service.GetOptions{})
	want := string(first.Config)
	clear(first.Config)
	if again := get(t, f, "x", service.GetOptions{}); string(again.Config) != want {
		t.Errorf("the config has become %q", again.Config)
	}
}
