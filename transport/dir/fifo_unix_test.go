//go:build unix

package dir

import "syscall"

func makeFIFO(path string) error { return syscall.Mkfifo(path, 0o644) }
