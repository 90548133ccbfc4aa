package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/dhowhq/dhow/internal/durable"
)

// The commands that are started.
const (
	genuine = "github.com/distribution/distribution/v3/cmd/registry@v3.1.2"
	quick   = "github.com/dhowhq/dhow/internal/testregistry/process/registry"
)

// program returns the program to start. It is found out once in a process: even when
// nothing is to be built the go command takes its time.
var program = sync.OnceValues(func() (string, error) { //nolint:gochecknoglobals // see above
	if named := os.Getenv("DHOW_TEST_REGISTRY"); named != "" { //nolint:forbidigo // by which it is chosen
		return named, nil
	}
	if os.Getenv("DHOW_TEST_LONG") != "" { //nolint:forbidigo // likewise
		return install(genuine)
	}
	if raced() { // what is compiled for the tests serves for the registry
		return install(quick, "-race")
	}
	return install(quick)
})

// raced reports whether this program was built with the race detector.
func raced() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// install has the go command build a command into the user's cache directory, unless
// it is there and still the same. The packages of several tests do not do it at once:
// the genuine command takes a minute and more.
func install(command string, flags ...string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	name := strings.ReplaceAll(path.Base(command), "@", "-") + "-" + runtime.Version() + strings.Join(flags, "")
	dir := filepath.Join(cache, "dhow-test", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(dir)
	if err != nil {
		return "", err
	}
	defer func() { _ = unlock() }() // nothing was written to it
	args := append(append([]string{"install"}, flags...), command)
	cmd := exec.CommandContext(context.Background(), "go", args...) //nolint:gosec // they are constants
	cmd.Env = append(os.Environ(), "GOBIN="+dir)                    //nolint:forbidigo // it is handed on
	if len(flags) == 0 {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=0") // only the race detector needs C
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go install %s: %w\n%s", command, err, out)
	}
	return filepath.Join(dir, "registry"), nil
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
