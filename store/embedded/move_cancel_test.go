package embedded_test

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// TestMoveCancelled checks that a Move whose context ends while it is written returns the
// context's error or what was moved, and under the race detector that what comes of it
// later touches neither.
func TestMoveCancelled(t *testing.T) {
	t.Parallel()
	s, err := embedded.Open(t.Context(), filepath.Join(t.TempDir(), "store"), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var all sync.WaitGroup
	for range 32 { // so that each waits for others
		all.Go(func() {
			for range 100 {
				ctx, cancel := context.WithTimeout(t.Context(), rand.N(500*time.Microsecond))
				if lease, err := s.Lease(ctx, store.Lease{}); err == nil { // writes
					_ = s.Release(ctx, lease.ID)
				}
				cancel()
				ctx, cancel = context.WithTimeout(t.Context(), rand.N(3*time.Millisecond))
				moved, err := s.Move(ctx, store.Move{Name: "docker.io/library/x:1"})
				if err == nil && len(moved) != 1 || err != nil && (moved != nil || ctx.Err() == nil) {
					t.Errorf("moved %+v, error %v", moved, err)
				}
				cancel()
			}
		})
	}
	all.Wait()
}
