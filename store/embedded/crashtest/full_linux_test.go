package crashtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/dhowhq/dhow/internal/powerloss"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// TestFullDisk has less and less room on the disk of a store, or fewer and fewer files
// that it can make, until operations fail, and gives it back.
func TestFullDisk(t *testing.T) {
	for name, test := range map[string]struct {
		disk  func(*testing.T) string
		fill  filler
		bytes bool
		most  int64
		sizes int
	}{
		"ext4, bytes":   {ext4, fillBytes, true, 12 << 20, long(2, 60)},
		"memory, bytes": {memory, fillBytes, true, 12 << 20, long(1, 40)},
		"memory, files": {memory, fillFiles, false, 30, long(1, 30)},
	} {
		t.Run(name, func(t *testing.T) {
			seed := newSeed(t)
			dir := test.disk(t)
			f := &filling{r: random(seed, 3000), dir: dir, fill: test.fill, bytes: test.bytes, most: test.most, at: map[kind]int{}}
			f.k = opened(t, newContents(seed), seed, filepath.Join(dir, "store"))
			for i := range test.sizes {
				f.size(t, i)
				if t.Failed() {
					t.Fatalf("at size %d", i)
				}
			}
			f.k.collected(t)
			f.k.wipe(t, filepath.Join(dir, "store"))
			tally(t, "full disk: "+name, test.sizes, "%d operations, of which %d have failed for want of room %v; %d openings have failed",
				f.operations, f.failed, f.at, f.openings)
		})
	}
}

func ext4(t *testing.T) string {
	t.Helper()
	return powerloss.New(t, powerloss.Options{Size: diskSize}).Dir()
}

// memory mounts a small file system that is in memory.
func memory(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%d,nr_inodes=2000", diskSize)); err != nil {
		t.Skip("mounting a small file system needs root:", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(errors.Join(err, unix.Unmount(dir, unix.MNT_DETACH)))
		}
	})
	return dir
}

// filler leaves only so much room on a disk, and empty gives all back.
type filler func(t *testing.T, dir string, room int64) (empty func())

func fillBytes(t *testing.T, dir string, room int64) (empty func()) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "balloon"))
	if err != nil {
		t.Fatal(err)
	}
	for size, step := int64(0), int64(64<<20); step >= 4096; {
		if free(t, dir) < room+step {
			step /= 2
			continue
		}
		if err := unix.Fallocate(int(f.Fd()), 0, size, step); err != nil {
			t.Fatal("filling the disk:", err)
		}
		size += step
	}
	if room == 0 { // what the file system has kept back for itself
		for page := make([]byte, 4096); err == nil; {
			_, err = f.Write(page)
		}
	}
	return func() {
		if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
			t.Fatal(err)
		}
	}
}

func free(t *testing.T, dir string) int64 {
	t.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	return int64(s.Bavail) * s.Bsize
}

