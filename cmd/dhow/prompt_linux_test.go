package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// converse runs the program with a terminal, on which each prompt is answered, and
// returns what the terminal showed and the exit code.
func (w *world) converse(t *testing.T, answers map[string]string, args ...string) (shown string, code int) {
	t.Helper()
	screen, tty := openTerminal(t)
	defer screen.Close()
	cmd := w.command(t, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()  // the exit code tells
		_ = tty.Close() // ends the reading below
	}()
	buf := make([]byte, 4096)
	for {
		n, err := screen.Read(buf)
		shown += string(buf[:n])
		for prompt, answer := range answers {
			if strings.HasSuffix(shown, prompt) {
				for strings.HasPrefix(prompt, "Password") && echoes(t, tty) {
					time.Sleep(time.Millisecond) // nobody types before the prompt has done its work
				}
				if _, err := screen.WriteString(answer + "\n"); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err != nil {
			break
		}
	}
	<-ended
	return shown, cmd.ProcessState.ExitCode()
}

// echoes reports whether a terminal shows what is typed; one that was closed does not.
func echoes(t *testing.T, tty *os.File) (shown bool) {
	t.Helper()
	conn, err := tty.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Control(func(fd uintptr) { // fails if it is closed
		state, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
		shown = err == nil && state.Lflag&unix.ECHO != 0
	})
	return shown
}

// What a flag does not say of a login is asked for, and a password is not shown.
func TestPrompts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := newRegistry(t)
	w.must(t, "copy", "-q", "oci:layout:single", "docker://"+host+"/app:1", "--dest-tls-verify=false", "--dest-creds", "me:"+canary)
	file := filepath.Join(w.dir, "auth.json")
	name, password := "User name at "+host+": ", "Password for me at "+host+": "
	for _, args := range []string{
		"login --tls-verify=false --authfile " + file + " " + host,
		"tags --tls-verify=false --creds me " + host + "/app",
		"tags --tls-verify=false --username me " + host + "/app",
		"copy -q --src-tls-verify=false --src-creds me docker://" + host + "/app:1 oci:out:x",
	} {
		shown, code := w.converse(t, map[string]string{name: "me", password: canary}, strings.Fields(args)...)
		if code != 0 || !strings.Contains(shown, password) || strings.Contains(shown, name) != strings.HasPrefix(args, "login") {
			t.Errorf("%s: exit code %d\n%s", args, code, shown)
		}
		if strings.Contains(shown, canary) {
			t.Errorf("%s shows the password", args)
		}
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	if shown, code := w.converse(t, map[string]string{name: "", password: canary}, "login", "--tls-verify=false", host); code != 1 || !strings.Contains(shown, "--username is missing") {
		t.Errorf("no name: %d, %s", code, shown)
	}
}
