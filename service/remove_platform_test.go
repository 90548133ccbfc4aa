package service_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
)

// platformWorld is a list of three platforms, with an attestation, and two other images
// that share a layer with it.
type platformWorld struct {
	*fixture
	root, amd, arm, v7, att ocispec.Descriptor
	own, base               ocispec.Descriptor // layers of amd; the latter is of the others too
	sharing, single         ocispec.Descriptor
}

func newPlatformWorld(t *testing.T) *platformWorld {
	t.Helper()
	f := newFixture(t, service.Options{})
	w := &platformWorld{fixture: f}
	w.base, _ = f.src.Layer("base", 2000)
	w.own, _ = f.src.Layer("own", 2000)
	manifest := func(of string, layers ...ocispec.Descriptor) ocispec.Descriptor {
		p := parsePlatform(t, of)
		m := f.src.JSON(ocispec.MediaTypeImageManifest, map[string]any{
			"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "layers": layers,
			"config": f.src.JSON(ocispec.MediaTypeImageConfig, ocispec.Image{Platform: p, RootFS: ocispec.RootFS{Type: "layers"}}),
		})
		m.Platform = &p
		return m
	}
	w.amd, w.arm, w.v7 = manifest("linux/amd64", w.base, w.own), f.image(t, "linux/arm64", "x"), f.image(t, "linux/arm/v7", "x")
	w.att = f.src.Attestation(w.amd)
	w.root = f.src.Index(w.amd, w.arm, w.v7, w.att)
	w.sharing = f.src.Index(manifest("linux/s390x", w.base), w.v7)
	w.single = manifest("linux/amd64", w.base)
	f.put(t, w.root, "x:1", "x:2", "y:1")
	f.put(t, w.sharing, "sharing:1")
	f.put(t, w.single, "single:1")
	return w
}

