//go:build unix

package image_test

import (
	"syscall"
	"testing"
	"time"
)

// cpuTime returns the processor time that this process has taken: unlike the time
// that went by, it does not depend on who else wants the processor.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
