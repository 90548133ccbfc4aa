package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/dhowhq/dhow/internal/durable"
)

// genuine is the command that the long tests want.
const genuine = "github.com/distribution/distribution/v3/cmd/registry@v3.1.2"

// program returns the program to start, and whether it is this one itself.
func program(tb testing.TB) (path string, itself bool) {
	tb.Helper()
	if named := os.Getenv("DHOW_TEST_REGISTRY"); named != "" { //nolint:forbidigo // by which it is chosen
		return named, false
	}
	if os.Getenv("DHOW_TEST_LONG") != "" { //nolint:forbidigo // likewise
		return build(tb), false
	}
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	return self, true
}

// build returns the genuine command. It is built once for a version of Go, and not by
// two processes at once: that takes a minute or more.
func build(tb testing.TB) string {
	tb.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		tb.Fatal(err)
	}
	_, version, _ := strings.Cut(genuine, "@")
	dir := filepath.Join(cache, "dhow-test", "registry-"+version+"-"+runtime.Version())
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(dir, "registry")
	unlock := lock(tb, dir)
	defer unlock()
	if _, err := os.Stat(path); err == nil {
		return path
	}
	tb.Logf("building %s", genuine)
	into, err := os.MkdirTemp(dir, "building-") //nolint:usetesting // where a rename is atomic
	if err != nil {
		tb.Fatal(err)
	}
	defer os.RemoveAll(into)
	cmd := exec.CommandContext(tb.Context(), "go", "install", genuine)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOBIN="+into) //nolint:forbidigo // it is handed on
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("go install %s: %v\n%s", genuine, err, out)
	}
	if err := os.Rename(filepath.Join(into, "registry"), path); err != nil {
		tb.Fatal(err)
	}
	return path
}

// lock keeps other processes out of a directory.
func lock(tb testing.TB, dir string) func() {
	tb.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		tb.Fatal(err)
	}
	_ = f.Close() // nothing was written
	root, err := os.OpenRoot(dir)
	if err != nil {
		tb.Fatal(err)
	}
	defer root.Close()
	unlock, err := durable.Lock(tb.Context(), root, "lock")
	if err != nil {
		tb.Fatal(err)
	}
	return func() {
		if err := unlock(); err != nil {
			tb.Error(err)
		}
	}
}
