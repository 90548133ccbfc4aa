package storetest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
)

func (f Factory) drop() map[string]func(*testing.T) {
	return map[string]func(*testing.T){
		"a platform":           f.dropPlatform,
		"a platform, again":    f.dropAndPut,
		"what is shared stays": f.dropShared,
		"a list":               f.dropList,
		"large documents":      f.dropLarge,
		"what is needed":       f.dropNeeded,
		"all or none":          f.dropAll,
	}
}

// drop drops parts, or skips the test if the store cannot.
func (w *world) drop(t *testing.T, target digest.Digest, parts ...digest.Digest) error {
	t.Helper()
	skipIf(t, w.f.Cannot.Drop)
	d, ok := w.Store.(store.Dropper)
	if !ok {
		t.Fatal("the store is no store.Dropper, and Cannot.Drop does not say why")
	}
	return d.Drop(t.Context(), target, parts...)
}

func (w *world) dropped(t *testing.T, target digest.Digest, parts ...digest.Digest) {
	t.Helper()
	if err := w.drop(t, target, parts...); err != nil {
		t.Fatalf("Drop of %v: %v", parts, err)
	}
}

// without returns the digests of graphs of which something was dropped: what is only
// below the parts is not among them.
func (w *world) without(t *testing.T, parts []digest.Digest, roots ...ocispec.Descriptor) []digest.Digest {
	t.Helper()
	src := &source{Store: &testimage.Store{}}
	for _, d := range w.src.Digests() {
		src.Set(d, w.src.Get(d))
	}
	for _, d := range parts {
		src.Delete(d)
	}
	return src.digests(t, roots...)
}

// dropPlatform checks that a dropped manifest is gone with what it alone needs, and that
// its list is as it was.
func (f Factory) dropPlatform(t *testing.T) {
	w := f.world(t)
	amd, arm := w.src.Image(testimage.Image{Platform: amd64()}), w.src.Image(testimage.Image{Platform: arm64()})
	root := w.src.Index(amd, arm)
	w.name(t, root, busybox, alpine)
	w.dropped(t, root.Digest, amd.Digest)
	w.wantAbsent(t, amd.Digest)
	w.wantImage(t, arm)
	for range 2 {
		w.collect(t)
		w.wantBlobs(t, w.without(t, []digest.Digest{amd.Digest}, root)...)
		w.wantNames(t, map[string]digest.Digest{busybox: root.Digest, alpine: root.Digest})
		w.view(t, func(r store.NameReader) {
			if found, err := r.Containing(amd.Digest); err != nil || len(found) != 2 {
				t.Errorf("Containing of what was dropped: %d records, %v; want 2", len(found), err)
			}
		})
		w.reopen(t)
	}
	wantKind(t, "Drop again", w.drop(t, root.Digest, amd.Digest), errdefs.ErrNotFound)
	w.dropped(t, root.Digest)
	w.dropped(t, root.Digest, arm.Digest, arm.Digest)
	w.collect(t)
	w.wantBlobs(t, root.Digest)
}

// dropAndPut checks that what was dropped can come again, and is kept by its list then.
func (f Factory) dropAndPut(t *testing.T) {
	w := f.world(t)
	amd := w.src.Image(testimage.Image{Platform: amd64()})
	root := w.src.Index(amd, w.src.Image(testimage.Image{Platform: arm64()}))
	w.name(t, root, busybox)
	for _, collected := range []bool{false, true} {
		w.dropped(t, root.Digest, amd.Digest)
		if collected {
			w.collect(t)
		}
		w.release(t, w.hold(t, amd))
		w.collect(t)
		w.wantBlobs(t, w.src.digests(t, root)...)
		w.wantImage(t, root)
	}
	w.move(t, store.Move{Name: busybox, Forget: true})
	w.collect(t)
	w.wantBlobs(t)
}

