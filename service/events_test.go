package service_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/service"
)

// testClock is a clock that each look moves on by a second.
type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *testClock) tick() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now.IsZero() {
		c.now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	c.now = c.now.Add(time.Second)
	return c.now
}

// past returns the events that have been since a time.
func (f *fixture) past(t *testing.T, opts service.EventOptions) []service.Event {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if opts.Since.IsZero() {
		opts.Since = time.Unix(1, 0)
	}
	opts.Until = time.Unix(1<<40, 0)
	events, err := f.Events(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	// The last one tells that there are no more.
	if _, err := f.Tag(ctx, "x:1", "end:1"); err != nil {
		t.Fatal(err)
	}
	var all []service.Event
	for e := range events {
		if e.Name == "end:1" {
			break
		}
		all = append(all, e)
	}
	return all
}

func TestEvents(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{Clock: (&testClock{}).tick})
	one, two := f.image(t, "linux/amd64", "one"), f.index(t, "two", "linux/amd64", "linux/arm64")
	f.put(t, one, "x:1")
	f.put(t, two, "z:1")
	if _, err := f.Tag(t.Context(), "z:1", "y:1"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Remove(t.Context(), "z:1", service.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Tag(t.Context(), "x:1", "y:1"); err != nil { // two dangles
		t.Fatal(err)
	}
	if _, err := f.Prune(t.Context(), service.PruneOptions{}); err != nil {
		t.Fatal(err)
	}
	var said []string
	all := f.past(t, service.EventOptions{})
	for i, e := range all {
		said = append(said, strings.TrimSpace(fmt.Sprintf("%s %s", e.Action, strings.ReplaceAll(strings.ReplaceAll(e.ID, string(one.Digest), "one"), string(two.Digest), "two"))+" "+e.Name))
		if e.Time.IsZero() || i > 0 && !e.Time.After(all[i-1].Time) || e.Lost != 0 {
			t.Errorf("event %+v after %+v", e, all[max(i-1, 0)])
		}
	}
	want := "tag two y:1; untag two z:1; tag one y:1; delete two " + string(two.Digest) + "; prune"
	if got := strings.Join(said, "; "); got != want {
		t.Errorf("events %s; want %s", got, want)
	}
	if last := all[len(all)-1].Attributes[service.AttributeReclaimed]; last == "" || last == "0" {
		t.Errorf("%q bytes were reclaimed", last)
	}
	// The event that ended the first look ends the second one too.
	opts := service.EventOptions{Since: all[2].Time, Want: func(e service.Event) bool { return e.Action != service.ActionPrune }}
	if got := f.past(t, opts); len(got) != 2 || got[0].Action != service.ActionTag || got[1].Action != service.ActionDelete {
		t.Errorf("since the third, without prune: %+v", got)
	}
}

func TestEventsEnd(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{})
	f.put(t, f.image(t, "linux/amd64", "x"), "x:1")
	if _, err := f.Events(t.Context(), service.EventOptions{Since: time.Unix(2, 0), Until: time.Unix(1, 0)}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("since after until: error %v", err)
	}
	if _, err := f.Tag(t.Context(), "x:1", "y:1"); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		until time.Time
		want  int
	}{
		"until a time that has been":   {time.Now(), 1},
		"until one that is to come":    {time.Now().Add(50 * time.Millisecond), 1},
		"until one before all of them": {time.Unix(2, 0), 0},
	} {
		events, err := f.Events(t.Context(), service.EventOptions{Since: time.Unix(1, 0), Until: row.until})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for range events {
			n++
		}
		if n != row.want {
			t.Errorf("%s: %d events; want %d", name, n, row.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	events, err := f.Events(ctx, service.EventOptions{})
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(10*time.Millisecond, cancel)
	for e := range events {
		t.Errorf("event %+v; want none", e)
	}
}

// TestEventsSlow checks that a reader that does not read holds up nobody, loses the
// oldest and is told so, and that 256 are kept for who comes later.
func TestEventsSlow(t *testing.T) {
	t.Parallel()
	f := newFixture(t, service.Options{})
	f.put(t, f.image(t, "linux/amd64", "x"), "x:1")
	slow, err := f.Events(t.Context(), service.EventOptions{})
	if err != nil {
		t.Fatal(err)
	}
	last, err := f.Events(t.Context(), service.EventOptions{Want: func(e service.Event) bool { return e.Name == "x:last" }})
	if err != nil {
		t.Fatal(err)
	}
	const made = 300
	for range made {
		if _, err := f.Tag(t.Context(), "x:1", "x:1"); err != nil {
			t.Fatal(err)
		}
	}
	n, lost := 0, uint64(0)
	for e := range slow {
		lost += e.Lost
		if n++; n+int(lost) == made {
			break
		}
	}
	if n != 256 || lost != made-256 {
		t.Errorf("%d events, %d lost; want 256 of %d", n, lost, made)
	}
	if got := len(f.past(t, service.EventOptions{})); got != 255 { // and the one that ends them
		t.Errorf("%d events are kept; want 256", got+1)
	}
	if _, err := f.Tag(t.Context(), "x:1", "x:last"); err != nil {
		t.Fatal(err)
	}
	for e := range last { // what was lost is told also where the next event is not wanted
		if e.Lost != made+2-256 {
			t.Errorf("%d events lost; want %d", e.Lost, made+2-256)
		}
		break
	}
}
