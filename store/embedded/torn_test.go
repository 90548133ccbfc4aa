package embedded_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// TestTornBeforeABlankSegment: an entry that a crash has left torn, and a segment in which nothing was
// written after it, are both as good as none.
func TestTornBeforeABlankSegment(t *testing.T) {
	t.Parallel()
	for _, torn := range []bool{false, true} {
		for _, blank := range [][]byte{nil, {}, make([]byte, 64<<10)} {
			dir := filepath.Join(t.TempDir(), "store")
			s := openStore(t, dir, embedded.Options{})
			if _, err := s.Lease(t.Context(), store.Lease{ID: "one"}); err != nil {
				t.Fatal(err)
			}
			database, err := os.ReadFile(filepath.Join(dir, "catalog.db"))
			if err != nil {
				t.Fatal(err)
			}
			name := filepath.Join(dir, "journal/0000000000000001.log")
			before, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Lease(t.Context(), store.Lease{ID: "two"}); err != nil {
				t.Fatal(err)
			}
			log, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			closeStore(t, s)
			if torn {
				end := len(log)
				for ; log[end-1] == 0; end-- {
				}
				log[end-1] = 0
			} else {
				log = before
			}
			err = errors.Join(os.WriteFile(filepath.Join(dir, "catalog.db"), database, 0o600), os.WriteFile(name, log, 0o600))
			if blank != nil {
				err = errors.Join(err, os.WriteFile(filepath.Join(dir, "journal/0000000000000002.log"), blank, 0o600))
			}
			if err != nil {
				t.Fatal(err)
			}
			s = openStore(t, dir, embedded.Options{})
			if err := s.Degraded(); err != nil {
				t.Errorf("torn %v, %d bytes of the next segment: %v", torn, len(blank), err)
			}
			wantSound(t, s)
			closeStore(t, s)
		}
	}
}
