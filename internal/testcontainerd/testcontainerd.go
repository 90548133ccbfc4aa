// Package testcontainerd runs real containerds for tests: the one of the machine, one that
// DHOW_TEST_CONTAINERD names, or, for the long tests, one that it builds.
package testcontainerd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Daemon is a containerd of a test's own, with its directories. It is not safe for
// concurrent use, but what it serves is.
type Daemon struct {
	dir string
	cmd *exec.Cmd // nil: it does not run
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

// Available returns why no containerd can be started, ErrNone where there is none. It
// builds one where that is asked for, which takes minutes.
func Available() error {
	if os.Getuid() != 0 {
		return errors.New("containerd is started as root")
	}
	_, err := program()
	return err
}

// Need skips a test where there is no containerd or it may not be started.
func Need(tb testing.TB) {
	tb.Helper()
	err := Available()
	if errors.Is(err, ErrNone) || os.Getuid() != 0 {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// Run starts a daemon that ends with the test, or skips the test as Need does.
func Run(tb testing.TB) *Daemon {
	tb.Helper()
	Need(tb)
	d, err := New()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := d.Remove(); err != nil {
			tb.Error(err)
		}
	})
	if err := d.Start(); err != nil {
		tb.Fatal(err)
	}
	return d
}

// New makes the directories of a daemon. Its sockets have short paths: these may have
// about a hundred bytes.
func New() (*Daemon, error) {
	dir, err := os.MkdirTemp(memory(), "dhow-ctd-")
	if err != nil {
		return nil, err
	}
	d := &Daemon{dir: dir}
	text := fmt.Sprintf(config, d.Root(), filepath.Join(dir, "state"), d.Socket(), d.Socket()+".ttrpc")
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

// Root is the directory in which it keeps what is to last.
func (d *Daemon) Root() string { return filepath.Join(d.dir, "root") }

// Socket is where it is talked to.
func (d *Daemon) Socket() string { return filepath.Join(d.dir, "c.sock") }

// Start starts it, for the first time or after Kill, and waits until it listens.
func (d *Daemon) Start() error {
	path, err := program()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(d.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(context.Background(), path, "--config", filepath.Join(d.dir, "config.toml")) //nolint:gosec // the one that was chosen
	cmd.Stdout, cmd.Stderr = log, log
	orphansDie(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	d.cmd = cmd
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := (&net.Dialer{}).DialContext(context.Background(), "unix", d.Socket())
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(log.Name())
			return errors.Join(fmt.Errorf("containerd does not answer: %w\n%s", err, said), d.Kill())
		}
	}
}

// Kill kills it, if it runs. What it has acknowledged is there after the next Start.
func (d *Daemon) Kill() error {
	if d.cmd == nil {
		return nil
	}
	if err := d.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = d.cmd.Wait() // that it was killed is no news
	d.cmd = nil
	return nil
}

// Remove kills it and removes what it kept.
func (d *Daemon) Remove() error { return errors.Join(d.Kill(), os.RemoveAll(d.dir)) }
