package blobfile

import (
	"io/fs"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// syncFS is not there: what it would do, the sync of each file does.
func syncFS(*os.File) error { return nil }

// free returns how many bytes are free for this process where the file is.
func free(f *os.File) (uint64, error) {
	defer runtime.KeepAlive(f)
	var s unix.Statfs_t
	if err := again(func() error { return unix.Fstatfs(int(f.Fd()), &s) }); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil
}

// shares is false: package os does not have the kernel copy here.
func shares(*os.File) bool { return false }

func identify(info fs.FileInfo) (identity, bool) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{}, false
	}
	return identity{
		device: uint64(s.Dev), inode: s.Ino, size: s.Size, //nolint:gosec // only compared
		modified: s.Mtimespec.Nano(), changed: s.Ctimespec.Nano(),
	}, true
}
