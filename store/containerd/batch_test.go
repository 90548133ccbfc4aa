package containerd

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
)

// putLayer puts a blob as a layer.
func putLayer(t *testing.T, b store.Batch, src *testimage.Store, desc ocispec.Descriptor) store.Put {
	t.Helper()
	put, err := b.Put(t.Context(), desc, image.RoleLayer, opener(src, desc))
	if err != nil {
		t.Fatal("Put:", err)
	}
	return put
}

// layers makes blobs, a small one and some large ones.
func layers(src *testimage.Store) []ocispec.Descriptor {
	var all []ocispec.Descriptor
	for i, size := range []int{300, 100 << 10, 1 << 20} {
		all = append(all, src.Put(ocispec.MediaTypeImageLayer, bytes.Repeat([]byte{byte(i)}, size)))
	}
	return all
}

// TestPublishRestarted shows that what was put is published also after the daemon was
// killed, with the streams of what was large.
func TestPublishRestarted(t *testing.T) {
	t.Parallel()
	d := own(t)
	s := connect(t, d, "default")
	var src testimage.Store
	b := begin(t, s)
	for _, desc := range layers(&src) {
		putLayer(t, b, &src, desc)
	}
	if err := d.Kill(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := b.Publish(ctx); !errdefs.IsUnavailable(err) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Publish without a daemon: %v", err)
	}
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is published", func() bool {
		_, err := b.Publish(t.Context())
		if err != nil && !errdefs.IsUnavailable(err) {
			t.Fatal("Publish:", err)
		}
		return err == nil
	})
	for _, d := range src.Digests() {
		wantBytes(t, s, d, src.Get(d))
	}
}

