package containerd

import (
	"testing"
	"time"

	"github.com/dhowhq/dhow/store"
)

// TestCollectNewLease shows that a lease which is made anew while a collection ends those
// that are over is not among them.
func TestCollectNewLease(t *testing.T) {
	t.Parallel()
	s := connect(t, running(t), newNamespace())
	if _, err := s.createLease(t.Context(), store.Lease{ID: "x", Until: time.Now()}, nil); err != nil {
		t.Fatal(err)
	}
	made := make(chan error, 1)
	s.leases = hooked{LeasesClient: s.leases, remove: once("x", func() error {
		go func() {
			_, err := s.Lease(t.Context(), store.Lease{ID: "x"})
			made <- err
		}()
		select { // it may wait for us
		case err := <-made:
			made <- err
		case <-time.After(200 * time.Millisecond):
		}
		return nil
	})}
	if _, err := s.Collect(t.Context()); err != nil {
		t.Error("Collect:", err)
	}
	if err := <-made; err != nil {
		t.Error("Lease:", err)
	}
	if err := s.checkLease(t.Context(), "x"); err != nil {
		t.Error("the lease that was made:", err)
	}
}
