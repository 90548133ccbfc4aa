package process_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/dhowhq/dhow/internal/process"
)

// TestAlive shows who is taken for alive.
func TestAlive(t *testing.T) {
	t.Parallel()
	self := process.Self()
	if !self.Alive() || self != process.Self() {
		t.Errorf("this process is not alive as %q", self)
	}
	boot, rest, _ := strings.Cut(string(self), "/")
	pid, start, _ := strings.Cut(rest, "/")
	for name, id := range map[string]process.ID{
		"nothing":         "",
		"no ID":           "someone",
		"a path":          "../../1",
		"another boot":    process.ID("x/" + pid + "/" + start),
		"another start":   process.ID(boot + "/" + pid + "/" + start + "1"),
		"no number":       process.ID(boot + "/x/" + start),
		"negative number": process.ID(boot + "/-1/" + start),
		"nobody":          process.ID(boot + "/99999999/" + start),
	} {
		if id.Alive() {
			t.Errorf("%s is alive as %q", name, id)
		}
	}
}

// TestEnded shows that a process is not alive when it has ended, even before somebody
// has asked how.
func TestEnded(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	boot, _, _ := strings.Cut(string(process.Self()), "/")
	id := process.Of(cmd.Process.Pid)
	if !id.Alive() || !strings.HasPrefix(string(id), boot) {
		t.Errorf("a child is not alive as %q", id)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // that it was killed is no news
	if id.Alive() {
		t.Errorf("a child that was killed is alive as %q", id)
	}
}
