package containerd

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
	"testing"
	"time"
)

// genuine is the containerd that the long tests build where there is none.
const genuine = "github.com/containerd/containerd/v2/cmd/containerd@v2.4.2"

// errNone says that there is no containerd to test with.
var errNone = errors.New("there is no containerd: DHOW_TEST_LONG=1 builds one, and DHOW_TEST_CONTAINERD names one")

// program returns the path of a containerd.
var program = sync.OnceValues(func() (string, error) {
	if named := os.Getenv("DHOW_TEST_CONTAINERD"); named != "" {
		return named, nil
	}
	if path, err := exec.LookPath("containerd"); err == nil {
		return path, nil
	}
	if os.Getenv("DHOW_TEST_LONG") == "" {
		return "", errNone
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	_, version, _ := strings.Cut(genuine, "@")
	dir := filepath.Join(cache, "dhow-test", "containerd-"+version+"-"+runtime.Version())
	built := filepath.Join(dir, "containerd")
	if _, err := os.Stat(built); err == nil {
		return built, nil
	}
	cmd := exec.CommandContext(context.Background(), "go", "install", genuine)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOBIN="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go install %s: %w\n%s", genuine, err, out)
	}
	return built, nil
})

// daemon is a containerd of the tests' own.
type daemon struct {
	dir string
	cmd *exec.Cmd
}

// config has all that images need, and no more.
const config = `version = 2
root = %[1]q
state = %[2]q
disabled_plugins = [
  "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.nri.v1.nri",
  "io.containerd.podsandbox.controller.v1.podsandbox", "io.containerd.internal.v1.restart", "io.containerd.monitor.container.v1.restart",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.erofs", "io.containerd.snapshotter.v1.overlayfs", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = %[3]q
[ttrpc]
  address = %[4]q
`

// newDaemon makes the directories of a daemon. Its sockets have short paths: these may
// have about a hundred bytes.
func newDaemon() (*daemon, error) {
	dir, err := os.MkdirTemp(memory(), "dhow-ctd-")
	if err != nil {
		return nil, err
	}
	d := &daemon{dir: dir}
	text := fmt.Sprintf(config, d.root(), filepath.Join(dir, "state"), d.socket(), d.socket()+".ttrpc")
	return d, os.WriteFile(filepath.Join(dir, "config.toml"), []byte(text), 0o600)
}

// memory returns a directory that is kept in memory, where there is one: containerd
// syncs a great deal.
func memory() string {
	const dir = "/dev/shm"
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return dir
	}
	return ""
}

func (d *daemon) root() string   { return filepath.Join(d.dir, "root") }
func (d *daemon) socket() string { return filepath.Join(d.dir, "c.sock") }

// start starts the daemon and waits until it answers.
func (d *daemon) start() error {
	path, err := program()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(d.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	d.cmd = exec.CommandContext(context.Background(), path, "--config", filepath.Join(d.dir, "config.toml"))
	d.cmd.Stdout, d.cmd.Stderr = log, log
	tie(d.cmd)
	if err := d.cmd.Start(); err != nil {
		return err
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		s, err := Open(context.Background(), Scheme+"://"+d.socket(), Options{})
		if err == nil {
			return s.Close()
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(log.Name())
			return errors.Join(fmt.Errorf("containerd does not answer: %w\n%s", err, said), d.kill())
		}
	}
}

// kill kills the daemon.
func (d *daemon) kill() error {
	if err := d.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = d.cmd.Wait() // that it was killed is no news
	return nil
}

// remove kills the daemon and removes what it kept.
func (d *daemon) remove() error { return errors.Join(d.kill(), os.RemoveAll(d.dir)) }

// shared is the daemon of all tests that do not kill theirs.
var shared = sync.OnceValues(func() (*daemon, error) {
	d, err := newDaemon()
	if err == nil {
		err = d.start()
	}
	return d, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if os.Getenv(endedVariable) == "" {
		if _, err := program(); err == nil {
			if d, err := shared(); err == nil {
				err = d.remove()
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					code = max(code, 1)
				}
			}
		}
	}
	os.Exit(code)
}

// running returns the shared daemon, or skips the test where there is no containerd.
func running(tb testing.TB) *daemon {
	tb.Helper()
	if _, err := program(); errors.Is(err, errNone) || os.Getuid() != 0 {
		tb.Skip("containerd is started as root: ", err)
	}
	d, err := shared()
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// address returns that of a namespace.
func (d *daemon) address(namespace string) string {
	return fmt.Sprintf("%s://%s?namespace=%s", Scheme, d.socket(), namespace)
}