// wantWhole checks that all of an image is there, and is what its digests say.
func (w *platformWorld) wantWhole(t *testing.T, root ocispec.Descriptor) {
	t.Helper()
	for _, n := range nodesOf(t, w.src, root, nil) {
		r, err := w.store.Open(t.Context(), n.Desc.Digest, 0)
		if err != nil {
			t.Errorf("%s: %v", n.Desc.Digest, err)
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil || digest.FromBytes(data) != n.Desc.Digest {
			t.Errorf("%s: %d bytes, %v", n.Desc.Digest, len(data), err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func (w *platformWorld) remove(t *testing.T, ref string, platforms ...string) (service.Removed, error) {
	t.Helper()
	opts := service.RemoveOptions{Force: true}
	for _, p := range platforms {
		opts.Platforms = append(opts.Platforms, parsePlatform(t, p))
	}
	return w.Remove(t.Context(), ref, opts)
}

func TestRemovePlatform(t *testing.T) {
	t.Parallel()
	w := newPlatformWorld(t)
	done, err := w.remove(t, "x:1", "linux/amd64", "linux/amd64")
	if err != nil {
		t.Fatal(err)
	}
	if len(done.Removals) != 2 || done.Removals[0] != (service.Removal{Deleted: w.amd.Digest}) || done.Removals[1] != (service.Removal{Deleted: w.att.Digest}) {
		t.Errorf("removed %+v; want manifest and attestation", done.Removals)
	}
	if done.Reclaimed < w.own.Size+w.amd.Size {
		t.Errorf("%d bytes reclaimed; want those of the manifest and its own layer at least", done.Reclaimed)
	}
	for _, gone := range []digest.Digest{w.amd.Digest, w.att.Digest, w.own.Digest, w.config(t, w.amd)} {
		if gone != w.config(t, w.single) && w.has(t, gone) {
			t.Errorf("%s is still there", gone)
		}
	}
	for _, root := range []ocispec.Descriptor{w.arm, w.v7, w.sharing, w.single} {
		w.wantWhole(t, root)
	}
	for _, name := range []string{"x:1", "x:2", "y:1"} {
		if r, err := w.Resolve(t.Context(), name); err != nil || r.Digest != w.root.Digest {
			t.Errorf("%s: %+v, %v; want the list as it was", name, r, err)
		}
	}
	if r, err := w.Resolve(t.Context(), w.amd.Digest.String()); err != nil || r.Matched != service.ByManifest {
		t.Errorf("the manifest: %+v, %v; want that it is known, though absent", r, err)
	}
	if _, err := w.remove(t, "x:1", "linux/amd64"); !errdefs.IsNotFound(err) {
		t.Errorf("once more: error %v; want not found", err)
	}
	w.putBlobs(t, w.root) // as a pull of the platform does
	w.wantWhole(t, w.root)
	if _, err := w.Remove(t.Context(), "y:1", service.RemoveOptions{}); err != nil {
		t.Error(err)
	}
	w.wantWhole(t, w.root)
}

func TestRemoveImageOfSharedLayers(t *testing.T) {
	t.Parallel()
	w := newPlatformWorld(t)
	if _, err := w.Remove(t.Context(), w.root.Digest.String(), service.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	w.wantWhole(t, w.sharing)
	w.wantWhole(t, w.single)
	if !w.has(t, w.base.Digest) || w.has(t, w.own.Digest) || w.has(t, w.root.Digest) {
		t.Error("the shared layer is gone, or another one is not")
	}
	if _, err := w.Remove(t.Context(), "sharing:1", service.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	w.wantWhole(t, w.single)
}

func TestRemovePlatformRefused(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		ref       string
		opts      service.RemoveOptions
		platforms []string
		before    func(t *testing.T, w *platformWorld)
		err       error
		text      string
	}{
		"not forced":                         {ref: "x:1", platforms: []string{"linux/amd64"}, opts: service.RemoveOptions{NoPrune: true}, err: errdefs.ErrInvalidArgument, text: "Content will be removed from all images referencing this variant."},
		"no such image":                      {ref: "z:1", platforms: []string{"linux/amd64"}, err: errdefs.ErrNotFound, text: "No such image: z:1"},
		"no such platform":                   {ref: "x:1", platforms: []string{"linux/s390x"}, err: errdefs.ErrNotFound, text: "failed to delete platform linux/s390x for image x:1: "},
		"another variant":                    {ref: "x:1", platforms: []string{"linux/arm/v6"}, err: errdefs.ErrNotFound, text: "failed to delete platform linux/arm/v6"},
		"one that there is and one that not": {ref: "x:1", platforms: []string{"linux/amd64", "linux/s390x"}, err: errdefs.ErrNotFound, text: "failed to delete platform linux/s390x"},
		"all of the image":                   {ref: "single:1", platforms: []string{"linux/amd64"}, err: errdefs.ErrConflict, text: "is all of single:1"},
		"a manifest of another image too":    {ref: "x:1", platforms: []string{"linux/arm/v7"}, err: errdefs.ErrConflict, text: "sharing:1"},
		"one such and one that may go":       {ref: "x:1", platforms: []string{"linux/amd64", "linux/arm/v7"}, err: errdefs.ErrConflict, text: "sharing:1"},
		"a manifest with a name": {ref: "x:1", platforms: []string{"linux/amd64"}, before: func(t *testing.T, w *platformWorld) {
			t.Helper()
			w.put(t, w.amd, "pinned:1")
		}, err: errdefs.ErrConflict, text: "pinned:1"},
		"held by a lease": {ref: "x:1", platforms: []string{"linux/amd64"}, before: func(t *testing.T, w *platformWorld) {
			t.Helper()
			lease, err := w.store.Lease(t.Context(), store.Lease{})
			if err == nil {
				err = w.store.Hold(t.Context(), lease.ID, w.amd.Digest)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, err: errdefs.ErrConflict, text: "lease"},
		"being read": {ref: "x:1", platforms: []string{"linux/amd64"}, before: func(t *testing.T, w *platformWorld) {
			t.Helper()
			r, err := w.store.Open(t.Context(), w.amd.Digest, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = r.Close() })
		}, err: errdefs.ErrConflict, text: "read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newPlatformWorld(t)
			if row.before != nil {
				row.before(t, w)
			}
			row.opts.Force = !row.opts.NoPrune
			for _, p := range row.platforms {
				row.opts.Platforms = append(row.opts.Platforms, parsePlatform(t, p))
			}
			done, err := w.Remove(t.Context(), row.ref, row.opts)
			if !errors.Is(err, row.err) || !strings.Contains(err.Error(), row.text) || len(done.Removals) > 0 {
				t.Errorf("removed %+v, error %v; want %v with %q", done.Removals, err, row.err, row.text)
			}
			if errdefs.IsConflict(err) && (errdefs.IsFailedPrecondition(err) || strings.Count(err.Error(), "conflict") != 1) {
				t.Errorf("error %v; want one kind, said once", err)
			}
			for _, root := range []ocispec.Descriptor{w.root, w.sharing, w.single} {
				w.wantWhole(t, root)
			}
		})
	}
	t.Run("a store that cannot", func(t *testing.T) {
		t.Parallel()
		w := newPlatformWorld(t)
		w.Service = service.New(struct{ store.Store }{w.store}, service.Options{})
		if _, err := w.remove(t, "x:1", "linux/amd64"); !errdefs.IsNotImplemented(err) {
			t.Errorf("error %v; want not implemented", err)
		}
	})
}
