package containerd

import (
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
)

// TestMoveKeeps shows that what a name has pointed at is not collected while a view still
// has the name.
func TestMoveKeeps(t *testing.T) {
	t.Parallel()
	d := running(t)
	namespace := newNamespace()
	s, o := connect(t, d, namespace), connect(t, d, namespace)
	var src testimage.Store
	l, err := s.Lease(t.Context(), store.Lease{})
	if err != nil {
		t.Fatal("Lease:", err)
	}
	root := src.Image(testimage.Image{Name: t.Name(), Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	publish(t, s, l.ID, &src, root, store.Move{Name: busybox, To: target(root)})
	if err := s.Release(t.Context(), l.ID); err != nil {
		t.Fatal("Release:", err)
	}
	moved := make(chan error, 1)
	err = s.View(t.Context(), func(names store.NameReader) error {
		go func() {
			_, err := s.Move(t.Context(), store.Move{Name: busybox, Forget: true})
			moved <- err
		}()
		eventually(t, "containerd has removed the name", func() bool {
			_, err := o.getImage(t.Context(), busybox)
			return errdefs.IsNotFound(err)
		})
		if _, err := o.Collect(t.Context()); err != nil {
			t.Error("Collect:", err)
		}
		if _, err := names.Get(busybox); err != nil {
			t.Error("Get:", err)
		}
		_, err := names.Blob(root.Digest)
		return err
	})
	if err != nil {
		t.Error("View:", err)
	}
	if err := <-moved; err != nil {
		t.Error("Move:", err)
	}
	if _, err := o.Collect(t.Context()); err != nil {
		t.Error("Collect:", err)
	}
	if _, err := s.Stat(t.Context(), root.Digest); !errdefs.IsNotFound(err) {
		t.Errorf("what has no name any more: %v", err)
	}
}

// TestPinsLost shows that what is read is kept again from the next time on that something
// is opened, after another client has removed the lease that has kept it.
func TestPinsLost(t *testing.T) {
	t.Parallel()
	d := running(t)
	namespace := newNamespace()
	s, o := connect(t, d, namespace), connect(t, d, namespace)
	var root digest.Digest
	var blobs []digest.Digest
	for _, d := range mine(t, s).Digests() {
		if facts, _ := s.docs.facts(d); len(facts.Edges) > 0 {
			root = d
		} else {
			blobs = append(blobs, d)
		}
	}
	open := func(s *Store, d digest.Digest) {
		t.Helper()
		r, err := s.Open(t.Context(), d, 0)
		if err != nil {
			t.Fatal("Open:", err)
		}
		t.Cleanup(func() {
			if err := r.Close(); err != nil {
				t.Error("Close:", err)
			}
		})
	}
	for i, next := range []digest.Digest{blobs[1], blobs[1], blobs[0]} { // another one, the same, and one from before
		if i == 0 {
			open(s, blobs[0])
		}
		if err := o.deleteLease(t.Context(), s.pins.lease, false); err != nil {
			t.Fatal(err)
		}
		open(s, next)
		if i == 0 {
			if err := s.Release(t.Context(), "mine"); err != nil {
				t.Fatal("Release:", err)
			}
		}
		wantAll(t, o, blobs[0], blobs[1])
	}
	if _, err := o.Stat(t.Context(), root); !errdefs.IsNotFound(err) {
		t.Errorf("what nobody reads: %v", err)
	}
}
