package embedded_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store/embedded"
)

// TestCollectWhileTheStoreIsChecked: who waits for a check waits no longer than its context.
func TestCollectWhileTheStoreIsChecked(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	s := openStore(t, dir, embedded.Options{})
	defer closeStore(t, s)
	if err := os.Chmod(filepath.Join(dir, "blobs"), 0o755); err != nil {
		t.Fatal(err)
	}
	found, goOn := make(chan struct{}), make(chan struct{})
	checked := make(chan error, 1)
	go func() {
		_, err := s.Check(context.Background(), embedded.CheckOptions{Found: func(embedded.Finding) { close(found); <-goOn }})
		checked <- err
	}()
	<-found
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	collected := make(chan error, 1)
	go func() { _, err := s.Collect(ctx); collected <- err }()
	select {
	case err := <-collected:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error("Collect:", err)
		}
	case <-time.After(time.Second):
		t.Error("Collect goes on waiting when its context has ended")
	}
	close(goOn)
	if err := <-checked; err != nil {
		t.Error("Check:", err)
	}
}

// TestCheckIsCancelled: a check whose context has ended before leaves nothing locked.
func TestCheckIsCancelled(t *testing.T) {
	t.Parallel()
	s := openStore(t, filepath.Join(t.TempDir(), "store"), embedded.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Check(ctx, embedded.CheckOptions{}); !errors.Is(err, context.Canceled) {
		t.Error("Check:", err)
	}
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error("Close:", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Close waits for a check that has not begun")
	}
}

// TestViewWhileTheDatabaseIsReplaced: who looks at the moment when a repair replaces the
// database waits for that, and not until the repair has ended.
func TestViewWhileTheDatabaseIsReplaced(t *testing.T) {
	t.Parallel()
	dir, _, _ := sampled(t)
	changeDatabase(t, dir, removeKeys("refs"))
	large, err := filepath.Glob(filepath.Join(dir, "blobs/sha256/*/*"))
	if err != nil || len(large) == 0 {
		t.Fatal(large, err)
	}
	if err := os.Truncate(large[0], 1); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, dir, embedded.Options{})
	defer closeStore(t, s)
	var looked [4]atomic.Int64
	var done atomic.Bool
	var wg sync.WaitGroup
	for i := range looked {
		wg.Go(func() {
			for !done.Load() {
				_, _ = s.Facts(context.Background(), digest.FromString("is not there")) // what it says does not matter
				looked[i].Add(1)
			}
		})
	}
	found := false
	_, err = s.Check(t.Context(), embedded.CheckOptions{Repair: true, Found: func(f embedded.Finding) {
		if f.Problem != embedded.BadBlob {
			return
		}
		found = true // the database was replaced before
		for i := range looked {
			before := looked[i].Load()
			for began := time.Now(); looked[i].Load() < before+2; time.Sleep(time.Millisecond) {
				if time.Since(began) > 2*time.Second {
					t.Error("a lookup waits for a repair")
					return
				}
			}
		}
	}})
	if err != nil || !found {
		t.Errorf("Check: %v, blob found %v", err, found)
	}
	done.Store(true)
	wg.Wait()
}
