package process

import (
	"errors"

	"golang.org/x/sys/unix"
)

func boot() string {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}

// where returns the boot. There are no PID namespaces.
func where() (boot, namespace string) { return Boot(), "" }

// look returns when a process was started, in microseconds, and what is known of it.
func look(pid int) (start uint64, state State) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil || int(info.Proc.P_pid) != pid {
		if errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			return 0, Ended
		}
		return 0, Unknown
	}
	began := info.Proc.P_starttime
	return uint64(began.Sec)*1e6 + uint64(began.Usec), Running //nolint:gosec // not before 1970
}
