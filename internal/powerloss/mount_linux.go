package powerloss

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mountMemory mounts a file system in memory until the end of the test.
func mountMemory(t testing.TB, dir string, size int64) {
	t.Helper()
	if err := unix.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=700", size)); err != nil {
		t.Skip("mounting a file system needs root:", err)
	}
	unmountAtEnd(t, dir)
}

// mountLoop mounts the ext4 in a file. The loop device goes with the mount.
func mountLoop(file, dir, options string) error {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // the device has it
	device, err := attach(f)
	if err != nil {
		return fmt.Errorf("attaching a loop device: %w", err)
	}
	defer device.Close() //nolint:errcheck // the mount has it, if there is one
	if err := unix.Mount(device.Name(), dir, "ext4", 0, options); err != nil {
		return fmt.Errorf("mounting %s with %q: %w", device.Name(), options, err)
	}
	return nil
}

// attach makes a file a loop device, which ends when nobody has it open any more.
func attach(f *os.File) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	config := unix.LoopConfig{Fd: uint32(f.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}} //nolint:gosec // a descriptor
	for range 100 {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, err
		}
		device, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		err = unix.IoctlLoopConfigure(int(device.Fd()), &config)
		if err == nil {
			return device, nil
		}
		if err := device.Close(); err != nil {
			return nil, err
		}
		if !errors.Is(err, unix.EBUSY) { // else another process was faster
			return nil, err
		}
	}
	return nil, unix.EBUSY
}

// unmountAtEnd unmounts at the end of the test, or when what it returns is called.
func unmountAtEnd(t testing.TB, dir string) (unmount func()) {
	t.Helper()
	unmount = sync.OnceFunc(func() {
		err := unix.Unmount(dir, 0)
		for i := 0; errors.Is(err, unix.EBUSY) && i < 100; i++ { // what was killed has not ended yet
			time.Sleep(10 * time.Millisecond)
			err = unix.Unmount(dir, 0)
		}
		if err != nil {
			t.Errorf("unmounting %s: %v", dir, errors.Join(err, unix.Unmount(dir, unix.MNT_DETACH)))
		}
	})
	t.Cleanup(unmount)
	return unmount
}

// The ioctls that freeze a file system and thaw it: FIFREEZE and FITHAW of linux/fs.h.
const (
	freeze = 0xc0045877
	thaw   = 0xc0045878
)

// frozen calls f while nobody can write to a file system.
func frozen(dir string, f func() error) (err error) {
	root, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := unix.IoctlSetInt(int(root.Fd()), freeze, 0); err != nil {
		return fmt.Errorf("freezing %s: %w", dir, err)
	}
	defer func() {
		if thawing := unix.IoctlSetInt(int(root.Fd()), thaw, 0); thawing != nil {
			err = errors.Join(err, fmt.Errorf("thawing %s: %w", dir, thawing))
		}
	}()
	return f()
}

// copySparse copies a file without its holes.
func copySparse(from, to string) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	info, err := src.Stat()
	if err != nil {
		return err
	}
	if err := dst.Truncate(info.Size()); err != nil {
		return err
	}
	for at := int64(0); ; {
		at, err = src.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil
		}
		if err != nil {
			return err
		}
		end, err := src.Seek(at, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.NewOffsetWriter(dst, at), io.NewSectionReader(src, at, end-at)); err != nil {
			return err
		}
		at = end
	}
}
