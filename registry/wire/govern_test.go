package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const plain = "http://registry.example"

func TestLane(t *testing.T) {
	t.Parallel()
	t.Run("places are given in the order they were asked for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newLane(Limit{Start: 2, Max: 2}, nil)
			var order []int
			var mu sync.Mutex
			var all sync.WaitGroup
			for i := range 6 {
				all.Go(func() {
					if err := l.acquire(t.Context()); err != nil {
						t.Error(err)
					}
					mu.Lock()
					order = append(order, i)
					mu.Unlock()
					// No two places become free at the same moment.
					time.Sleep(time.Duration(100+i) * time.Millisecond)
					l.release()
				})
				synctest.Wait()
			}
			all.Wait()
			if got := fmt.Sprint(order); got != "[0 1 2 3 4 5]" {
				t.Errorf("order %s", got)
			}
		})
	})
	t.Run("who gives up waiting leaves no place behind", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newLane(Limit{Start: 1, Max: 1}, nil)
			if err := l.acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
			gone := errors.New("gone")
			ctx, cancel := context.WithCancelCause(t.Context())
			var all sync.WaitGroup
			all.Go(func() {
				if err := l.acquire(ctx); !errors.Is(err, gone) {
					t.Errorf("%v, want %v", err, gone)
				}
			})
			synctest.Wait()
			all.Go(func() {
				if err := l.acquire(t.Context()); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
			cancel(gone)
			l.release()
			all.Wait()
			l.release()
			if l.busy != 0 || l.queue.Len() != 0 {
				t.Errorf("%d busy, %d waiting", l.busy, l.queue.Len())
			}
			if err := l.acquire(ctx); !errors.Is(err, gone) {
				t.Errorf("a free place for a context that is over: %v", err)
			}
		})
	})
	t.Run("overload halves once, success adds one a round", func(t *testing.T) {
		l := newLane(Limit{Start: 16, Max: 20}, nil)
		at := l.epoch()
		for range 10 {
			l.overload(at) // all under way together
		}
		if l.limit != 8 {
			t.Errorf("limit %v, want 8", l.limit)
		}
		l.success()
		if l.limit != 8 {
			t.Errorf("limit %v after a success that nobody waits behind, want 8", l.limit)
		}
		l.queue.PushBack(make(chan struct{}))
		l.busy = 100
		for range 8 {
			l.success()
		}
		if l.limit < 8.9 || l.limit > 9.1 {
			t.Errorf("limit %v after a round of successes, want about 9", l.limit)
		}
		for range 1000 {
			l.success()
		}
		if l.limit != 20 {
			t.Errorf("limit %v, want the most, 20", l.limit)
		}
		for range 10 {
			l.overload(l.epoch())
		}
		if l.limit != 1 {
			t.Errorf("limit %v, want the least, 1", l.limit)
		}
	})
}

// TestClimb has networks of different kinds, and how many transfers at once it comes to.
func TestClimb(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name        string
		rate        func(n int) float64 // bytes a second with n transfers
		least, most int                 // after a minute
	}{
		{"a server that limits each connection", func(n int) float64 { return float64(n) * 40e6 }, 60, 64},
		{"a line that is full with four", func(n int) float64 { return min(float64(n), 4) * 40e6 }, 4, 9},
		{"a line that more make slower", func(n int) float64 { return 100e6 / float64(max(1, n-5)) }, 4, 9},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLane(Limit{Start: 4, Max: 64}, &climb{})
			l.queue.PushBack(make(chan struct{}))
			l.busy = 1000
			now := time.Now()
			for range 60 * 10 { // a minute in tenths of a second
				now = now.Add(time.Second / 10)
				l.moved(int(row.rate(int(l.limit))/10), now)
			}
			if n := int(l.limit); n < row.least || n > row.most {
				t.Errorf("%d transfers at once, want %d to %d", n, row.least, row.most)
			}
		})
	}
	t.Run("nobody waits", func(t *testing.T) {
		l := newLane(Limit{Start: 4, Max: 64}, &climb{})
		now := time.Now()
		for range 100 {
			now = now.Add(time.Second / 2)
			if l.moved(1000, now); l.limit != 4 {
				t.Fatalf("the limit became %v", l.limit)
			}
		}
	})
}

// TestPause has one exchange be asked to wait, and another one to the same host.
func TestPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.listen(plain, status(429, "Retry-After: 7"), ok)
		w.listen("http://other.example", ok)
		f := w.factory(Options{})
		defer f.Close()
		began := time.Now()
		var all sync.WaitGroup
		ask := func(origin string, after, want time.Duration) {
			all.Go(func() {
				time.Sleep(after)
				if _, err := do(t, w.client(f, origin, Policy{}), newRequest(t, "GET", origin+"/v2/", nil), Registry, Control); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took != want {
					t.Errorf("%s: done after %s, want %s", origin, took, want)
				}
			})
		}
		ask(plain, 0, 7*time.Second)
		ask(plain, time.Second, 7*time.Second)
		ask("http://other.example", time.Second, time.Second)
		all.Wait()
	})
}