// dropShared checks that layers and configs stay which another image needs, of the same
// list or another.
func (f Factory) dropShared(t *testing.T) {
	w := f.world(t)
	base, _ := w.src.Layer("base", large)
	own, _ := w.src.Layer("own", small)
	config := `{"os":"linux","architecture":"amd64"}`
	one, two := w.manifest(config, base, own), w.manifest(config, base)
	other := w.manifest(`{"os":"linux","architecture":"arm64"}`, base)
	root := w.src.Index(one, other)
	w.name(t, root, busybox)
	w.name(t, two, alpine)
	w.dropped(t, root.Digest, one.Digest)
	w.collect(t)
	w.wantAbsent(t, own.Digest)
	w.wantImage(t, two)
	w.wantImage(t, other)
	w.dropped(t, root.Digest, other.Digest)
	w.collect(t)
	w.wantImage(t, two)
	w.wantBlobs(t, append(w.src.digests(t, two), root.Digest)...)
}

// dropList checks that what is below a dropped list goes, unless it is elsewhere below the
// target too.
func (f Factory) dropList(t *testing.T) {
	w := f.world(t)
	amd, arm := w.src.Image(testimage.Image{Platform: amd64()}), w.src.Image(testimage.Image{Platform: arm64()})
	inner := w.src.Index(amd, arm)
	root := w.src.Index(inner, arm)
	w.name(t, root, busybox)
	w.dropped(t, root.Digest, inner.Digest)
	w.collect(t)
	w.wantBlobs(t, append(w.src.digests(t, arm), root.Digest)...)
	w.wantImage(t, arm)
}

// dropLarge checks that documents go which an engine may keep in files of their own.
func (f Factory) dropLarge(t *testing.T) {
	w := f.world(t)
	amd := w.src.Image(testimage.Image{Platform: amd64(), Annotations: map[string]string{"a": strings.Repeat("x", large)}})
	root := w.src.Index(amd, w.src.Image(testimage.Image{Platform: arm64()}))
	w.name(t, root, busybox)
	w.dropped(t, root.Digest, amd.Digest)
	w.wantAbsent(t, amd.Digest)
	w.collect(t)
	w.wantBlobs(t, w.without(t, []digest.Digest{amd.Digest}, root)...)
	w.release(t, w.hold(t, amd))
	w.collect(t)
	w.wantImage(t, root)
}

