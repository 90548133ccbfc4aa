package crashtest

import (
	"path/filepath"
	"testing"
	"time"
)

// TestKill kills the writer at random moments, also while it opens what the last one has
// left.
func TestKill(t *testing.T) {
	t.Parallel()
	seed := newSeed(t)
	r := random(seed, 1000)
	points, perStore := long(4, 200), 20
	operations := 0
	for n := 0; n < points; n += perStore {
		c := newContents(seed + uint64(n))
		dir := filepath.Join(t.TempDir(), "store")
		at := [lanes]int{}
		for i := range min(perStore, points-n) {
			w := start(t, orders{Dir: dir, Seed: seed + uint64(n), From: at})
			if r.IntN(4) > 0 {
				<-w.opened
			}
			time.Sleep(time.Duration(r.IntN(150_000)) * time.Microsecond)
			w.wantHealthy(t)
			w.kill()
			k := recovered(t, c, seed+uint64(n), dir, w.acknowledged())
			for lane, m := range k.at() {
				operations += m - at[lane]
			}
			at = k.at()
			if i == min(perStore, points-n)-1 {
				k.wipe(t, dir)
			} else {
				k.close(t)
			}
			if t.Failed() {
				t.Fatalf("at point %d", n+i)
			}
		}
	}
	tally(t, "`kill -9` of the writer", points, "%d operations", operations)
}
