package containerd

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
)

// TestDamageIsNoted shows that what one process has found damaged is not there for others,
// until one of them writes it anew, and is not taken away before.
func TestDamageIsNoted(t *testing.T) {
	t.Parallel()
	d := running(t)
	namespace := newNamespace()
	_, desc, open := layer(t)
	put := func(open store.Opener) (store.Put, error) { // each by a process of its own
		b := begin(t, connect(t, d, namespace))
		put, err := b.Put(t.Context(), desc, image.RoleLayer, open)
		if err == nil {
			_, err = b.Publish(t.Context())
		}
		return put, err
	}
	read := func() error {
		s := connect(t, d, namespace)
		_, err := s.readAll(t.Context(), desc.Digest, desc.Size)
		return err
	}
	if got, err := put(open); got != store.Written || err != nil {
		t.Fatalf("Put: %s, %v", got, err)
	}
	if err := damage(d.blob(desc.Digest), func(b []byte) []byte { b[1000]++; return b }); err != nil {
		t.Fatal(err)
	}
	if err := read(); !errdefs.IsDataLoss(err) {
		t.Errorf("reading what is damaged: %v", err)
	}
	s := connect(t, d, namespace)
	if r, err := s.Open(t.Context(), desc.Digest, 0); !errdefs.IsDataLoss(err) {
		t.Errorf("Open of what is damaged: %v, %v; want %v", r, err, errdefs.ErrDataLoss)
	}
	if r, err := s.OpenAt(t.Context(), desc.Digest); !errdefs.IsDataLoss(err) {
		t.Errorf("OpenAt of what is damaged: %v, %v; want %v", r, err, errdefs.ErrDataLoss)
	}
	nothing := errors.New("nothing to write")
	if _, err := put(func(context.Context, int64) (io.ReadCloser, error) { return nil, nothing }); !errors.Is(err, nothing) {
		t.Errorf("Put of nothing: %v", err)
	}
	if _, err := os.Stat(d.blob(desc.Digest)); err != nil {
		t.Errorf("after a Put of nothing: %v", err)
	}
	wantThere := func(want bool) {
		t.Helper()
		s := connect(t, d, namespace)
		if _, err := s.Stat(t.Context(), desc.Digest); err == nil != want || err != nil && !errdefs.IsNotFound(err) {
			t.Errorf("Stat: %v; want it to be there: %v", err, want)
		}
		found := 0
		if err := s.Walk(t.Context(), "", func(store.Blob) error { found++; return nil }); err != nil || found == 1 != want {
			t.Errorf("Walk: %d blobs, %v; want it to be there: %v", found, err, want)
		}
	}
	wantThere(false)
	for _, want := range []store.Put{store.Written, store.Reused} {
		if got, err := put(open); got != want || err != nil {
			t.Errorf("Put: %s, %v; want %s", got, err, want)
		}
		if err := read(); err != nil {
			t.Errorf("after Put: %v", err)
		}
	}
	wantThere(true)
}

// TestHealKeeps shows that while a list is written anew nothing goes that it keeps, or that
// refers to it: its other platforms, what other clients keep by it, and their labels.
func TestHealKeeps(t *testing.T) {
	t.Parallel()
	d := running(t)
	s := connect(t, d, newNamespace())
	var src testimage.Store
	index := src.Index(
		src.Image(testimage.Image{Name: t.Name(), Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}}),
		src.Image(testimage.Image{Name: t.Name(), Platform: ocispec.Platform{OS: "linux", Architecture: "arm64"}}))
	referrer := src.Referrer(index, "application/vnd.example.note", t.Name())
	extra := src.Put("text/plain", []byte(t.Name()))
	l, err := s.Lease(t.Context(), store.Lease{})
	if err != nil {
		t.Fatal("Lease:", err)
	}
	publish(t, s, l.ID, &src, index, store.Move{Name: busybox, To: target(index)})
	publish(t, s, l.ID, &src, referrer)
	b := begin(t, s)
	if _, err := b.Put(t.Context(), extra, image.RoleLayer, opener(&src, extra)); err != nil {
		t.Fatal("Put:", err)
	}
	if _, err := b.Publish(t.Context()); err != nil {
		t.Fatal("Publish:", err)
	}
	const foreign = labelReference + "extra"
	_, err = s.content.Update(t.Context(), &contentapi.UpdateRequest{
		Info:       &contentapi.Info{Digest: index.Digest.String(), Labels: map[string]string{foreign: extra.Digest.String()}},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"labels." + foreign}},
	})
	if err != nil {
		t.Fatal(err)
	}
	releaseAll(t, s)
	if err := damage(d.blob(index.Digest), func(b []byte) []byte { b[0]++; return b }); err != nil {
		t.Fatal(err)
	}
	if err := s.verify(t.Context(), index.Digest, index.Size); !errdefs.IsDataLoss(err) {
		t.Fatalf("reading what is damaged: %v", err)
	}
	b = begin(t, s)
	if put, err := b.Put(t.Context(), index, image.RoleIndex, opener(&src, index)); put != store.Written || err != nil {
		t.Fatalf("Put: %s, %v", put, err)
	}
	if _, err := b.Publish(t.Context()); err != nil {
		t.Fatal("Publish:", err)
	}
	releaseAll(t, s)
	if _, err := s.Collect(t.Context()); err != nil {
		t.Fatal("Collect:", err)
	}
	for _, d := range src.Digests() {
		wantBytes(t, s, d, src.Get(d))
	}
	if info, err := s.info(t.Context(), index.Digest); err != nil || info.GetLabels()[foreign] != extra.Digest.String() {
		t.Errorf("the label of another client: %v, %v", info, err)
	}
}

// releaseAll ends all leases of a namespace.
func releaseAll(t *testing.T, s *Store) {
	t.Helper()
	leases, err := s.Leases(t.Context())
	for _, l := range leases {
		err = errors.Join(err, s.Release(t.Context(), l.ID))
	}
	if err != nil {
		t.Fatal(err)
	}
}
