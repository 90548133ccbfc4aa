package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func boot() string {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// where returns the boot, and the PID namespace in which this process and /proc both count.
// The boot is empty if there is no such /proc: then nothing can be said of any process.
func where() (boot, namespace string) {
	self, err := os.Readlink("/proc/self")
	if err != nil || self != strconv.Itoa(os.Getpid()) {
		return "", ""
	}
	link, err := os.Readlink("/proc/self/ns/pid") // "pid:[NUMBER]"
	if err != nil {
		return "", ""
	}
	return Boot(), strings.Trim(link, "pid:[]")
}

// look returns when a process was started, in ticks since the boot, and what is known of it.
func look(pid int) (start uint64, state State) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		if errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			return 0, Ended
		}
		return 0, Unknown // /proc may hide those of others, and then says that they are not there
	}
	// The name in parentheses may hold anything; of what follows the first field is the
	// state, and the twentieth the start.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return 0, Unknown
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return 0, Ended
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return 0, Unknown
	}
	return start, Running
}
