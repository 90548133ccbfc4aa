// Package process tells a process from another one that has the same number later on:
// after it has ended, or after the machine was booted.
package process

import (
	"fmt"
	"os"
	"strings"
)

// ID names a process of one machine for good.
type ID string

// Self returns the ID of this process.
func Self() ID { return Of(os.Getpid()) }

// Of returns the ID of the process that has a number now.
func Of(pid int) ID {
	start, _ := Started(pid)
	return ID(fmt.Sprintf("%s/%d/%d", Boot(), pid, start))
}

// Alive reports whether the process is still there. Text that is no ID is that of none.
func (id ID) Alive() bool {
	boot, rest, _ := strings.Cut(string(id), "/")
	var pid int
	var start uint64
	if n, err := fmt.Sscanf(rest, "%d/%d", &pid, &start); n != 2 || err != nil || pid <= 0 || boot != Boot() {
		return false
	}
	now, alive := Started(pid)
	return alive && now == start
}

// Boot returns what is another text after each boot of the machine; empty if that is
// not known.
func Boot() string { return boot() }
