//go:build unix

package oci

import "golang.org/x/sys/unix"

func asFIFO(path string) error { return unix.Mkfifo(path, 0o644) }
