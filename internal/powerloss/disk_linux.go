package powerloss

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Options are those of a Disk. The zero value is the default.
type Options struct {
	// Size is that of the file system in bytes; 0 is 256 MiB.
	Size int64
	// Mount are options of ext4, as "commit=1" for a journal that is written each second
	// without being asked.
	Mount string
	// From is the Image that the disk begins with; zero is an empty file system.
	From Image
}

// Disk is a mounted file system, until the end of the test.
type Disk struct {
	dir    string // where it is mounted
	file   string // what it is in
	below  string // the file system with the file
	images string // where copies are made
	n      int    // of them
}

// New makes a disk, or skips the test where that is not possible. Its bytes are in memory.
func New(t testing.TB, opts Options) *Disk {
	t.Helper()
	if opts.Size == 0 {
		opts.Size = 256 << 20
	}
	mkfs, err := exec.LookPath("mkfs.ext4")
	if err != nil {
		t.Skip("making a file system to lose the power of:", err)
	}
	base := t.TempDir()
	d := &Disk{dir: filepath.Join(base, "disk"), below: filepath.Join(base, "below"), images: filepath.Join(base, "memory")}
	d.file = filepath.Join(d.below, "disk.img")
	for _, dir := range []string{d.dir, d.below, d.images} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	// Its copies are sparse, and there is one at a time.
	mountMemory(t, d.images, 4*opts.Size+(256<<20))
	below := filepath.Join(d.images, "below.img")
	makeExt4(t, mkfs, below, opts.Size+opts.Size/8+(16<<20), "-O", "^has_journal")
	if err := mountLoop(below, d.below, ""); err != nil {
		t.Skip("mounting a file system to lose the power of:", err)
	}
	unmountAtEnd(t, d.below)
	if opts.From.path != "" {
		if err := copySparse(opts.From.path, d.file); err != nil {
			t.Fatal(err)
		}
	} else {
		makeExt4(t, mkfs, d.file, opts.Size, "-J", "size=8")
	}
	if err := mountLoop(d.file, d.dir, opts.Mount); err != nil {
		t.Fatal(err)
	}
	unmountAtEnd(t, d.dir)
	return d
}

// makeExt4 makes a file with an empty file system, all of which is initialised: nothing
// is written to it later on that the test has not asked for.
func makeExt4(t testing.TB, mkfs, path string, size int64, options ...string) {
	t.Helper()
	f, err := os.Create(path)
	if err == nil {
		err = errors.Join(f.Truncate(size), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0"}, options...)
	cmd := exec.CommandContext(t.Context(), mkfs, append(args, path)...) //nolint:gosec // it was looked for
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", mkfs, err, out)
	}
}

// Dir is where the file system is mounted.
func (d *Disk) Dir() string { return d.dir }

// Image is what was left of a disk when the power went.
type Image struct{ path string }

// Crash copies what is on the disk at this moment. The disk goes on, its writers too.
func (d *Disk) Crash(t testing.TB) Image {
	t.Helper()
	d.n++
	im := Image{filepath.Join(d.images, fmt.Sprintf("crash%d.img", d.n))}
	err := frozen(d.below, func() error { return copySparse(d.file, im.path) })
	if err != nil {
		t.Fatal("copying the disk:", err)
	}
	return im
}

// Mount mounts an image, as after the next start of the machine, and returns where. It
// is mounted until the end of the test or the call of unmount, which removes nothing.
func (im Image) Mount(t testing.TB, options string) (dir string, unmount func()) {
	t.Helper()
	dir = t.TempDir()
	if err := mountLoop(im.path, dir, options); err != nil {
		t.Fatal("mounting what the power loss has left:", err)
	}
	return dir, unmountAtEnd(t, dir)
}

// Remove removes an image that is not mounted.
func (im Image) Remove(t testing.TB) {
	t.Helper()
	if err := os.Remove(im.path); err != nil {
		t.Error(err)
	}
}
