package process_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dhowhq/dhow/internal/process"
)

// The variables of a process that looks at the one which has started it: how it is to look,
// and at whom.
const (
	lookVariable = "DHOW_TEST_LOOK"
	idVariable   = "DHOW_TEST_ID"
)

// cannotLook is the exit code where such a process is not allowed.
const cannotLook = 77

// TestHidden shows that who cannot see a process does not say that it has ended, nor says
// so of one in whose place it sees another.
func TestHidden(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root makes namespaces")
	}
	for name, test := range map[string]struct {
		flags uintptr
		want  string
	}{
		"here":                        {0, "known 1"},
		"/proc hides it":              {unix.CLONE_NEWNS, "known 0"},
		"namespace":                   {unix.CLONE_NEWNS | unix.CLONE_NEWPID, "known 0"},
		"namespace with an old /proc": {unix.CLONE_NEWPID, "unknown 0"},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLook$")
		cmd.Env = append(os.Environ(), lookVariable+"="+name, idVariable+"="+string(process.Self()))
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: test.flags}
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == cannotLook || errors.Is(err, unix.EPERM) {
			t.Logf("%s: cannot be tried: %v", name, err)
			continue
		}
		if err != nil || string(out) != test.want {
			t.Errorf("%s: %q, %v; want %q", name, out, err, test.want)
		}
	}
}

// TestLook is what the other process does.
func TestLook(t *testing.T) {
	name := os.Getenv(lookVariable)
	if name == "" {
		t.Skip("for another process")
	}
	try := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, name, err)
			os.Exit(cannotLook)
		}
	}
	if name == "/proc hides it" || name == "namespace" {
		try(unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""))
		try(unix.Mount("proc", "/proc", "proc", 0, "hidepid=2"))
	}
	if name == "/proc hides it" {
		try(syscall.Setgroups(nil)) // from the group of root nothing is hidden
		try(syscall.Setgid(65534))
		try(syscall.Setuid(65534))
	}
	known := "known"
	if process.Self()[0] == '/' {
		known = "unknown"
	}
	fmt.Printf("%s %d", known, process.ID(os.Getenv(idVariable)).State())
	os.Exit(0)
}
