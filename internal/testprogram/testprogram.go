// Package testprogram builds the commands that tests start.
package testprogram

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/dhowhq/dhow/internal/durable"
)

// Install has the go command build a command, PACKAGE or PACKAGE@VERSION, into the user's
// cache directory, and returns the path of the program. One of a version is built once; any
// other is looked at again, as what it is made of may have changed. Several processes do not
// do it at once: some commands take minutes. Flags are those of go install.
func Install(command string, flags ...string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	pkg, version, pinned := strings.Cut(command, "@")
	name := path.Base(pkg) + "-" + version + "-" + runtime.Version() + strings.Join(flags, "")
	dir := filepath.Join(cache, "dhow-test", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(dir)
	if err != nil {
		return "", err
	}
	defer func() { _ = unlock() }() // nothing was written to it
	built := filepath.Join(dir, path.Base(pkg))
	if _, err := os.Stat(built); err == nil && pinned {
		return built, nil
	}
	args := append(append([]string{"install"}, flags...), command)
	cmd := exec.CommandContext(context.Background(), "go", args...) //nolint:gosec // they are constants
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOBIN="+dir)        //nolint:forbidigo // it is handed on
	if len(flags) == 0 {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=0") // only the race detector needs C
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go install %s: %w\n%s", command, err, out)
	}
	return built, nil
}

// lock keeps other processes out of a directory.
func lock(dir string) (unlock func() error, err error) {
	const name = "lock"
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	_ = f.Close() // nothing was written
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return durable.Lock(context.Background(), root, name)
}
