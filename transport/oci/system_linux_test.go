package oci

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// mountSmall mounts a file system of that size.
func mountSmall(t *testing.T, size int64) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skip("mounting a small file system needs root:", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// asDevice makes a device that reads as zeros without end.
func asDevice(path string) error {
	return unix.Mknod(path, unix.S_IFCHR|0o644, int(unix.Mkdev(1, 5)))
}
