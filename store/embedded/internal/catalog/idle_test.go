package catalog_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

// TestViewsSeeWhatWasCommitted: whoever begins to read after a commit, or a rollback, sees
// what there is then, however many read before; and to read keeps nobody from writing.
func TestViewsSeeWhatWasCommitted(t *testing.T) {
	t.Parallel()
	db := newPlace(t).create(t, "db")
	id := func(n int64) string { return fmt.Sprint("lease", n) }
	var committed atomic.Int64
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				want := committed.Load()
				err := db.View(func(tx *catalog.Tx) error {
					leases, err := tx.Leases()
					if int64(len(leases)) < want {
						t.Errorf("there are %d leases, %d were committed before", len(leases), want)
					}
					return err
				})
				if err != nil {
					t.Error("View:", err)
				}
			}
		})
	}
	for n := int64(1); n <= 300; n++ {
		put := func(*catalog.Tx) error {
			do(t, db, catalog.PutLease{Lease: catalog.Lease{Lease: store.Lease{ID: id(n), Created: epoch()}, Number: uint64(n)}})
			committed.Store(n)
			return nil
		}
		if n%2 == 0 {
			view(t, db, put) // who has begun before goes on with what there was
		} else {
			_ = put(nil)
		}
		tx, err := db.Update()
		if err != nil {
			t.Fatal("Update:", err)
		}
		if err := tx.Do(catalog.DropLease{ID: id(n)}); err != nil {
			t.Error(err)
		}
		tx.Rollback()
	}
	close(stop)
	readers.Wait()
	closed := make(chan error, 1)
	go func() { closed <- db.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error("Close:", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Close waits for those who read no more")
	}
	if err := db.View(func(*catalog.Tx) error { return nil }); !catalog.Closed(err) {
		t.Errorf("View of what is closed: %v", err)
	}
}
