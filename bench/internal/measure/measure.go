// Package measure runs a command and returns what it cost.
package measure

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Cost is what a command cost.
type Cost struct {
	// Wall is the time from its start until it has ended and the file system is synced.
	Wall time.Duration `json:"wall"`
	// Ran is the part of Wall until the command ended.
	Ran time.Duration `json:"ran"`
	// CPU is the time of all processors, in user and in system mode.
	CPU time.Duration `json:"cpu"`
	// MaxRSS is the peak of the memory that was resident, in bytes.
	MaxRSS int64 `json:"maxRSS"`
	// Exit is the exit code, and -1 after a signal.
	Exit int `json:"exit"`
}

// Command is what is to be run.
type Command struct {
	Argv []string
	Env  []string // the whole environment
	Dir  string
	// SyncDir is on the file system that is synced before and afterwards.
	SyncDir string
}

// CommandError is a command that did not end well, or not in time.
type CommandError struct{ err error }

// Error tells what became of the command, and the end of its output.
func (e *CommandError) Error() string { return e.err.Error() }

// Unwrap returns the cause, which for a command that was stopped is that of the context.
func (e *CommandError) Unwrap() error { return e.err }

// Run runs a command by the launcher, a built cmd/measure, and returns what it cost. A
// command that fails is a *CommandError with the end of its output. When ctx ends the command and
// all that it started is killed.
func Run(ctx context.Context, launcher string, c Command) (Cost, error) {
	if err := Sync(c.SyncDir); err != nil {
		return Cost{}, err
	}
	cmd := exec.CommandContext(ctx, launcher, append([]string{c.SyncDir}, c.Argv...)...) //nolint:gosec // the tools that were built for it
	cmd.Env, cmd.Dir = c.Env, c.Dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return Cost{}, &CommandError{fmt.Errorf("%s was stopped: %w%s", filepath.Base(c.Argv[0]), context.Cause(ctx), tail(stderr.String()))}
		}
		return Cost{}, fmt.Errorf("running %s: %w%s", c.Argv[0], err, tail(stderr.String()))
	}
	var cost Cost
	if err := json.Unmarshal(stdout.Bytes(), &cost); err != nil {
		return Cost{}, fmt.Errorf("reading what %s cost: %w", c.Argv[0], err)
	}
	if cost.Exit != 0 {
		return cost, &CommandError{fmt.Errorf("%s ended with code %d%s", filepath.Base(c.Argv[0]), cost.Exit, tail(stderr.String()))}
	}
	return cost, nil
}

// Sync writes all dirty pages of the file system of dir.
func Sync(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing: %w", err)
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}

// tail is the last lines of an output, after a colon.
func tail(output string) string {
	output = strings.TrimSpace(output)
	if output == "" {
		return ""
	}
	const lines, length = 3, 600
	all := strings.Split(output, "\n")
	output = strings.Join(all[max(0, len(all)-lines):], "; ")
	return ": " + output[max(0, len(output)-length):]
}
