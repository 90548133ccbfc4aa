// Package process tells a process from another one that has the same number later on,
// after it has ended or after the machine was booted, or elsewhere at the same time: in
// another PID namespace.
package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ID names a process of one machine for good.
type ID string

// State is what is known of a process from here.
type State int

const (
	// Unknown is that of a process which cannot be seen from here: that of another PID
	// namespace, and one that the system hides; and that of text which is no ID.
	Unknown State = iota
	// Running is that of a process which is there.
	Running
	// Ended is that of a process which is known to be there no more.
	Ended
)

// Self returns the ID of this process.
func Self() ID { return Of(os.Getpid()) }

// Of returns the ID of the process that has a number now, in this PID namespace.
func Of(pid int) ID {
	boot, namespace := where()
	start, _ := Started(pid)
	return newID(boot, namespace, pid, start)
}

func newID(boot, namespace string, pid int, start uint64) ID {
	return ID(fmt.Sprintf("%s/%s/%d/%d", boot, namespace, pid, start))
}

// State returns what is known of the process. That of another boot has ended: an ID of
// another machine is not told from it.
func (id ID) State() State {
	parts := strings.Split(string(id), "/")
	if len(parts) != 4 {
		return Unknown
	}
	pid, err := strconv.Atoi(parts[2])
	if err != nil || pid <= 0 {
		return Unknown
	}
	start, err := strconv.ParseUint(parts[3], 10, 64)
	if err != nil {
		return Unknown
	}
	boot, namespace := where()
	switch {
	case boot == "" || parts[0] == "":
		return Unknown
	case parts[0] != boot:
		return Ended
	case parts[1] != namespace:
		return Unknown
	}
	now, state := look(pid)
	if state == Running && now != start {
		return Ended // another one has the number now
	}
	return state
}

// Boot returns what is another text after each boot of the machine; empty if that is
// not known.
func Boot() string { return boot() }

// Started returns when a process was started, in a unit of the system's own, and whether it
// is seen from here. Where the start is not known it is 0.
func Started(pid int) (start uint64, alive bool) {
	start, state := look(pid)
	return start, state == Running
}
