package testcontainerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/dhowhq/dhow/internal/durable"
)

// genuine is the containerd that the long tests build where there is none.
const genuine = "github.com/containerd/containerd/v2/cmd/containerd@v2.4.2"

// ErrNone says that there is no containerd to test with.
var ErrNone = errors.New("there is no containerd: DHOW_TEST_LONG=1 builds one, and DHOW_TEST_CONTAINERD names one")

// program returns the path of a containerd. It is found out once in a process.
var program = sync.OnceValues(func() (string, error) { //nolint:gochecknoglobals // see above
	if named := os.Getenv("DHOW_TEST_CONTAINERD"); named != "" { //nolint:forbidigo // by which it is chosen
		return named, nil
	}
	if path, err := exec.LookPath("containerd"); err == nil {
		return path, nil
	}
	if os.Getenv("DHOW_TEST_LONG") == "" { //nolint:forbidigo // likewise
		return "", ErrNone
	}
	return install()
})

// install builds a containerd into the user's cache directory, unless it is there. The
// packages of several tests do not do it at once.
func install() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	_, version, _ := strings.Cut(genuine, "@")
	dir := filepath.Join(cache, "dhow-test", "containerd-"+version+"-"+runtime.Version())
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(dir)
	if err != nil {
		return "", err
	}
	defer func() { _ = unlock() }() // nothing was written to it
	built := filepath.Join(dir, "containerd")
	if _, err := os.Stat(built); err == nil {
		return built, nil
	}
	cmd := exec.CommandContext(context.Background(), "go", "install", genuine)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOBIN="+dir) //nolint:forbidigo // it is handed on
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go install %s: %w\n%s", genuine, err, out)
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
