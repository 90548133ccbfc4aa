package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal returns the two ends of a terminal of 100 columns and 30 lines.
func openTerminal(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	fd := int(screen.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Skip(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Skip(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 100}); err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	return screen, tty
}

// On a terminal progress is bars, unless the terminal is dumb or other progress is
// asked for, and standard output has the result alone.
func TestTerminal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tc := range []struct {
		name, term string
		flags      []string
		code       int
		source     string
		want       func(shown string) bool
	}{
		{"bars", "xterm", nil, 0, "big", func(s string) bool {
			return strings.Contains(s, "\x1b[") && strings.Contains(s, "3/3") && strings.Contains(s, "3.1 MB / 3.1 MB")
		}},
		{"error below bars", "xterm", nil, 3, "damaged", func(s string) bool {
			lines := strings.Split(strings.TrimSpace(s), "\n")
			return strings.Contains(s, "\x1b[") && strings.HasPrefix(lines[len(lines)-1], "dhow: ")
		}},
		{"dumb terminal", "dumb", nil, 0, "big", func(s string) bool {
			return !strings.Contains(s, "\x1b") && strings.Contains(s, "committed: ")
		}},
		{"plain", "xterm", []string{"--progress", "plain"}, 0, "big", func(s string) bool {
			return !strings.Contains(s, "\x1b") && strings.Contains(s, "committed: ")
		}},
		{"quiet", "xterm", []string{"-q"}, 0, "big", func(s string) bool { return s == "" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			screen, tty := openTerminal(t)
			cmd := w.command(t, append(append([]string{"copy"}, tc.flags...), "oci:layout:"+tc.source, "oci:"+t.TempDir()+"/out:x")...)
			cmd.Env = append(os.Environ(), "TERM="+tc.term)
			cmd.Stderr = tty
			var stdout strings.Builder
			cmd.Stdout = &stdout
			shown := make(chan string)
			go func() {
				data, _ := io.ReadAll(screen) // ends with an error when the other end is closed
				shown <- string(data)
			}()
			err := cmd.Run()
			if err := tty.Close(); err != nil {
				t.Fatal(err)
			}
			if cmd.ProcessState.ExitCode() != tc.code {
				t.Fatalf("exit code %d: %v", cmd.ProcessState.ExitCode(), err)
			}
			if got := <-shown; !tc.want(got) {
				t.Errorf("the terminal shows %q", got)
			}
			if lines := strings.Count(stdout.String(), "\n"); (tc.code == 0) != (lines == 1) || strings.Contains(stdout.String(), "\x1b") {
				t.Errorf("standard output is %q", stdout.String())
			}
		})
	}
}

// What ends a command before anything moves is told on a terminal, too.
func TestErrorsOnATerminal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for args, want := range map[string]string{
		"--root none save -o a.tar app:1":                            "there is no store",
		"load -i nofile.tar":                                         `no file "nofile.tar"`,
		"pull --receipt no/such/r.json oci:layout:latest app:1":      "no such file or directory",
		"--root empty pull --json --receipt - oci:layout:latest x:1": "both write to standard output",
	} {
		screen, tty := openTerminal(t)
		cmd := w.command(t, strings.Fields(args)...)
		cmd.Env = append(os.Environ(), "TERM=xterm")
		cmd.Stderr = tty
		_ = cmd.Run() // the exit code says it
		if err := tty.Close(); err != nil {
			t.Fatal(err)
		}
		if shown, _ := io.ReadAll(screen); cmd.ProcessState.ExitCode() == 0 || !strings.Contains(string(shown), "dhow: ") || !strings.Contains(string(shown), want) {
			t.Errorf("%s: exit code %d, the terminal shows %q", args, cmd.ProcessState.ExitCode(), shown)
		}
	}
}

// An archive is not written to a terminal, by whatever name.
func TestSaveToATerminal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, flags := range [][]string{nil, {"-o", "/dev/stdout"}} {
		screen, tty := openTerminal(t)
		var stderr strings.Builder
		cmd := w.command(t, append([]string{"--root", "store", "save", "app:1"}, flags...)...)
		cmd.Stdout, cmd.Stderr = tty, &stderr
		_ = cmd.Run() // the exit code says it
		if err := tty.Close(); err != nil {
			t.Fatal(err)
		}
		if shown, _ := io.ReadAll(screen); cmd.ProcessState.ExitCode() != 1 || !strings.Contains(stderr.String(), "standard output is a terminal") || len(shown) > 0 {
			t.Errorf("%q: %q, the terminal shows %.200q", flags, stderr.String(), shown)
		}
	}
}
