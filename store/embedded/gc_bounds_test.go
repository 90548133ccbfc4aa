package embedded_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// TestCircleThatIsRead: blobs that hang on one another alone stay as long as one is read, and
// go with the next collection.
func TestCircleThatIsRead(t *testing.T) {
	t.Parallel()
	s := openStore(t, filepath.Join(t.TempDir(), "store"), embedded.Options{})
	defer closeStore(t, s)
	src := &source{Store: &testimage.Store{}}
	one := src.Image(testimage.Image{Layers: 2})
	index := src.JSON(ocispec.MediaTypeImageIndex, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": []ocispec.Descriptor{one}, "subject": one,
	})
	const name = "docker.io/library/circle:1"
	src.write(t, s, map[string]ocispec.Descriptor{name: index})
	collectAll(t, s)
	r, err := s.Open(t.Context(), one.Digest, 0)
	if err != nil {
		t.Fatal("Open:", err)
	}
	if _, err := s.Move(t.Context(), store.Move{Name: name, Forget: true}); err != nil {
		t.Fatal("Move:", err)
	}
	if c := collectAll(t, s); c.Blobs != 0 {
		t.Errorf("%d blobs are collected while one of a circle is read", c.Blobs)
	}
	closeStore(t, r)
	if c := collectAll(t, s); c.Blobs != 5 {
		t.Errorf("%d blobs are collected after that; want 5", c.Blobs)
	}
	wantSound(t, s)
}

func collectAll(t *testing.T, s *embedded.Store) store.Collected {
	t.Helper()
	c, err := store.Collect(t.Context(), s)
	if err != nil {
		t.Fatal("Collect:", err)
	}
	return c
}

// TestStepsAreSmall: no step of a collection ends so many leases, or lets go of so much that
// they held, that it cannot be short; and all steps together see to everything.
func TestStepsAreSmall(t *testing.T) {
	t.Parallel()
	const leases, held, most = 3000, 3000, 1000 + 64
	var later atomic.Int64
	s := openStore(t, filepath.Join(t.TempDir(), "store"), embedded.Options{Clock: func() time.Time { return time.Now().Add(time.Duration(later.Load())) }})
	defer closeStore(t, s)
	var all sync.WaitGroup
	for part := range 50 { // that share transactions
		all.Go(func() {
			for i := part; i < leases; i += 50 {
				_, err := s.Lease(context.Background(), store.Lease{ID: fmt.Sprint(i), Until: time.Now().Add(time.Hour)})
				if err != nil {
					t.Error("Lease:", err)
					return
				}
			}
		})
	}
	all.Wait()
	var blobs []digest.Digest
	for i := range held {
		blobs = append(blobs, digest.FromString(fmt.Sprint(i)))
	}
	if err := s.Hold(t.Context(), "0", blobs...); err != nil {
		t.Fatal("Hold:", err)
	}
	later.Store(int64(2 * time.Hour))
	ended, examined := 0, 0
	for more := true; more; {
		c, err := s.Collect(t.Context())
		if err != nil {
			t.Fatal("Collect:", err)
		}
		ended, examined, more = ended+c.Leases, examined+c.Examined, c.More
		if c.Examined > most {
			t.Errorf("a step has seen to %d leases and blobs; want at most %d", c.Examined, most)
		}
	}
	if ended != leases || examined != leases+held {
		t.Errorf("%d leases have ended, %d were seen to in all; want %d and %d", ended, examined, leases, leases+held)
	}
	left, err := s.Leases(t.Context())
	if err != nil || len(left) != 0 {
		t.Errorf("%d leases are left, %v", len(left), err)
	}
}
