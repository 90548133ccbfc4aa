//go:build unix

package blackbox_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStoreOfAnotherProcess: a second process waits, and then names who has the store.
func TestStoreOfAnotherProcess(t *testing.T) {
	t.Parallel()
	l := newLocal(t)
	s := l.open(t)
	owner := fmt.Sprintf("pid %d, program %q", os.Getpid(), filepath.Base(os.Args[0]))
	for _, args := range [][]string{{"store", "info"}, {"gc"}, {"fsck"}, {"fsck", "--repair"}} {
		begin := time.Now()
		r := l.dhow(t, append(args, "--store-wait", "300ms")...)
		wantOutcome(t, strings.Join(args, " "), r, 1, nil, []string{"dhow: ", l.dir, "is open in another process (" + owner, "unavailable\n"})
		if took := time.Since(begin); took < 300*time.Millisecond || took > 30*time.Second {
			t.Errorf("%s has waited for %v", args, took)
		}
	}
	begin := time.Now()
	wantOutcome(t, "without waiting", l.dhow(t, "gc", "--store-wait", "0"), 1, nil, []string{owner})
	if took := time.Since(begin); took > 8*time.Second {
		t.Errorf("it has waited for %v", took)
	}

	waiting := exec.CommandContext(t.Context(), dhow, "--root", l.dir, "gc", "--store-wait", "1m")
	done := make(chan outcome, 1)
	go func() { done <- result(t, waiting) }()
	select {
	case r := <-done:
		t.Errorf("it has not waited: %+v", r)
	case <-time.After(1500 * time.Millisecond):
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	note := "note: waiting for the store " + l.dir + ", which is open in another process (" + owner
	wantOutcome(t, "gc when the store is free", <-done, 0, []string{"freed 3 blobs"}, []string{note})
}

// TestSignalWhileWaiting ends a command that waits for a store.
func TestSignalWhileWaiting(t *testing.T) {
	t.Parallel()
	l := newLocal(t)
	s := l.open(t)
	defer s.Close()
	cmd := exec.CommandContext(t.Context(), dhow, "--root", l.dir, "gc", "--store-wait", "2m")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); !hasOpen(cmd.Process.Pid, l.dir) && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	begin := time.Now()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its exit code is looked at
	wantOutcome(t, "gc", outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}, 1, nil, []string{"dhow: stopped: interrupt signal received\n"})
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

// hasOpen reports whether a process has a directory open. Where that is not told it has,
// some seconds later.
func hasOpen(pid int, dir string) bool {
	list := fmt.Sprintf("/proc/%d/fd", pid)
	fds, err := os.ReadDir(list)
	if err != nil {
		time.Sleep(3 * time.Second)
		return true
	}
	for _, fd := range fds {
		if to, err := os.Readlink(filepath.Join(list, fd.Name())); err == nil && to == dir {
			return true
		}
	}
	return false
}

// TestManyProcesses use one store in turn.
func TestManyProcesses(t *testing.T) {
	t.Parallel()
	l := newLocal(t)
	done := make(chan outcome, 8)
	for i := range cap(done) {
		args := [][]string{{"gc"}, {"fsck"}, {"store", "info"}, {"fsck", "--repair"}}[i%4]
		cmd := exec.CommandContext(t.Context(), dhow, append(args, "--root", l.dir, "--store-wait", "1m")...)
		go func() { done <- result(t, cmd) }()
	}
	for range cap(done) {
		if r := <-done; r.code != 0 || r.errors != "" {
			t.Errorf("%+v", r)
		}
	}
	wantOutcome(t, "fsck", l.dhow(t, "fsck"), 0, []string{": nothing is wrong\n"}, nil)
}

