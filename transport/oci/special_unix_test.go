//go:build unix

package oci

import (
	"runtime"

	"golang.org/x/sys/unix"
)

func asFIFO(path string) error { return unix.Mkfifo(path, 0o644) }

// asDevice makes a device that reads as zeros on Linux.
func asDevice(path string) error {
	if runtime.GOOS != "linux" {
		return unix.ENOSYS
	}
	return unix.Mknod(path, unix.S_IFCHR|0o644, int(unix.Mkdev(1, 5)))
}
