package archive

import (
	"os"
	"strconv"
)

// reopen opens an open file once more, for reading at a position of its own, even if it has no
// name any more.
func reopen(f *os.File) (*os.File, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var own *os.File
	var opened error
	err = conn.Control(func(fd uintptr) {
		own, opened = os.Open("/proc/self/fd/" + strconv.FormatUint(uint64(fd), 10))
	})
	if err != nil {
		return nil, err
	}
	return own, opened
}
