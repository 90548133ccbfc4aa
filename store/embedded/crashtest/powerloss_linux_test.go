package crashtest

import (
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/dhowhq/dhow/internal/powerloss"
)

// diskSize is enough for what the store wants to be free beside large blobs.
const diskSize = 192 << 20

// TestPowerLoss takes the power away from writers at random moments, each time in a copy
// of the disk, on which everything is looked at and gone on with. The next writer begins
// on the last copy, so that stores are interrupted while they recover, too.
func TestPowerLoss(t *testing.T) {
	// A journal that is not written on its own shows what was never synced, one that is
	// written every second shows names that were there before their bytes.
	for i, mount := range []string{
		"commit=1000,data=ordered", "commit=1,data=ordered", "commit=1000,data=writeback", "commit=1,data=writeback",
	}[:long(1, 4)] {
		t.Run(mount, func(t *testing.T) {
			seed := newSeed(t)
			runs, perRun := long(1, 5), long(4, 20)
			l := &losing{seed: seed, r: random(seed, 2000+uint64(i)), mount: mount}
			l.c = newContents(seed)
			for range runs {
				l.run(t, perRun)
				if t.Failed() {
					return
				}
			}
			l.end(t)
			tally(t, "power loss, ext4 with "+mount, l.points, "%d operations", l.operations)
		})
	}
}

// losing is a series of power losses.
type losing struct {
	seed       uint64
	r          *rand.Rand
	mount      string
	c          *contents
	points     int
	operations int
	from       powerloss.Image // what the next disk begins with
	at         [lanes]int      // what the lanes have done in it
}

// run has one writer lose its power so many times.
func (l *losing) run(t *testing.T, points int) {
	t.Helper()
	disk := powerloss.New(t, powerloss.Options{Size: diskSize, Mount: l.mount, From: l.from})
	w := start(t, orders{Dir: filepath.Join(disk.Dir(), "store"), Seed: l.seed, From: l.at})
	defer w.kill()
	for i := range points {
		time.Sleep(time.Duration(l.r.IntN(60_000)) * time.Microsecond)
		acknowledged := w.acknowledged()
		image := disk.Crash(t)
		w.signal(t, syscall.SIGSTOP) // while its disk is not looked at, others can use the processor
		l.points++
		k := l.recover(t, image, acknowledged)
		w.wantHealthy(t)
		if t.Failed() {
			t.Fatalf("at point %d", l.points)
		}
		if i == points-1 {
			l.from = image
			for lane, n := range k.at() {
				l.operations += n - l.at[lane]
			}
			l.at = k.at()
			return
		}
		image.Remove(t)
		w.signal(t, syscall.SIGCONT)
	}
}

// end takes everything out of the last copy.
func (l *losing) end(t *testing.T) {
	t.Helper()
	mounted, _ := l.from.Mount(t, "")
	dir := filepath.Join(mounted, "store")
	recovered(t, l.c, l.seed, dir, l.at).wipe(t, dir)
}

// recover looks at what is left, and unmounts it. What the last writer leaves stays.
func (l *losing) recover(t *testing.T, image powerloss.Image, acknowledged [lanes]int) *checker {
	t.Helper()
	dir, unmount := image.Mount(t, "")
	k := recovered(t, l.c, l.seed, filepath.Join(dir, "store"), acknowledged)
	k.close(t)
	unmount()
	return k
}

// signal sends a signal to the writer.
func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Errorf("%s: %v: %s", s, err, p.stderr.String())
	}
}