// TestPlaces has more exchanges than places, and a place that is held by a body.
func TestPlaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var now, most atomic.Int32
		slow := func(c net.Conn, req *http.Request, body io.Reader) error {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Second)
			now.Add(-1)
			return ok(c, req, body)
		}
		w.listen(plain, slow)
		f := w.factory(Options{Limits: Limits{Download: Limit{Start: 3, Max: 3}, Control: Limit{Start: 1, Max: 1}}})
		defer f.Close()
		c := w.client(f, plain, Policy{})
		began := time.Now()
		var all sync.WaitGroup
		for range 9 {
			all.Go(func() {
				if _, err := do(t, c, newRequest(t, "GET", plain+"/v2/", nil), Registry, Download); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if _, err := do(t, c, newRequest(t, "GET", plain+"/v2/", nil), Registry, Control); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("control took %s: it waited for downloads", took)
		}
		all.Wait()
		if took := time.Since(began); most.Load() != 4 || took != 3*time.Second {
			t.Errorf("%d at once and %s, want 4 (three downloads, one control) and 3s", most.Load(), took)
		}

		// A body that is open keeps the place.
		var open []io.Closer
		for range 3 {
			resp, err := c.Do(newRequest(t, "GET", plain+"/v2/", nil), Registry, Download)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = resp.Body.Close() })
			open = append(open, resp.Body)
		}
		began = time.Now()
		time.AfterFunc(time.Minute, func() { _ = open[1].Close() })
		if _, err := do(t, c, newRequest(t, "GET", plain+"/v2/", nil), Registry, Download); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != time.Minute+time.Second {
			t.Errorf("the fourth took %s, want it to wait for a place until a body was closed", took)
		}
		for _, body := range open {
			_ = body.Close()
			_ = body.Close() // once more gives no place twice
		}
		if got := f.hosts.get(c.endpoint.Origin).lanes[Download].busy; got != 0 {
			t.Errorf("%d places are held", got)
		}
	})
}

// TestCancel has the context end in each place where an exchange can wait.
func TestCancel(t *testing.T) {
	t.Parallel()
	endless := start + "Content-Length: 1000000\n\n"
	for _, row := range []struct {
		name    string
		body    io.Reader
		traffic Traffic
		script  []act
		busy    bool // the only place is taken
	}{
		{name: "for a place", script: []act{ok}, busy: true},
		{name: "for an answer", script: []act{hang("")}},
		{name: "in a pause", script: []act{status(429, "Retry-After: 50")}},
		{name: "between attempts", script: []act{status(500)}},
		{name: "in a body", traffic: Download, script: []act{hang(endless)}},
		{name: "in a body that is held", script: []act{hang(endless)}},
		{name: "while sending", body: strings.NewReader(content), traffic: Upload, script: []act{deaf}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.listen(plain, row.script...)
				f := w.factory(Options{Limits: Limits{Control: Limit{Max: 1}}})
				defer f.Close()
				if row.busy {
					if err := f.hosts.get(origin0(t, plain)).lanes[Control].acquire(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				time.AfterFunc(6*time.Second, cancel)
				began := time.Now()
				_, err := do(t, w.client(f, plain, Policy{}), newRequest(t, "PUT", plain+"/v2/", row.body).WithContext(ctx), Registry, row.traffic)
				if !errors.Is(err, context.Canceled) {
					t.Errorf("error %v, want that the context was cancelled", err)
				}
				if took := time.Since(began); took != 6*time.Second {
					t.Errorf("it took %s, want 6s", took)
				}
			})
		})
	}
}

// TestForget has a registry name more hosts than are remembered.
func TestForget(t *testing.T) {
	t.Parallel()
	f := New(Options{})
	keep := f.hosts.get(Origin{"https", "used.example.com", 443})
	paused := f.hosts.get(Origin{"https", "paused.example.com", 443})
	paused.pause(time.Hour)
	f.hosts.put(paused)
	for i := range 10 * maxHosts {
		f.hosts.put(f.hosts.get(Origin{"https", fmt.Sprintf("h%d.example.com", i), 443}))
	}
	if n := len(f.hosts.all); n != maxHosts {
		t.Errorf("%d hosts are remembered, want %d", n, maxHosts)
	}
	if f.hosts.all[keep.origin] != keep || f.hosts.all[paused.origin] != paused {
		t.Error("a host that is in use, or paused, was forgotten")
	}
}

// TestOneBadBlob has one exchange fail again and again, which must not slow the others
// down more than once.
func TestOneBadBlob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.listen(plain, status(500))
		f := w.factory(Options{})
		defer f.Close()
		c := w.client(f, plain, Policy{})
		if _, err := do(t, c, newRequest(t, "GET", plain+"/v2/", nil), Registry, Download); err == nil {
			t.Error("no error")
		}
		if l := f.hosts.get(c.endpoint.Origin).lanes[Download]; l.limit != 8 {
			t.Errorf("%v places after it, want half of 16", l.limit)
		}
	})
}
