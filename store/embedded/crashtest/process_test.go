package crashtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// process is a writer that was started.
type process struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	opened chan struct{} // closed when it has opened the store
	ended  chan struct{} // closed when all was read that it has written

	mu       sync.Mutex
	begun    [lanes]int // operations
	done     [lanes]int
	failures []string
	reopened int
}

// start starts a writer, by a program before it if one is given.
func start(t *testing.T, o orders, before ...string) *process {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := append(before, self) //nolint:gocritic // another slice
	p := &process{opened: make(chan struct{}), ended: make(chan struct{}), begun: o.From, done: o.From}
	p.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), args[0], args[1:]...) // the cleanup ends it
	// The race detector waits for a second at the end of a process.
	p.cmd.Env = append(os.Environ(), writerVariable+"="+string(text), "GORACE=atexit_sleep_ms=0")
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.kill() })
	go p.read(bufio.NewScanner(out))
	return p
}

// read reads what the writer says.
func (p *process) read(lines *bufio.Scanner) {
	defer close(p.ended)
	opened := sync.OnceFunc(func() { close(p.opened) })
	defer opened()
	for lines.Scan() {
		var what string
		var lane, n int
		if k, _ := fmt.Sscan(lines.Text(), &what, &lane, &n); k < 3 {
			what = "" // another program's
		}
		p.mu.Lock()
		switch what {
		case lineBegun:
			p.begun[lane] = n + 1
		case lineDone:
			p.done[lane] = n + 1
		case lineAgain:
			p.reopened++
		case lineFailed:
			p.failures = append(p.failures, lines.Text())
		}
		p.mu.Unlock()
		if what == lineOpened {
			opened()
		}
	}
}

// acknowledged returns how many operations of each lane are known to be done.
func (p *process) acknowledged() [lanes]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// failed returns what has failed so far.
func (p *process) failed() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failures
}

// kill kills the writer, and waits for its end and all that it has said.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
	_ = p.cmd.Wait() // likewise
}

// wait waits for the writer to end by itself, and returns its exit code, -1 after a
// signal.
func (p *process) wait(t *testing.T, limit time.Duration) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(limit):
		t.Errorf("the writer hangs; it has said of failures:\n%s", strings.Join(p.failed(), "\n"))
		p.kill()
	}
	_ = p.cmd.Wait() // said by the code
	return p.cmd.ProcessState.ExitCode()
}

// wantHealthy fails the test if a writer has failed that nobody has done any harm to.
func (p *process) wantHealthy(t *testing.T) {
	t.Helper()
	if failed := p.failed(); len(failed) > 0 {
		t.Errorf("the writer has failed: %s", strings.Join(failed, "\n"))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.ended:
		t.Errorf("the writer has ended: %s", p.stderr.String())
	default:
	}
}
