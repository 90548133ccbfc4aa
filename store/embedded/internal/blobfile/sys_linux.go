package blobfile

import (
	"io/fs"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// syncFS makes all of the file system durable on which the file is.
func syncFS(f *os.File) error {
	defer runtime.KeepAlive(f)
	return again(func() error { return unix.Syncfs(int(f.Fd())) })
}

// free returns how many bytes are free for this process where the file is.
func free(f *os.File) (uint64, error) {
	defer runtime.KeepAlive(f)
	var s unix.Statfs_t
	if err := again(func() error { return unix.Fstatfs(int(f.Fd()), &s) }); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Frsize), nil //nolint:gosec // a size
}

func identify(info fs.FileInfo) (identity, bool) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{}, false
	}
	return identity{device: s.Dev, inode: s.Ino, size: s.Size, modified: s.Mtim.Nano(), changed: s.Ctim.Nano()}, true
}
