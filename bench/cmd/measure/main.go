// Command measure runs a command and tells as JSON what it cost. It is a small process of its
// own because Linux counts what its parent had in memory as a child's peak, until there is more.
//
// Usage: measure SYNCDIR COMMAND [ARG...]. The output of the command goes to standard error.
// SYNCDIR is a place on the file system whose dirty pages are written afterwards, for every
// command alike, whether it did so itself or not.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dhowhq/dhow/bench/internal/measure"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: measure SYNCDIR COMMAND [ARG...]")
		os.Exit(2)
	}
	cost, err := run(os.Args[1], os.Args[2:])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(cost)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

func run(syncDir string, argv []string) (measure.Cost, error) {
	dir, err := os.Open(syncDir)
	if err != nil {
		return measure.Cost{}, err
	}
	defer dir.Close()
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:gosec,noctx // running a command is what it is for; its group is killed
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
			return measure.Cost{}, err
		}
	}
	ran := time.Since(start)
	if err := unix.Syncfs(int(dir.Fd())); err != nil {
		return measure.Cost{}, fmt.Errorf("syncing the file system of %s: %w", syncDir, err)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return measure.Cost{}, errors.New("this system does not tell what a process used")
	}
	return measure.Cost{
		Ran:    ran,
		Wall:   time.Since(start),
		CPU:    cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(),
		MaxRSS: usage.Maxrss << 10,
		Exit:   cmd.ProcessState.ExitCode(),
	}, nil
}