// TestPublishLost shows what becomes of an ingest that another process takes while its
// stream has ended.
func TestPublishLost(t *testing.T) {
	t.Parallel()
	d := running(t)
	for name, tc := range map[string]struct {
		take func(t *testing.T, o *other, in *ingest, desc ocispec.Descriptor)
		want error // of Publish
	}{
		"nothing": {func(*testing.T, *other, *ingest, ocispec.Descriptor) {}, nil},
		"given up": {func(t *testing.T, o *other, in *ingest, _ ocispec.Descriptor) {
			t.Helper()
			if err := o.abort(t.Context(), in.ref); err != nil {
				t.Fatal(err)
			}
		}, errdefs.ErrUnavailable},
		"begun anew": {func(t *testing.T, o *other, in *ingest, desc ocispec.Descriptor) {
			t.Helper()
			in, err := o.openIngest(t.Context(), in.ref, 0, "")
			if err == nil {
				err = in.reset(t.Context())
			}
			if err == nil {
				_, err = in.write(t.Context(), o.src.Get(desc.Digest)[:1000])
			}
			if err != nil {
				t.Fatal(err)
			}
			in.close()
		}, errdefs.ErrUnavailable},
		"committed": {func(t *testing.T, o *other, in *ingest, desc ocispec.Descriptor) {
			t.Helper()
			in, err := o.openIngest(t.Context(), in.ref, 0, o.lease)
			if err == nil {
				err = in.commit(t.Context(), desc.Digest, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace()
			s, o := connect(t, d, namespace), newOther(t, d, namespace)
			b, desc := begin(t, s).(*batch), layers(&o.src)[1]
			putLayer(t, b, &o.src, desc)
			in := b.wants[desc.Digest].in
			in.close()
			tc.take(t, o, in, desc)
			if _, err := b.Publish(t.Context()); !errors.Is(err, tc.want) {
				t.Errorf("Publish: %v; want %v", err, tc.want)
			}
			if tc.want != nil {
				if put := putLayer(t, b, &o.src, desc); put != store.Written {
					t.Errorf("Put of what was lost: %s", put)
				}
				if _, err := b.Publish(t.Context()); err != nil {
					t.Error("Publish:", err)
				}
			}
			wantBytes(t, s, desc.Digest, o.src.Get(desc.Digest))
			partial, err := s.Partial(t.Context())
			if len(partial) != 0 || err != nil {
				t.Errorf("Partial: %+v, %v", partial, err)
			}
			if held, err := s.Held(t.Context(), b.lease); !cmp.Equal(held, []digest.Digest{desc.Digest}) || err != nil {
				t.Errorf("Held: %v, %v", held, err)
			}
		})
	}
}

// TestHealRepeated shows that what was healed has the labels that it had, and is not
// removed again, where the Publish that has healed it did not end well.
func TestHealRepeated(t *testing.T) {
	t.Parallel()
	d := running(t)
	s := connect(t, d, newNamespace())
	var src testimage.Store
	root := src.Image(testimage.Image{Name: t.Name(), Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, LayerSize: 200 << 10})
	publish(t, s, begin(t, s).(*batch).lease, &src, root, store.Move{Name: busybox, To: target(root)})
	facts, err := s.Facts(t.Context(), root.Digest)
	if err != nil {
		t.Fatal(err)
	}
	for _, desc := range []ocispec.Descriptor{root, facts.Edges[1].Desc} { // in memory, and in an ingest
		healRepeated(t, d, s, &src, desc)
	}
	if partial, err := s.Partial(t.Context()); len(partial) != 0 || err != nil {
		t.Errorf("Partial: %+v, %v", partial, err)
	}
}

func healRepeated(t *testing.T, d *daemon, s *Store, src *testimage.Store, desc ocispec.Descriptor) {
	t.Helper()
	before, err := s.rawInfo(t.Context(), desc.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := damage(d.blob(desc.Digest), func(data []byte) []byte { data[0]++; return data }); err != nil {
		t.Fatal(err)
	}
	if err := s.verify(t.Context(), desc.Digest, desc.Size); !errdefs.IsDataLoss(err) {
		t.Fatal("reading what is damaged:", err)
	}
	b := begin(t, s).(*batch)
	putLayer(t, b, src, desc)
	c := b.wants[desc.Digest]
	if err := b.clear(t.Context(), c); err != nil {
		t.Fatal("a Publish that is cut off when it has removed what is damaged:", err)
	}
	if err := b.commitBytes(t.Context(), c, nil); err != nil {
		t.Fatal("a Publish that is cut off before it knows what it has done:", err)
	}
	there, err := s.rawInfo(t.Context(), desc.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Publish(t.Context()); err != nil {
		t.Fatal("Publish:", err)
	}
	after, err := s.rawInfo(t.Context(), desc.Digest)
	if err != nil || !maps.Equal(after.GetLabels(), before.GetLabels()) {
		t.Errorf("labels: %v, %v; want %v", after.GetLabels(), err, before.GetLabels())
	}
	if !there.GetCreatedAt().AsTime().Equal(after.GetCreatedAt().AsTime()) {
		t.Error("what was healed was written again")
	}
}

// TestPublishKeepsTarget shows that what a name is to point at is not collected while blobs
// are committed, though the batch has not put it.
func TestPublishKeepsTarget(t *testing.T) {
	t.Parallel()
	d := running(t)
	namespace := newNamespace()
	s, o := connect(t, d, namespace), newOther(t, d, namespace)
	root := o.src.Image(testimage.Image{Name: t.Name(), Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	held := begin(t, s).(*batch).lease
	publish(t, s, held, &o.src, root)
	b, desc := begin(t, s).(*batch), layers(&o.src)[0]
	putLayer(t, b, &o.src, desc)
	goOn, err := b.wants[desc.Digest].turn.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	published := make(chan error, 1)
	go func() {
		_, err := b.Publish(t.Context(), store.Move{Name: busybox, To: target(root)})
		published <- err
	}()
	kept := false
	for deadline := time.Now().Add(2 * time.Second); !kept && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		resources, err := o.resources(t.Context(), s.pins.lease)
		if err != nil && !errdefs.IsNotFound(err) {
			t.Fatal(err)
		}
		kept = slices.ContainsFunc(resources, func(r *leasesapi.Resource) bool { return r.GetID() == root.Digest.String() })
	}
	if err := s.Release(t.Context(), held); err != nil {
		t.Fatal("Release:", err)
	}
	if _, err := o.Collect(t.Context()); err != nil {
		t.Fatal("Collect:", err)
	}
	goOn()
	if err := <-published; err != nil {
		t.Error("Publish:", err)
	}
	if _, err := s.Stat(t.Context(), root.Digest); err != nil {
		t.Error("what the name points at:", err)
	}
	if resources, err := o.resources(t.Context(), s.pins.lease); len(resources) != 0 || !kept {
		t.Errorf("kept while blobs are committed: %t; afterwards: %v, %v", kept, resources, err)
	}
}
