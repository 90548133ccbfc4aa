// Package process starts the registry of distribution v3 as a process of its own, on
// loopback and with its storage in files: by http, by TLS, and by TLS with basic or
// token authentication. It is made for tests.
//
// Which program that is, the environment says. By default it is distribution's server
// with fewer storage drivers, which is built in seconds; with DHOW_TEST_LONG it is the
// genuine command; DHOW_TEST_REGISTRY names another one. What is built stays in the
// user's cache directory.
package process

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// startTime bounds how long a registry may take to listen: a test machine is busy.
const startTime = 30 * time.Second

// Mode says how a registry wants to be asked.
type Mode uint8

// The modes.
const (
	Plain Mode = iota // by http and anonymously
	TLS               // by TLS and anonymously
	Basic             // by TLS, with the name and password
	Token             // by TLS, with a token of the Tokens
)

// Username and Password are what the modes Basic and Token want.
const (
	Username = "user"
	Password = "cAnArY-8c21" //nolint:gosec // of a test
)

// Registry is a registry that runs.
type Registry struct {
	Host    string         // and port
	Storage string         // the directory with all that it keeps
	CertDir string         // has the ca.crt to trust, as certs.d has it; empty for Plain
	Trusted *x509.CertPool // the same; nil for Plain
	Tokens  *Tokens        // of the mode Token; else nil

	config string // its file
	cmd    *exec.Cmd
	over   chan struct{} // closed when the process has ended
	out    tail
}

// Start starts an empty registry and waits until it listens. It ends with the test,
// or with the process of the test, however that ends. What it said is shown if the
// test fails.
func Start(tb testing.TB, mode Mode) *Registry {
	tb.Helper()
	r := &Registry{Storage: tb.TempDir()}
	config := newConfig(r.Storage)
	if mode != Plain {
		a := newAuthority(tb)
		r.CertDir, r.Trusted = tb.TempDir(), a.pool()
		trusted := write(tb, r.CertDir, "ca.crt", a.pem())
		config.secure(tb, a)
		switch mode {
		case Basic:
			config.basic(tb)
		case Token:
			r.Tokens = newTokens(tb, a)
			config.tokens(r.Tokens, trusted)
		}
	}
	r.config = config.write(tb)
	r.run(tb)
	return r
}

// Restart kills the registry and starts one with what it has kept, at another port.
func (r *Registry) Restart(tb testing.TB) {
	tb.Helper()
	r.Kill()
	r.run(tb)
}

// run starts the process.
func (r *Registry) run(tb testing.TB) {
	tb.Helper()
	program, err := program()
	if err != nil {
		tb.Fatalf("building a registry: %v", err)
	}
	r.cmd = exec.Command(program, "serve", r.config) //nolint:gosec,noctx // the test's context ends before its cleanup does
	r.cmd.Env = append(environment(), "OTEL_TRACES_EXPORTER=none")
	in, out, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	r.cmd.Stdout, r.cmd.Stderr = out, out
	r.over = make(chan struct{})
	started, listening := make(chan error), make(chan string, 1)
	go live(r.cmd, out, started, r.over)
	if err := <-started; err != nil {
		_ = in.Close() // nothing was written
		tb.Fatalf("starting a registry: %v", err)
	}
	go r.listen(in, listening)
	tb.Cleanup(func() {
		r.Kill()
		if tb.Failed() {
			tb.Logf("the registry at %s said:\n%s", r.Host, r.out.text())
		}
	})
	select {
	case r.Host = <-listening:
	case <-r.over:
		tb.Fatal("the registry ended before it listened")
	case <-time.After(startTime):
		tb.Fatalf("the registry does not listen after %v", startTime)
	}
}

// environment is that of the process: without what would change its configuration.
func environment() []string {
	var env []string
	for _, e := range os.Environ() { //nolint:forbidigo // it is handed on
		if !strings.HasPrefix(e, "REGISTRY_") && !strings.HasPrefix(e, "OTEL_") {
			env = append(env, e)
		}
	}
	return env
}

// live starts the process and waits for its end. It keeps its thread for as long:
// with that the process would die.
func live(cmd *exec.Cmd, out *os.File, started chan<- error, over chan<- struct{}) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	orphansDie(cmd)
	err := cmd.Start()
	_ = out.Close() // it is the process's now
	started <- err
	if err == nil {
		_ = cmd.Wait() // it is killed
		close(over)
	}
}

// listening is how the registry says where it listens.
var listening = regexp.MustCompile(`msg="listening on (127\.0\.0\.1:\d+)`)

// listen reads what the process says, and sends where it listens.
func (r *Registry) listen(in *os.File, host chan<- string) {
	defer in.Close()
	said := bufio.NewReader(in)
	for {
		line, err := said.ReadBytes('\n')
		if m := listening.FindSubmatch(line); m != nil && len(host) == 0 {
			host <- string(m[1])
		}
		if !bytes.Contains(line, []byte(" level=info ")) { // the log of accesses says the same, shorter
			r.out.add(line)
		}
		if err != nil {
			return
		}
	}
}

// Kill kills the process, which has no time to end anything, and waits for its end.
func (r *Registry) Kill() {
	_ = r.cmd.Process.Kill() // it may have ended
	<-r.over
}

// URL returns the URL of a path.
func (r *Registry) URL(path string) string {
	if r.Trusted == nil {
		return "http://" + r.Host + path
	}
	return "https://" + r.Host + path
}

// tail is the end of what somebody said.
type tail struct {
	mu    sync.Mutex
	lines [][]byte
}

const tailLines = 100

func (t *tail) add(line []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, line)
	if len(t.lines) > tailLines {
		t.lines = t.lines[1:]
	}
}

func (t *tail) text() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Join(t.lines, nil)
}
