//go:build !unix

package copy_test

import "os"

// mkfifo makes a directory where there are no pipes in directories.
func mkfifo(path string) error { return os.Mkdir(path, 0o700) }
