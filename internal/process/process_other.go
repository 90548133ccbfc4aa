//go:build !linux && !darwin

package process

import "os"

func boot() string { return "" }

func where() (boot, namespace string) { return "", "" }

// look tells whether there is a process of that number: not when it was started.
func look(pid int) (start uint64, state State) {
	p, err := os.FindProcess(pid)
	if err != nil || p.Release() != nil {
		return 0, Ended
	}
	return 0, Running
}
