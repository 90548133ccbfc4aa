package catalog_test

import (
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

// TestNextHold checks that the next part of a lease is a free one, also where the same
// transaction has let go of all that other leases held, or of much of it.
func TestNextHold(t *testing.T) {
	t.Parallel()
	for _, drained := range []int{0, 1, 8, 39, 40} {
		t.Run(fmt.Sprint(drained), func(t *testing.T) {
			t.Parallel()
			db := newPlace(t).create(t, "db")
			const leases, parts = 40, 5 // some pages of them
			put := func(tx *catalog.Tx, number uint64) error {
				return tx.Do(catalog.PutLease{Lease: catalog.Lease{Lease: store.Lease{ID: fmt.Sprint(number)}, Number: number}})
			}
			hold := func(tx *catalog.Tx, number uint64, want int) error {
				part, err := tx.NextHold(number)
				if err != nil {
					return err
				}
				if part != uint64(want) {
					t.Errorf("lease %d: part %d; want %d", number, part, want)
				}
				var all []digest.Digest
				for i := range 20 {
					all = append(all, digest.FromString(fmt.Sprint(number, part, i)))
				}
				return tx.Do(catalog.Hold{Number: number, Part: part, Digests: all})
			}
			update(t, db, func(tx *catalog.Tx) error {
				for n := uint64(1); n <= leases; n++ {
					if err := put(tx, n); err != nil {
						return err
					}
					for part := 1; part <= parts; part++ {
						if err := hold(tx, n, part); err != nil {
							return err
						}
					}
				}
				return nil
			})
			update(t, db, func(tx *catalog.Tx) error {
				for n := leases; n > leases-drained; n-- {
					if err := tx.Do(catalog.DropLease{ID: fmt.Sprint(n)}); err != nil {
						return err
					}
				}
				if _, _, err := tx.Drain(1 << 20); err != nil {
					return err
				}
				if drained < leases {
					if err := hold(tx, 1, parts+1); err != nil {
						return err
					}
				}
				if err := put(tx, leases+1); err != nil {
					return err
				}
				return hold(tx, leases+1, 1)
			})
		})
	}
}
