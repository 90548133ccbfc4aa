//go:build !linux && !darwin

package process

import "os"

func boot() string { return "" }

// Started returns when a process was started, which is not known here, and whether
// there is one of that number.
func Started(pid int) (start uint64, alive bool) {
	p, err := os.FindProcess(pid)
	if err != nil {
		return 0, false
	}
	return 0, p.Release() == nil
}
