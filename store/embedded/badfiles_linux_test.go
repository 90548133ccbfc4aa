package embedded_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store/embedded"
)

// mount mounts a file system on a directory, or skips the test where that is not allowed.
func mount(t *testing.T, source, dir, kind string, flags uintptr) {
	t.Helper()
	if err := unix.Mount(source, dir, kind, flags, ""); err != nil {
		t.Skip("mounting:", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// TestOtherFileSystem: a directory of a store that is on another file system is said to be
// so when a file should go there, and shows nothing.
func TestOtherFileSystem(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"blobs", "ingest"} {
		t.Run("B74 "+place, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "store")
			closeStore(t, openStore(t, dir, embedded.Options{}))
			mount(t, "none", filepath.Join(dir, place), "tmpfs", 0)
			s := openStore(t, dir, embedded.Options{})
			defer closeStore(t, s)
			src := &source{Store: &testimage.Store{}}
			b, _ := newBatch(t, s)
			defer closeStore(t, b)
			desc := src.Put("text/plain", make([]byte, 100_000))
			src.put(t, b, desc, image.RoleLayer)
			if _, err := b.Publish(t.Context()); err == nil || !strings.Contains(err.Error(), "cross-device") {
				t.Errorf("Publish: %v; want an error that says why", err)
			}
			if _, err := s.Stat(t.Context(), desc.Digest); !errdefs.IsNotFound(err) {
				t.Errorf("Stat: %v", err)
			}
			if err := s.Degraded(); err != nil {
				t.Error("Degraded:", err)
			}
		})
	}
}

// TestReadOnlyFileSystem: a store on a file system that is not to be written to is not
// opened for writing, and can be read.
func TestReadOnlyFileSystem(t *testing.T) {
	t.Parallel()
	dir, src, want := sampled(t)
	mount(t, dir, dir, "", unix.MS_BIND)
	if err := unix.Mount("none", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Skip("mounting for reading:", err)
	}
	s, err := embedded.Open(t.Context(), dir, embedded.Options{})
	if !errdefs.IsFailedPrecondition(err) || !strings.Contains(err.Error(), "read-only file system") {
		t.Errorf("B74 read-only: %v, %v; want an error that says so", s, err)
	}
	s = openStore(t, dir, embedded.Options{ReadOnly: true})
	defer closeStore(t, s)
	wantAnswers(t, "B74 read-only", want, answers(t, s, src))
	if r := check(t, s, embedded.CheckOptions{}); len(r.Findings) > 0 {
		t.Errorf("Check: %v", r.Findings)
	}
}

// TestModes is not parallel: the umask is that of the process. Whatever it is, and whatever
// the modes were before, a store is its owner's alone.
func TestModes(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077, 0o277, 0o777} {
		t.Run(fmt.Sprintf("umask %03o", umask), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			was := unix.Umask(umask)
			defer unix.Umask(was)
			s := openStore(t, dir, embedded.Options{})
			sample(t, s)
			check(t, s, embedded.CheckOptions{Repair: true})
			wantPrivate(t, dir)
			closeStore(t, s)
			wantPrivate(t, dir)
		})
	}
	t.Run("opened to others", func(t *testing.T) {
		dir, _, _ := sampled(t)
		for _, name := range []string{"", "blobs", "ingest", "trash", "bad", "journal"} {
			if err := os.Chmod(filepath.Join(dir, name), 0o777); err != nil {
				t.Fatal(err)
			}
		}
		s := openStore(t, dir, embedded.Options{})
		wantPrivate(t, dir)
		closeStore(t, s)
	})
}

// wantPrivate checks the modes of all that is in a store.
func wantPrivate(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if want := map[bool]fs.FileMode{true: fs.ModeDir | 0o700, false: 0o600}[e.IsDir()]; info.Mode() != want {
			t.Errorf("%s has mode %v; want %v", path, info.Mode(), want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
