package durable

import (
	"os"

	"golang.org/x/sys/unix"
)

// SyncData makes the file's bytes and size durable, and not its times.
func SyncData(f *os.File) error { return control(f, unix.Fdatasync) }

// StartWriteBack has the kernel begin to write n bytes of the file to disk, so that
// less is left to do for SyncData. It is a hint: that it failed shows there.
func StartWriteBack(f *os.File, from, n int64) {
	_ = control(f, func(fd int) error {
		return unix.SyncFileRange(fd, from, n, unix.SYNC_FILE_RANGE_WRITE)
	})
}
