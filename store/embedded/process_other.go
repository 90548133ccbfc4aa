//go:build !linux && !darwin

package embedded

import "os"

// bootID returns what is another one after each boot of the machine; empty if that is
// not known, as here: files are believed only while the store is open.
func bootID() string { return "" }

// processStart returns when a process was started, which is not known here, and whether
// there is one of that number.
func processStart(pid int) (start uint64, alive bool) {
	p, err := os.FindProcess(pid)
	if err != nil {
		return 0, false
	}
	return 0, p.Release() == nil
}
