// Package registryproc runs the registry of the distribution project as a process: on
// loopback, over plain HTTP, with its storage in a directory.
package registryproc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const startTimeout = 20 * time.Second

// Registry is one that runs, or can be started again at the same address. It is for one
// goroutine.
type Registry struct {
	binary, dir, addr string
	cmd               *exec.Cmd
	exited            chan error
}

// Start runs binary with what is stored in dir, and returns when it answers.
func Start(ctx context.Context, binary, dir string) (*Registry, error) {
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	r := &Registry{binary: binary, dir: dir, addr: addr}
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// Addr returns the host and port.
func (r *Registry) Addr() string { return r.addr }

// Storage returns the directory with all that is stored.
func (r *Registry) Storage() string { return filepath.Join(r.dir, "storage") }

// Reset empties the registry: it is stopped, its storage removed, and started anew at the
// same address, so that it remembers nothing either.
func (r *Registry) Reset(ctx context.Context) error {
	if err := r.Stop(); err != nil {
		return err
	}
	if err := os.RemoveAll(r.Storage()); err != nil {
		return fmt.Errorf("emptying the registry: %w", err)
	}
	return r.start(ctx)
}

// Stop kills the registry. Nothing is lost that it has confirmed.
func (r *Registry) Stop() error {
	if r.cmd == nil {
		return nil
	}
	if err := r.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping the registry: %w", err)
	}
	<-r.exited // "signal: killed" is no news
	r.cmd = nil
	return nil
}

// CPU returns the time of all processors that the registry has used since it was started,
// in steps of 10 ms.
func (r *Registry) CPU() (time.Duration, error) {
	if r.cmd == nil {
		return 0, errors.New("the registry does not run")
	}
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(r.cmd.Process.Pid), "stat"))
	if err != nil {
		return 0, fmt.Errorf("reading the registry's processor time: %w", err)
	}
	// The name of the program may hold spaces; utime and stime are fields 14 and 15 of proc(5).
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading the registry's processor time: %w", err)
		}
		ticks += n
	}
	const tick = 10 * time.Millisecond // USER_HZ, the same on all of Linux
	return time.Duration(ticks) * tick, nil
}

func (r *Registry) start(ctx context.Context) error {
	if err := os.MkdirAll(r.Storage(), 0o755); err != nil {
		return fmt.Errorf("starting the registry: %w", err)
	}
	config := filepath.Join(r.dir, "config.yml")
	if err := os.WriteFile(config, []byte(r.config()), 0o644); err != nil {
		return fmt.Errorf("starting the registry: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(r.dir, "registry.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("starting the registry: %w", err)
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, r.binary, "serve", config) //nolint:gosec // the binary that was built for it
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = []string{"OTEL_SDK_DISABLED=true", "OTEL_TRACES_EXPORTER=none"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is for the benchmark, which then stops it
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the registry: %w", err)
	}
	r.cmd, r.exited = cmd, make(chan error, 1)
	go func(exited chan<- error) { exited <- cmd.Wait() }(r.exited)
	if err := r.wait(ctx, log.Name()); err != nil {
		return errors.Join(err, r.Stop())
	}
	return nil
}

// wait returns when the registry answers.
func (r *Registry) wait(ctx context.Context, log string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.addr+"/v2/", http.NoBody)
		if err != nil {
			return fmt.Errorf("starting the registry: %w", err)
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			_ = response.Body.Close() // it is empty
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-r.exited:
			r.exited <- err // for Stop
			return fmt.Errorf("the registry ended (%w), see %s", err, log)
		case <-ctx.Done():
			return fmt.Errorf("the registry does not answer, see %s: %w", log, ctx.Err())
		case <-tick.C:
		}
	}
}

func (r *Registry) config() string {
	return fmt.Sprintf(`version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: %q
  delete:
    enabled: true
  cache:
    blobdescriptor: inmemory
  maintenance:
    uploadpurging:
      enabled: false
http:
  addr: %q
`, r.Storage(), r.addr)
}

// freeAddr finds a port that is free now. Another process could take it before the registry
// does, which would then not start.
func freeAddr(ctx context.Context) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("looking for a free port: %w", err)
	}
	addr := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return "", fmt.Errorf("looking for a free port: %w", err)
	}
	return addr, nil
}
