package containerd

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
)

// mine makes a lease of that ID, and returns it with an image that it holds.
func mine(t *testing.T, s *Store) *testimage.Store {
	t.Helper()
	if _, err := s.Lease(t.Context(), store.Lease{ID: "mine"}); err != nil {
		t.Fatal("Lease:", err)
	}
	src := &testimage.Store{}
	root := src.Image(testimage.Image{Name: t.Name(), Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	publish(t, s, "mine", src, root)
	return src
}

// wantAll collects, and checks that all blobs are there.
func wantAll(t *testing.T, s *Store, blobs ...digest.Digest) {
	t.Helper()
	if _, err := s.Collect(t.Context()); err != nil {
		t.Fatal("Collect:", err)
	}
	for _, d := range blobs {
		if _, err := s.Stat(t.Context(), d); err != nil {
			t.Error("after a collection:", err)
		}
	}
}

// TestExtendWhilePublished shows that a lease which is extended while something is published
// under it holds that too.
func TestExtendWhilePublished(t *testing.T) {
	t.Parallel()
	s := connect(t, running(t), newNamespace())
	src := mine(t, s)
	b, err := s.Begin(t.Context(), "mine")
	if err != nil {
		t.Fatal("Begin:", err)
	}
	t.Cleanup(func() { _ = b.Close() })
	data := []byte(t.Name())
	small := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(data), Size: int64(len(data))}
	src.Set(small.Digest, data)
	if _, err := b.Put(t.Context(), small, image.RoleLayer, opener(src, small)); err != nil {
		t.Fatal("Put:", err)
	}
	published := make(chan error, 1)
	s.leases = hooked{LeasesClient: s.leases, remove: once("mine", func() error {
		go func() {
			_, err := b.Publish(t.Context())
			published <- err
		}()
		select { // it may wait for us
		case err := <-published:
			published <- err
		case <-time.After(200 * time.Millisecond):
		}
		return nil
	})}
	if err := s.Extend(t.Context(), "mine", time.Now().Add(time.Hour)); err != nil {
		t.Error("Extend:", err)
	}
	if err := <-published; err != nil {
		t.Error("Publish:", err)
	}
	held, err := s.Held(t.Context(), "mine")
	if err != nil || !slices.Contains(held, small.Digest) {
		t.Errorf("Held: %v, %v; want %s too", held, err, small.Digest)
	}
	wantAll(t, s, src.Digests()...)
}

// TestExtendFails shows that what a lease holds stays when it cannot be made anew, and that
// the error tells by what.
func TestExtendFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, hook := range map[string]hooked{
		"not filled":  {add: once("mine", func() error { return broken })},
		"not deleted": {remove: once("mine", func() error { return broken })},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := connect(t, running(t), newNamespace())
			src := mine(t, s)
			hook.LeasesClient = s.leases
			s.leases = hook
			err := s.Extend(t.Context(), "mine", time.Now().Add(time.Hour))
			if !errors.Is(err, broken) {
				t.Fatalf("Extend: %v; want %v", err, broken)
			}
			wantAll(t, s, src.Digests()...)
			leases, listed := s.Leases(t.Context())
			if listed != nil || len(leases) != 2 || !strings.Contains(err.Error(), leases[0].ID) || leases[1].ID != "mine" {
				t.Fatalf("leases: %+v, %v; want one that the error names: %v", leases, listed, err)
			}
			if held, err := s.Held(t.Context(), leases[0].ID); err != nil || len(held) != len(src.Digests()) || !leases[0].Until.IsZero() {
				t.Errorf("%+v holds %v, %v", leases[0], held, err)
			}
		})
	}
}

// TestExtendReleased shows that a lease which another process ends meanwhile is over.
func TestExtendReleased(t *testing.T) {
	t.Parallel()
	d := running(t)
	namespace := newNamespace()
	s, o := connect(t, d, namespace), connect(t, d, namespace)
	mine(t, s)
	s.leases = hooked{LeasesClient: s.leases, remove: once("mine", func() error { return o.Release(t.Context(), "mine") })}
	if err := s.Extend(t.Context(), "mine", time.Time{}); !errdefs.IsNotFound(err) {
		t.Errorf("Extend: %v; want %v", err, errdefs.ErrNotFound)
	}
	if leases, err := s.Leases(t.Context()); err != nil || len(leases) != 0 {
		t.Errorf("left: %+v, %v", leases, err)
	}
}
