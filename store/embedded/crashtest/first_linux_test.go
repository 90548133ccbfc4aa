package crashtest

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// TestKilledInTheFirstTransaction kills writers whose first deed is to publish files
// under a lease that was there: what they leave is found though the store was closed
// before them.
func TestKilledInTheFirstTransaction(t *testing.T) {
	program := strace(t)
	inj := &injector{program: program, seed: newSeed(t), dir: memory(t)}
	var n int
	for inj.c = newContents(inj.seed); ; inj.c = newContents(inj.seed) {
		if n = firstFiles(inj.c, inj.seed); n > 0 {
			break
		}
		inj.seed++
	}
	used := scene{store: filepath.Join(inj.dir, "used"), lanes: 1}
	w := start(t, orders{Dir: used.store, Seed: inj.seed, Until: n, Lanes: used.lanes})
	if code := w.wait(t, time.Minute); code != exitDone {
		t.Fatalf("the writer has ended with %d: %q", code, w.failed())
	}
	used.at = w.acknowledged()
	points := 0
	for _, call := range []string{"fsync", "fdatasync", "renameat", "pwrite64"}[:long(1, 4)] {
		for when := 1; when <= long(1, 4); when++ {
			t.Run(fmt.Sprint(call, " ", when), func(t *testing.T) {
				if inj.point(t, used, call, "signal=KILL", when) {
					points++
				}
			})
		}
	}
	tally(t, "`SIGKILL` in the first transaction of a process", points, "each after other calls")
}

// firstFiles returns the number of the first operation of the first lane that writes a
// large blob, if a lane that is alone has then something before it.
func firstFiles(c *contents, seed uint64) (n int) {
	p := newPlanner(c, seed, 0, 0)
	seen := map[digest.Digest]bool{}
	for p.n < 20 {
		o := p.next()
		for _, node := range o.nodes {
			if node.desc.Size > small && !seen[node.desc.Digest] {
				return o.n
			}
			seen[node.desc.Digest] = true
		}
	}
	return 0
}
