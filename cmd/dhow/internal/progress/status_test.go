package progress

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestStatusOnATerminal(t *testing.T) {
	t.Parallel()
	screen := &terminal{}
	out := NewOutput(screen)
	s := NewStatus(Bars, out)
	for _, text := range []string{"1 of 2", "2 of 2"} {
		s.Set(text)
		screen.await(t, text, func(lines []string) bool { return len(lines) == 1 && lines[0] == text })
	}
	if _, err := out.Write([]byte("a warning\n")); err != nil {
		t.Fatal(err)
	}
	screen.await(t, "the warning above", func(lines []string) bool {
		return len(lines) == 2 && lines[0] == "a warning" && lines[1] == "2 of 2"
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(screen.shown(), "\n"); got != "a warning" {
		t.Errorf("the screen shows %q", got)
	}
}

// guarded is a buffer that is written to from elsewhere.
type guarded struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (g *guarded) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.b.Write(p)
}

func TestStatusInLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var to guarded
		s := NewStatus(Plain, NewOutput(&to))
		time.Sleep(plainPause + time.Second) // nothing is said yet
		s.Set("first")
		time.Sleep(plainPause)
		s.Set("never shown")
		s.Set("last")
		time.Sleep(2 * plainPause)
		s.Set("too late")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if got, want := to.b.String(), "first\n"+strings.Repeat("last\n", 2); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// broken cannot be written to.
type broken struct{}

var errBroken = errors.New("broken")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestStatusThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := NewStatus(Plain, NewOutput(broken{}))
		s.Set("one")
		time.Sleep(2 * plainPause)
		if err := s.Close(); !errors.Is(err, errBroken) {
			t.Errorf("Close: %v", err)
		}
	})
}

func TestStatusOfNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var to guarded
		for _, mode := range []Mode{Plain, None} {
			s := NewStatus(mode, NewOutput(&to))
			if mode == None {
				s.Set("one")
			}
			time.Sleep(2 * plainPause)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if got := to.b.String(); got != "" {
			t.Errorf("got %q", got)
		}
	})
}