func fillFiles(t *testing.T, dir string, room int64) (empty func()) {
	t.Helper()
	names := filepath.Join(dir, "files")
	if err := os.Mkdir(names, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		var s unix.Statfs_t
		if err := unix.Statfs(dir, &s); err != nil {
			t.Fatal(err)
		}
		if int64(s.Ffree) <= room {
			break
		}
		if err := os.WriteFile(filepath.Join(names, fmt.Sprint(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.RemoveAll(names); err != nil {
			t.Fatal(err)
		}
	}
}

// filling is a store on a disk that is full again and again.
type filling struct {
	r     *rand.Rand
	dir   string
	fill  filler
	bytes bool // are what the disk has no room for, and not files
	most  int64
	k     *checker

	operations, failed, openings int
	at                           map[kind]int // what has failed
}

// opened makes a checker of a new store.
func opened(t *testing.T, c *contents, seed uint64, dir string) *checker {
	t.Helper()
	return recovered(t, c, seed, dir, [lanes]int{})
}

// size leaves some room on the disk, does operations until several have failed, and goes
// on when there is room again.
func (f *filling) size(t *testing.T, n int) {
	t.Helper()
	room := f.r.Int64N(f.most>>f.r.IntN(12) + 1)
	if n%10 == 0 {
		room = 0
	}
	empty := f.fill(t, f.dir, room)
	var interrupted [lanes]*failure
	for i := 0; i < 60 && interrupted[i%lanes] == nil; i++ {
		interrupted[i%lanes] = f.try(t, i%lanes)
	}
	extra := 0
	if f.bytes {
		extra = f.exhaust(t)
	}
	f.k.bytes(t) // they can be read
	if n%3 == 1 {
		f.reopen(t, empty)
	} else {
		empty()
	}
	for lane, o := range interrupted {
		if o == nil {
			continue
		}
		if err := f.k.c.do(t.Context(), f.k.store, o.op); err != nil {
			t.Fatalf("lane %d: repeating operation %d when there is room: %v", lane, o.op.n, err)
		}
		f.k.plans[lane].m = o.after
		f.want(t, lane, o.op)
	}
	f.release(t, extra)
	f.k.bytes(t)
	if err := f.k.store.Degraded(); err != nil {
		t.Error("after the disk was full:", err)
	}
	f.k.fsck(t)
}

// failure is an operation that has failed, and is to be repeated before the lane's next.
type failure struct {
	op    op
	after *model
}

// try does the next operation of a lane. One that fails has not happened.
func (f *filling) try(t *testing.T, lane int) *failure {
	t.Helper()
	p := f.k.plans[lane]
	before := p.m.clone()
	o := p.next()
	if o.n%4 > 0 {
		o.way = writers // a Put of a large blob is refused before anything is written
	}
	f.operations++
	err := f.k.c.do(t.Context(), f.k.store, o)
	if err == nil {
		f.want(t, lane, o)
		return nil
	}
	f.failed++
	f.at[o.kind]++
	if !errdefs.IsResourceExhausted(err) {
		t.Errorf("operation %d, to %s, on a full disk: %v; want ErrResourceExhausted", o.n, o.kind, err)
	}
	after := p.m
	p.m = before
	if got := f.k.state(t, lane); !same(before, got) {
		t.Errorf("operation %d, to %s, has failed and left\n- want + there:\n%s", o.n, o.kind, cmp.Diff(before, got, comparing()...))
	}
	f.k.bytes(t)
	return &failure{o, after}
}

func (f *filling) want(t *testing.T, lane int, o op) {
	t.Helper()
	if got := f.k.state(t, lane); !same(f.k.plans[lane].m, got) {
		t.Errorf("operation %d was done, to %s\n- want + there:\n%s", o.n, o.kind, cmp.Diff(f.k.plans[lane].m, got, comparing()...))
	}
}

// exhaust writes records until the journal or the database cannot grow, large ones and then
// small ones, and returns how many were acknowledged.
func (f *filling) exhaust(t *testing.T) (leases int) {
	t.Helper()
	for _, size := range []int{4000, 100, 0} {
		labels := map[string]string{}
		for i := range 15 {
			labels[fmt.Sprint(i)] = strings.Repeat("x", size)
		}
		for range 300 {
			_, err := f.k.store.Lease(t.Context(), store.Lease{ID: extraLease(leases), Labels: labels})
			f.operations++
			if err == nil {
				leases++
				continue
			}
			f.failed++
			f.at[makeLease]++
			if !errdefs.IsResourceExhausted(err) {
				t.Errorf("lease %d on a full disk: %v; want ErrResourceExhausted", leases, err)
			}
			break
		}
	}
	return leases
}

func extraLease(n int) string { return fmt.Sprintf("extra-%d", n) }

// release checks that what exhaust has made is there, and ends it.
func (f *filling) release(t *testing.T, leases int) {
	t.Helper()
	for i := range leases {
		if err := f.k.store.Release(t.Context(), extraLease(i)); err != nil {
			t.Errorf("lease %d of %d: %v", i, leases, err)
		}
	}
	if err := f.k.store.Release(t.Context(), extraLease(leases)); !errdefs.IsNotFound(err) {
		t.Errorf("lease %d was refused, and is there: %v", leases, err)
	}
}

// reopen closes the store and opens it on the full disk, or if that is not possible when
// there is room again.
func (f *filling) reopen(t *testing.T, empty func()) {
	t.Helper()
	dir := filepath.Join(f.dir, "store")
	if err := f.k.store.Close(); err != nil && !errdefs.IsResourceExhausted(err) {
		t.Error("closing a store on a full disk:", err)
	}
	s, err := embedded.Open(t.Context(), dir, embedded.Options{Logger: logger(t)})
	if err != nil {
		f.openings++
		if !errdefs.IsResourceExhausted(err) {
			t.Error("opening a store on a full disk:", err)
		}
	}
	empty()
	if err != nil {
		if s, err = embedded.Open(t.Context(), dir, embedded.Options{Logger: logger(t)}); err != nil {
			t.Fatal("opening a store when there is room again:", err)
		}
	}
	f.k.store = s
	t.Cleanup(func() { _ = s.Close() }) // if it was not reached
}