// dropNeeded checks that nothing is dropped which something else needs, or is no part.
func (f Factory) dropNeeded(t *testing.T) {
	for name, c := range map[string]struct {
		// need has something need the manifest amd, and returns what is dropped instead.
		need func(w *world, root, amd ocispec.Descriptor) digest.Digest
		want error
		says string
	}{
		"below another name": {func(w *world, _, amd ocispec.Descriptor) digest.Digest {
			w.name(t, w.src.Index(amd), alpine)
			return amd.Digest
		}, errdefs.ErrFailedPrecondition, alpine},
		"below a list below another name": {func(w *world, _, amd ocispec.Descriptor) digest.Digest {
			w.name(t, w.src.Index(w.src.Index(amd)), alpine)
			return amd.Digest
		}, errdefs.ErrFailedPrecondition, alpine},
		"below a dangling record": {func(w *world, root, amd ocispec.Descriptor) digest.Digest {
			w.name(t, w.src.Index(amd), alpine)
			w.move(t, store.Move{Name: alpine, To: target(root)})
			return amd.Digest
		}, errdefs.ErrFailedPrecondition, "@sha256:"},
		"with a name of its own": {func(w *world, _, amd ocispec.Descriptor) digest.Digest {
			w.name(t, amd, alpine)
			return amd.Digest
		}, errdefs.ErrFailedPrecondition, alpine},
		"the target": {func(_ *world, root, _ ocispec.Descriptor) digest.Digest { return root.Digest }, errdefs.ErrFailedPrecondition, busybox},
		"held by a lease": {func(w *world, _, amd ocispec.Descriptor) digest.Digest {
			if err := w.Hold(t.Context(), w.lease(t), amd.Digest); err != nil {
				t.Error(err)
			}
			return amd.Digest
		}, errdefs.ErrFailedPrecondition, "lease"},
		"below a list that a lease holds": {func(w *world, _, amd ocispec.Descriptor) digest.Digest {
			other := w.src.Index(amd)
			lease := w.lease(t)
			b := w.begin(t, lease)
			b.put(t, other, image.RoleIndex)
			b.publish(t)
			b.close(t)
			return amd.Digest
		}, errdefs.ErrFailedPrecondition, "lease"},
		"put in an open batch": {func(w *world, _, amd ocispec.Descriptor) digest.Digest {
			w.begin(t, w.lease(t)).put(t, amd, image.RoleManifest)
			return amd.Digest
		}, errdefs.ErrFailedPrecondition, ""},
		"being read": {func(w *world, _, amd ocispec.Descriptor) digest.Digest {
			r, err := w.Open(t.Context(), amd.Digest, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = r.Close() })
			return amd.Digest
		}, errdefs.ErrFailedPrecondition, ""},
		"of another image": {func(w *world, _, _ ocispec.Descriptor) digest.Digest {
			other := w.src.Image(testimage.Image{Platform: arm()})
			w.name(t, w.src.Index(other), alpine)
			return other.Digest
		}, errdefs.ErrNotFound, ""},
		"a config": {func(w *world, _, amd ocispec.Descriptor) digest.Digest { return w.edges(t, amd)[0].Desc.Digest }, errdefs.ErrNotFound, ""},
		"a layer":  {func(w *world, _, amd ocispec.Descriptor) digest.Digest { return w.edges(t, amd)[1].Desc.Digest }, errdefs.ErrNotFound, ""},
		"nothing": {func(*world, ocispec.Descriptor, ocispec.Descriptor) digest.Digest {
			return digest.FromString("nothing")
		}, errdefs.ErrNotFound, ""},
		"no digest": {func(*world, ocispec.Descriptor, ocispec.Descriptor) digest.Digest { return "sha256:x" }, errdefs.ErrInvalidArgument, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := f.world(t)
			amd := w.src.Image(testimage.Image{Platform: amd64()})
			root := w.src.Index(amd, w.src.Image(testimage.Image{Platform: arm64()}))
			w.name(t, root, busybox)
			part := c.need(w, root, amd)
			err := w.drop(t, root.Digest, part)
			wantKind(t, fmt.Sprintf("Drop of %s", part), err, c.want)
			if err != nil && (!strings.Contains(err.Error(), string(part)) || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("error %v; want %s and %q in it", err, part, c.says)
			}
			w.collect(t)
			w.wantImage(t, root)
		})
	}
}

// dropAll checks that a part that cannot be dropped keeps the others, and that reading
// what was dropped goes on to its end where that began before.
func (f Factory) dropAll(t *testing.T) {
	w := f.world(t)
	amd, arm := w.src.Image(testimage.Image{Platform: amd64()}), w.src.Image(testimage.Image{Platform: arm64()})
	root := w.src.Index(amd, arm)
	w.name(t, root, busybox)
	w.name(t, arm, alpine)
	for _, parts := range [][]digest.Digest{{amd.Digest, arm.Digest}, {arm.Digest, amd.Digest}, {amd.Digest, digest.FromString("nothing")}} {
		if err := w.drop(t, root.Digest, parts...); err == nil {
			t.Errorf("Drop of %v: no error", parts)
		}
		w.collect(t)
		w.wantImage(t, root)
	}
	layer := w.edges(t, amd)[1].Desc
	r, err := w.Open(t.Context(), layer.Digest, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.dropped(t, root.Digest, amd.Digest)
	w.collect(t)
	var data bytes.Buffer
	if _, err := data.ReadFrom(r); err != nil || !bytes.Equal(data.Bytes(), w.src.Get(layer.Digest)) {
		t.Errorf("%d bytes of a layer, %v; want %d", data.Len(), err, layer.Size)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	w.collect(t)
	w.wantAbsent(t, layer.Digest)
}
