package embedded_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// TestDamagedWhileOpen: whatever page of the database goes bad under a store that is open, each
// operation ends, and says that the database is damaged if it fails.
func TestDamagedWhileOpen(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	s := openStore(t, dir, embedded.Options{})
	src := sample(t, s)
	for i := range 100 { // holds have a page of their own
		if err := s.Hold(t.Context(), "held", digest.FromString(fmt.Sprint(i))); err != nil {
			t.Fatal("Hold:", err)
		}
	}
	closeStore(t, s)
	root := src.Image(testimage.Image{Name: "later"})
	for n, id := range livePages(t, dir) {
		if n%3 != 0 && !long() {
			continue
		}
		dir := copyOf(t, dir)
		s := openStore(t, dir, embedded.Options{})
		damagePage(t, filepath.Join(dir, "catalog.db"), id)
		for name, do := range writing(src, root) {
			if err := do(s); err != nil && !errdefs.IsDataLoss(err) && !errdefs.IsFailedPrecondition(err) {
				t.Errorf("page %d: %s: %v", id, name, err)
			}
		}
		_ = s.Close() // what it says of a damaged store is no matter
	}
}

// writing are the operations that write.
func writing(src *source, root ocispec.Descriptor) map[string]func(s *embedded.Store) error {
	ctx := context.Background()
	return map[string]func(s *embedded.Store) error{
		"Hold":    func(s *embedded.Store) error { return s.Hold(ctx, "held", digest.FromString("new")) },
		"Lease":   func(s *embedded.Store) error { _, err := s.Lease(ctx, store.Lease{}); return err },
		"Collect": func(s *embedded.Store) error { _, err := store.Collect(ctx, s); return err },
		"Move": func(s *embedded.Store) error {
			_, err := s.Move(ctx, store.Move{Name: "docker.io/library/one:1", Forget: true})
			return err
		},
		"Publish": func(s *embedded.Store) error {
			b, err := s.Begin(ctx, "held")
			if err != nil {
				return err
			}
			defer b.Close()
			if _, err := b.Put(ctx, root, image.RoleManifest, src.Opener(root)); err != nil {
				return err
			}
			_, err = b.Publish(ctx, store.Move{Name: "docker.io/library/later:1", To: target(root)})
			return err
		},
	}
}
