package durable

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData makes the file's bytes and size durable, and not its times.
func syncData(f *os.File) error { return control(f, unix.Fdatasync) }

// startWriteBack is a hint: that it failed shows when the file is synced.
func startWriteBack(f *os.File, from, n int64) {
	_ = control(f, func(fd int) error {
		return unix.SyncFileRange(fd, from, n, unix.SYNC_FILE_RANGE_WRITE)
	})
}
