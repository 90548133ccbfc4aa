package embedded

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

// TestSegmentIsBegunTwice: a transaction that begins a segment of the journal, and is done
// again as another part of it has failed, still has the position move to that segment: those
// before are about to be removed.
func TestSegmentIsBegunTwice(t *testing.T) {
	t.Parallel()
	ctx, dir := t.Context(), filepath.Join(t.TempDir(), "store")
	s, err := Open(ctx, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lease(ctx, store.Lease{ID: "x"}); err != nil {
		t.Fatal(err)
	}

	s.commits.gate.Lock()
	first := &op{ctx: ctx, run: func(*catalog.Tx) error { return nil }, done: make(chan error, 1)}
	if err := s.enqueue(first); err != nil {
		t.Fatal(err)
	}
	begun := make(chan error, 1)
	waitFor(ctx, t, s, 0) // first is in a group of its own
	go func() { begun <- s.beginCompaction(ctx, &store.Collected{}) }()
	waitFor(ctx, t, s, 1)
	errHalf := errors.New("half of it was written")
	half := &op{ctx: ctx, done: make(chan error, 1), run: func(tx *catalog.Tx) error {
		return errors.Join(tx.Do(catalog.DropLease{ID: "x"}), errHalf)
	}}
	if err := s.enqueue(half); err != nil {
		t.Fatal(err)
	}
	s.commits.gate.Unlock()
	if err := <-half.done; !errors.Is(err, errHalf) {
		t.Error("a transaction that fails:", err)
	}
	if err := <-begun; err != nil {
		t.Fatal("beginCompaction:", err)
	}
	for more := true; more; {
		if more, err = s.stepCompaction(ctx); err != nil {
			t.Fatal("stepCompaction:", err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error("Close:", err)
	}

	if s, err = Open(ctx, dir, Options{}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Degraded(); err != nil {
		t.Error(err)
	}
	if leases, err := s.Leases(ctx); err != nil || len(leases) != 1 {
		t.Errorf("leases %v, %v; want the one", leases, err)
	}
}

// waitFor waits until so many ops are waiting to be committed.
func waitFor(ctx context.Context, t *testing.T, s *Store, n int) {
	t.Helper()
	for ctx.Err() == nil {
		s.commits.mu.Lock()
		waiting := len(s.commits.queue)
		s.commits.mu.Unlock()
		if waiting == n {
			return
		}
	}
}
