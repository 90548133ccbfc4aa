package measure

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// launcher builds the command that Run runs.
func launcher(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "measure")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", path, "../../cmd/measure")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return path
}

func TestRun(t *testing.T) {
	t.Parallel()
	launcher, dir := launcher(t), t.TempDir()
	command := func(script string) Command {
		return Command{Argv: []string{"/bin/sh", "-c", script}, Env: []string{"NAME=value"}, Dir: dir, SyncDir: dir}
	}
	cost, err := Run(t.Context(), launcher, command(`echo noise; echo "$NAME" >file; sleep 0.1`))
	if err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(data) != "value\n" {
		t.Errorf("the command wrote %q, %v: it ran elsewhere or without its environment", data, err)
	}
	if cost.Ran < 100*time.Millisecond || cost.Wall < cost.Ran || cost.CPU <= 0 || cost.CPU > cost.Ran {
		t.Errorf("it cost %+v", cost)
	}
	// A shell has some MB at most, and this process many more.
	if cost.MaxRSS < 100<<10 || cost.MaxRSS > 8<<20 {
		t.Errorf("the peak of a shell's memory is %d bytes", cost.MaxRSS)
	}

	var failure *CommandError
	_, err = Run(t.Context(), launcher, command("echo one; echo the reason >&2; exit 3"))
	if !errors.As(err, &failure) || !strings.Contains(err.Error(), "code 3") || !strings.Contains(err.Error(), "the reason") {
		t.Errorf("a command that fails: %v", err)
	}
	_, err = Run(t.Context(), launcher, Command{Argv: []string{filepath.Join(dir, "none")}, Dir: dir, SyncDir: dir})
	if err == nil || errors.As(err, &failure) {
		t.Errorf("a command that is not there is a fault of the benchmark, and is %v", err)
	}
}

func TestRunIsStopped(t *testing.T) {
	t.Parallel()
	launcher, dir := launcher(t), t.TempDir()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 200*time.Millisecond, errors.New("long enough"))
	defer cancel()
	start := time.Now()
	_, err := Run(ctx, launcher, Command{
		Argv: []string{"/bin/sh", "-c", "(sleep 60; touch late) & sleep 60"}, Dir: dir, SyncDir: dir,
	})
	var failure *CommandError
	if !errors.As(err, &failure) || !strings.Contains(err.Error(), "long enough") {
		t.Errorf("a command that was stopped: %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it was stopped after %v", took)
	}
}
