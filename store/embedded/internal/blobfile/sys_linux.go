package blobfile

import (
	"io/fs"
	"os"
	"runtime"
	"slices"
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

// sharing are the types of file systems that may copy by sharing blocks: btrfs, XFS,
// bcachefs, ZFS, and NFS, whose server copies.
var sharing = []int64{
	unix.BTRFS_SUPER_MAGIC,
	unix.XFS_SUPER_MAGIC,
	0xca451a4e,
	0x2fc12fc1,
	unix.NFS_SUPER_MAGIC,
}

// shares reports whether the kernel may copy a file without writing its bytes.
func shares(f *os.File) bool {
	defer runtime.KeepAlive(f)
	var s unix.Statfs_t
	err := again(func() error { return unix.Fstatfs(int(f.Fd()), &s) })
	return err == nil && slices.Contains(sharing, int64(s.Type)) //nolint:unconvert // it is not the same everywhere
}

func identify(info fs.FileInfo) (identity, bool) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{}, false
	}
	return identity{device: s.Dev, inode: s.Ino, size: s.Size, modified: s.Mtim.Nano(), changed: s.Ctim.Nano()}, true
}
