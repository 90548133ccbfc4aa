//go:build unix

package testplant

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Plants returns by their names what is neither a file nor an empty directory.
func Plants() map[string]Plant {
	return map[string]Plant{
		"link to a file":      func(path, file, _ string) error { return os.Symlink(file, path) },
		"link to a directory": func(path, _, dir string) error { return os.Symlink(dir, path) },
		"link to nothing":     func(path, _, _ string) error { return os.Symlink("nowhere", path) },
		"link to itself":      func(path, _, _ string) error { return os.Symlink(filepath.Base(path), path) },
		"FIFO":                func(path, _, _ string) error { return unix.Mkfifo(path, 0o600) },
		"socket":              func(path, _, _ string) error { return unix.Mknod(path, unix.S_IFSOCK|0o600, 0) },
		"full directory":      func(path, _, _ string) error { return os.MkdirAll(filepath.Join(path, "a/b"), 0o700) },
	}
}
