package progress

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/copy"
)

// terminal is a screen that understands lines, "cursor up n" and "erase below":
// all that bars need.
type terminal struct {
	mu      sync.Mutex
	pending string
	lines   []string
	cursor  int
	highest int
}

var moveUp = regexp.MustCompile(`^\x1b\[(\d+)A\x1b\[J`)

func (s *terminal) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending += string(p)
	for s.pending != "" {
		if m := moveUp.FindStringSubmatch(s.pending); m != nil {
			n, err := strconv.Atoi(m[1])
			if err != nil || n > s.cursor {
				return 0, fmt.Errorf("cursor at line %d goes up by %s", s.cursor, m[1])
			}
			s.cursor -= n
			s.lines = s.lines[:s.cursor]
			s.pending = s.pending[len(m[0]):]
			continue
		}
		end := strings.IndexByte(s.pending, '\n')
		if end < 0 {
			break
		}
		s.lines = append(s.lines, strings.TrimRight(s.pending[:end], " "))
		s.cursor++
		s.highest = max(s.highest, len(s.lines))
		s.pending = s.pending[end+1:]
	}
	return len(p), nil
}

// shown returns what is on the screen.
func (s *terminal) shown() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lines...)
}

// await waits until the screen shows what ok wants.
func (s *terminal) await(t *testing.T, what string, ok func(lines []string) bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ok(s.shown()) {
			return
		}
	}
	t.Fatalf("never saw %s; the screen:\n%s", what, strings.Join(s.shown(), "\n"))
}

// wantLine fails unless the screen has one line with all the parts, in order.
func wantLine(t *testing.T, lines []string, parts ...string) {
	t.Helper()
	pattern := ""
	for _, p := range parts {
		pattern += regexp.QuoteMeta(p) + ".*"
	}
	if len(lines) != 1 || !regexp.MustCompile(pattern).MatchString(lines[0]) {
		t.Errorf("the screen does not end as the one line %q:\n%s", parts, strings.Join(lines, "\n"))
	}
}

func TestBarsOfAWholeCopy(t *testing.T) {
	t.Parallel()
	screen := &terminal{}
	r := New(Bars, NewOutput(screen))
	for i, e := range events() {
		r.Event(e)
		if i == 4 { // the layer has advanced
			screen.await(t, "both bars", func(lines []string) bool {
				return len(lines) == 2 &&
					strings.Contains(lines[0], "layer sha256:") && strings.Contains(lines[0], "linux/arm64") && strings.Contains(lines[0], "1.0 MB / 3.1 MB") &&
					strings.Contains(lines[1], "1/3") && strings.Contains(lines[1], "1.0 MB / 3.1 MB")
			})
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	wantLine(t, screen.shown(), "3/3", "=]", "3.1 MB / 3.1 MB")
}

func TestBarsEndCleanlyWhenCancelled(t *testing.T) {
	t.Parallel()
	screen := &terminal{}
	r := New(Bars, NewOutput(screen))
	for _, e := range events()[:5] {
		r.Event(e)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	wantLine(t, screen.shown(), "1/3", "1.0 MB / 3.1 MB")
}

func TestBarsBeforeAnyEvent(t *testing.T) {
	t.Parallel()
	screen := &terminal{}
	if err := New(Bars, NewOutput(screen)).Close(); err != nil {
		t.Fatal(err)
	}
	if lines := screen.shown(); len(lines) != 0 {
		t.Errorf("the screen shows %q", lines)
	}
}

func TestBarsAreFew(t *testing.T) {
	t.Parallel()
	screen := &terminal{}
	r := New(Bars, NewOutput(screen))
	r.Event(copy.Event{Kind: copy.EventPlanned, Total: 20 << 20, Count: 20})
	var all []copy.Event
	for i := range 20 {
		all = append(all, copy.Event{Kind: copy.EventStarted, Digest: digest.FromString(strconv.Itoa(i)), Role: "layer", Size: 1 << 20, Total: 20 << 20, Count: 20})
	}
	for _, e := range all {
		r.Event(e)
	}
	screen.await(t, "eight lines", func(lines []string) bool { return len(lines) == maxNodes+1 })

	// A bar that ends makes room for one that had none.
	first, last := all[0], all[19]
	first.Kind, first.Finished = copy.EventFinished, 1
	last.Kind, last.Moved, last.Finished = copy.EventAdvanced, 1<<19, 1
	r.Event(first)
	r.Event(last)
	screen.await(t, "the last node", func(lines []string) bool {
		return strings.Contains(strings.Join(lines, "\n"), last.Digest.String()[:19])
	})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	// The bar that ended may be drawn once more beside the one that took its place.
	if screen.highest > maxNodes+2 {
		t.Errorf("the screen had %d lines", screen.highest)
	}
	wantLine(t, screen.shown(), "1/20")
}

func TestLogLinesStandAboveTheBars(t *testing.T) {
	t.Parallel()
	screen := &terminal{}
	out := NewOutput(screen)
	r := New(Bars, out)
	for _, e := range events()[:2] {
		r.Event(e)
	}
	fmt.Fprintln(out, "a warning")
	screen.await(t, "the warning above two bars", func(lines []string) bool {
		return len(lines) == 3 && lines[0] == "a warning"
	})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(out, "dhow: failed")
	lines := screen.shown()
	if len(lines) != 3 || lines[0] != "a warning" || lines[2] != "dhow: failed" {
		t.Errorf("the screen:\n%s", strings.Join(lines, "\n"))
	}
}