// TestStoreIsPrivate: whatever the umask and the modes before, all in a store is for its
// owner alone.
func TestStoreIsPrivate(t *testing.T) {
	t.Parallel()
	l := newLocal(t)
	if err := os.Remove(filepath.Join(l.dir, "catalog.db")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(l.dir, "format")); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(l.file(), 5); err != nil {
		t.Fatal(err)
	}
	for _, open := range []string{"", "blobs", "journal"} {
		if err := os.Chmod(filepath.Join(l.dir, open), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args string
		code int
	}{{"fsck --repair", 1}, {"gc", 0}, {"store info", 0}} { // a blob is lost
		cmd := exec.CommandContext(t.Context(), "sh", "-c", `umask 0; exec "$0" --root "$1" `+c.args, dhow, l.dir)
		if r := result(t, cmd); r.code != c.code {
			t.Errorf("%s: %+v", c.args, r)
		}
	}
	seen := map[string]bool{}
	err := filepath.WalkDir(l.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if e.IsDir() {
			want = fs.ModeDir | 0o700
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
		seen[e.Name()] = true
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for _, name := range []string{"catalog.db", "format", "lock", "journal", "bad", l.large.Digest.Encoded() + ".1"} {
		if !seen[name] {
			t.Errorf("there is no %s", name)
		}
	}
}

// TestStoreOfAnotherUser can only be read, and only where its owner has let others.
func TestStoreOfAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("another user is somebody that root can be")
	}
	l := newLocal(t)
	as := func(args ...string) outcome {
		cmd := exec.CommandContext(t.Context(), dhow, append(args, "--root", l.dir)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		cmd.Dir = "/"
		return result(t, cmd)
	}
	for _, dir := range []string{filepath.Dir(dhow), filepath.Dir(filepath.Dir(l.dir)), filepath.Dir(l.dir)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"store", "info"}, {"gc"}, {"fsck"}, {"fsck", "--repair"}} {
		wantOutcome(t, "private: "+strings.Join(args, " "), as(args...), 1, nil, []string{"dhow: ", l.dir, "permission denied\n"})
	}
	err := filepath.WalkDir(l.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.Chmod(path, 0o755)
		}
		return os.Chmod(path, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	note := []string{"note: the store can only be read: ", l.dir}
	wantOutcome(t, "store info", as("store", "info"), 0, []string{"read-only: ", "opened for reading only"}, note)
	wantOutcome(t, "fsck", as("fsck"), 1, []string{"mode ", "journal", " findings\n"}, note)
	for _, args := range [][]string{{"gc"}, {"fsck", "--repair"}} {
		wantOutcome(t, "to be read: "+strings.Join(args, " "), as(args...), 1, nil, []string{"dhow: ", l.dir, "permi"})
	}
	wantOutcome(t, "fsck --repair of its owner", l.dhow(t, "fsck", "--repair"), 0, []string{"mode ", " repaired, 0 lost\n"}, nil)
	wantOutcome(t, "fsck of its owner", l.dhow(t, "fsck"), 0, []string{": nothing is wrong\n"}, nil)
}

// TestHostileRoots: whatever is in the place of a store, a command ends with a line that
// says so, and changes nothing elsewhere.
func TestHostileRoots(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		plant func(path string) error
		path  string // below what is planted
		code  int
		want  string
	}{
		"nothing":               {func(string) error { return nil }, "", 2, "there is no store in "},
		"an empty directory":    {func(path string) error { return os.Mkdir(path, 0o755) }, "", 2, "there is no store in "},
		"somebody else's":       {func(path string) error { return os.MkdirAll(filepath.Join(path, "home"), 0o755) }, "", 2, "there is no store in "},
		"a file":                {func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) }, "", 1, "not a directory"},
		"below a file":          {func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) }, "/below", 1, "not a directory"},
		"a pipe":                {func(path string) error { return syscall.Mkfifo(path, 0o600) }, "", 1, "not a directory"},
		"a loop of links":       {func(path string) error { return os.Symlink(filepath.Base(path), path) }, "", 1, "too many levels of symbolic links"},
		"a link to nothing":     {func(path string) error { return os.Symlink("nothing", path) }, "", 2, "there is no store in "},
		"a device":              {func(path string) error { return os.Symlink("/dev/null", path) }, "", 1, "not a directory"},
		"a name that is long":   {func(string) error { return nil }, strings.Repeat("x", 300), 1, "file name too long"},
		"a name that is worse":  {func(string) error { return nil }, "\x1b[2J\n\u202e", 2, `\x1b[2J; \u202e`},
		"pipes in the place of": {pipes, "", 1, "is a FIFO, not a regular file"},
		"links in the place of": {links, "", 1, "is a symbolic link"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "x")
			if err := tc.plant(path); err != nil {
				t.Fatal(err)
			}
			for _, args := range []string{"store info", "fsck", "fsck --repair", "gc"} {
				r := result(t, exec.CommandContext(t.Context(), dhow, append(strings.Split(args, " "), "--store-wait", "1s", "--root", path+tc.path)...))
				if r.code != tc.code || r.out != "" || !strings.HasPrefix(r.errors, "dhow: ") || strings.Count(r.errors, "\n") != 1 || !strings.Contains(r.errors, tc.want) {
					t.Errorf("%s: %+v, want exit code %d and %q", args, r, tc.code, tc.want)
				}
			}
		})
	}
}

// pipes makes a directory in which a store's files are pipes, that nobody writes to.
func pipes(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	for _, name := range []string{"lock", "format", "catalog.db", "journal"} {
		if err := syscall.Mkfifo(filepath.Join(path, name), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// links makes a directory in which a store's files are links to others.
func links(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	for _, name := range []string{"lock", "format", "catalog.db", "journal", "blobs", "ingest", "bad", "trash"} {
		if err := os.Symlink("/etc", filepath.Join(path, name)); err != nil {
			return err
		}
	}
	return nil
}
