package powerloss

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
)

// isolated is set where Main has isolated the tests.
const isolated = "DHOW_TEST_ISOLATED"

// Main runs the tests of a package in mounts of their own, where that is possible: what
// they have mounted is gone with the process, however it ends. TestMain calls it, and
// exits with what it returns.
func Main(m *testing.M) int {
	if os.Getenv(isolated) != "" || os.Geteuid() != 0 { //nolint:forbidigo // as it was started below
		return m.Run()
	}
	runtime.LockOSThread() // whose end would be the end of the process below
	defer runtime.UnlockOSThread()
	self := exec.CommandContext(context.Background(), "/proc/self/exe")
	self.Args, self.Env = os.Args, append(os.Environ(), isolated+"=1") //nolint:forbidigo // the same program again
	self.Stdin, self.Stdout, self.Stderr = os.Stdin, os.Stdout, os.Stderr
	self.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := self.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return max(exit.ExitCode(), 1) // -1 after a signal
	default: // not started: not allowed here
		return m.Run()
	}
}
