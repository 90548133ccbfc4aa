//go:build unix

package catalog

import (
	"os"

	"golang.org/x/sys/unix"
)

// sparseMap tells that a file may be mapped beyond its end without growing.
const sparseMap = true

// unlock gives up the lock of a file. Closing it would not: a panic of the library has
// left it mapped.
func unlock(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var did error
	err = conn.Control(func(fd uintptr) { did = unix.Flock(int(fd), unix.LOCK_UN) })
	if err != nil {
		return err
	}
	return did
}
