package process_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/dhowhq/dhow/internal/process"
)

// needKnown skips a test where nothing is known of processes.
func needKnown(t *testing.T) {
	t.Helper()
	if strings.HasPrefix(string(process.Self()), "/") {
		t.Skip("nothing is known of processes here")
	}
}

// TestState shows what is known of whom.
func TestState(t *testing.T) {
	t.Parallel()
	needKnown(t)
	self := process.Self()
	if self != process.Self() {
		t.Errorf("this process is %q and %q", self, process.Self())
	}
	parts := strings.Split(string(self), "/")
	with := func(i int, part string) string {
		other := append([]string{}, parts...)
		other[i] = part
		return strings.Join(other, "/")
	}
	for name, test := range map[string]struct {
		id   string
		want process.State
	}{
		"this one":          {string(self), process.Running},
		"another boot":      {with(0, "x"), process.Ended},
		"another start":     {with(3, parts[3]+"1"), process.Ended},
		"nobody":            {with(2, "99999999"), process.Ended},
		"another namespace": {with(1, parts[1]+"1"), process.Unknown},
		"nobody in another": {strings.Replace(with(2, "99999999"), "/"+parts[1]+"/", "/1/", 1), process.Unknown},
		"no boot":           {with(0, ""), process.Unknown},
		"nothing":           {"", process.Unknown},
		"no ID":             {"someone", process.Unknown},
		"a path":            {"../../1", process.Unknown},
		"no namespace":      {parts[0] + "/" + parts[2] + "/" + parts[3], process.Unknown},
		"too much":          {string(self) + "/1", process.Unknown},
		"no number":         {with(2, "x"), process.Unknown},
		"negative number":   {with(2, "-1"), process.Unknown},
		"no start":          {with(3, ""), process.Unknown},
	} {
		if got := process.ID(test.id).State(); got != test.want {
			t.Errorf("%s: state %d of %q, want %d", name, got, test.id, test.want)
		}
	}
}

// TestEnded shows that a process has ended when it has, even before somebody has asked
// how.
func TestEnded(t *testing.T) {
	t.Parallel()
	needKnown(t)
	cmd := exec.CommandContext(t.Context(), "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	id := process.Of(cmd.Process.Pid)
	if state := id.State(); state != process.Running {
		t.Errorf("a child has state %d as %q", state, id)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // that it was killed is no news
	if state := id.State(); state != process.Ended {
		t.Errorf("a child that was killed has state %d as %q", state, id)
	}
}
