//go:build unix

package rootfile

import "syscall"

const nonblock = syscall.O_NONBLOCK
