package wire

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
)

// TestConnectionsLive has bodies that the caller does not read to their end.
func TestConnectionsLive(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 4<<20)
	s := serve(t, "", "http", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/error":
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, big[:32<<10])
		case "/chunked":
			_ = json.NewEncoder(w).Encode("x")
			w.(http.Flusher).Flush()
		case "/big":
			fmt.Fprint(w, big)
		}
	})
	f := New(Options{})
	defer f.Close()
	c := client(t, f, s.URL, Policy{})
	for _, row := range []struct {
		path        string
		read        int
		connections int // of ten requests
	}{{"/error", 10, 1}, {"/chunked", 4, 1}, {"/empty", 0, 1}, {"/big", 10, 10}, {"/big", len(big), 1}} {
		t.Run(fmt.Sprint(row.path, row.read), func(t *testing.T) {
			f.Close()
			s.mu.Lock()
			s.connections = 0
			s.mu.Unlock()
			for range 10 {
				resp, err := c.Do(newRequest(t, "GET", s.URL+row.path, nil), Registry, Download)
				if err != nil {
					t.Fatal(err)
				}
				for buf, n := make([]byte, max(row.read, 1)), 0; n < row.read; {
					m, err := resp.Body.Read(buf[:row.read-n])
					if n += m; err != nil && n < row.read {
						t.Fatal(err)
					}
				}
				if err := resp.Body.Close(); err != nil {
					t.Fatal(err)
				}
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.connections != row.connections {
				t.Errorf("%d connections for ten requests, want %d", s.connections, row.connections)
			}
		})
	}
}

// TestProtocols has what is spoken for which traffic.
func TestProtocols(t *testing.T) {
	t.Parallel()
	s := serve(t, "", "https", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Proto, " ", r.Header.Get("Accept-Encoding"))
	})
	f := New(Options{TLS: func(Origin) (*tls.Config, error) {
		return &tls.Config{InsecureSkipVerify: true}, nil
	}})
	defer f.Close()
	c := client(t, f, s.URL, Policy{})
	for traffic, want := range map[Traffic]string{Control: "HTTP/2.0", Download: "HTTP/1.1", Upload: "HTTP/1.1"} {
		req := newRequest(t, "POST", s.URL, strings.NewReader(content))
		req.Header.Set("Accept-Encoding", "zstd,gzip")
		got, err := do(t, c, req, Registry, traffic)
		if err != nil || got.text != want+" identity" {
			t.Errorf("%s: %q, %v; want %s and identity", traffic, got.text, err, want)
		}
	}
	for i, body := range s.bodies {
		if body != content {
			t.Errorf("request %d brought %q", i, body)
		}
	}
}

// TestLongAnswerToControl has more than is read ahead: the rest is the caller's, place
// and all.
func TestLongAnswerToControl(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789abcdef", 5<<20/16)
	for name, row := range map[string]struct {
		answer act
		err    error
	}{
		"whole":     {reply(200, long), nil},
		"broken":    {then(raw(start + "Content-Length: 6000000\n\n" + long)), io.ErrUnexpectedEOF},
		"no length": {then(raw(start + "\n" + long)), nil},
		"an error":  {reply(404, long), nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				s := w.listen(plain, row.answer)
				f := w.factory(Options{})
				defer f.Close()
				c := w.client(f, plain, Policy{})
				resp, err := c.Do(newRequest(t, "GET", plain+"/v2/", nil), Registry, Control)
				if err != nil {
					t.Fatal(err)
				}
				l := f.hosts.get(c.endpoint.Origin).lanes[Control]
				if l.busy != 1 {
					t.Errorf("%d places are held while there is more to read, want 1", l.busy)
				}
				text, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if !errors.Is(err, row.err) || string(text) != long {
					t.Errorf("%d bytes, %v; want %d, %v", len(text), err, len(long), row.err)
				}
				if l.busy != 0 || len(s.asked()) != 1 {
					t.Errorf("%d places are held after %d requests", l.busy, len(s.asked()))
				}
			})
		})
	}
}

// TestStaleConnection has a server close a kept connection just as it is used again,
// which is no reason to wait. Without a body net/http repeats the request by itself:
// it counts as that of any other.
func TestStaleConnection(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		method string
		body   kindOfBody
	}{{"GET", noBody}, {"HEAD", noBody}, {"DELETE", noBody}, {"PUT", replayable}, {"PUT", reopenable}, {"PUT", stream}} {
		t.Run(fmt.Sprint(row.method, row.body), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				s := w.listen(plain, ok, reset, reply(200, "again"))
				var attempts []string
				sum := 0
				f := w.factory(Options{Hooks: Hooks{
					Attempt:  func(a Attempt) { attempts = append(attempts, fmt.Sprint(a.Number, a.Reused, a.Status, a.Err != nil)) },
					Exchange: func(e Exchange) { sum += e.Attempts },
				}})
				defer f.Close()
				c := w.client(f, plain, Policy{})
				began := time.Now()
				for i := range 2 {
					_, err := do(t, c, newRequest(t, row.method, plain+"/v2/", row.body.reader()), Registry, Upload)
					if row.body == stream && i == 1 {
						checkError(t, err, unavailable, []string{"cannot be had again"})
						return
					}
					checkError(t, err, nil, nil)
				}
				if took := time.Since(began); took != 0 || len(s.asked()) != 3 {
					t.Errorf("%d requests in %s, want 3 at once", len(s.asked()), took)
				}
				if want := []string{"1 false 200 false", "1 true 0 true", "2 false 200 false"}; !slices.Equal(attempts, want) || sum != 3 {
					t.Errorf("told of %q, and %d in all; want %q", attempts, sum, want)
				}
				l := f.hosts.get(c.endpoint.Origin).lanes[Upload]
				if l.cuts != 0 {
					t.Error("it was taken for overload")
				}
			})
		})
	}
}

// TestEarlyAnswer has a server answer while the body's source is slow, so that the
// transport still reads the body when the next attempt is due.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		early := func(c net.Conn, _ *http.Request, _ io.Reader) error {
			fmt.Fprint(c, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
			return errHangUp
		}
		s := w.listen(plain, early, ok)
		f := w.factory(Options{})
		defer f.Close()
		began := time.Now()
		if _, err := do(t, w.client(f, plain, Policy{}), newRequest(t, "PUT", plain+"/v2/", &exclusive{t: t}), Registry, Upload); err != nil {
			t.Fatal(err)
		}
		// Ten seconds for the Read that was under way, and twenty for all of it again.
		if took := time.Since(began); took != 30*time.Second || s.bodies[1] != content {
			t.Errorf("%q after %s", s.bodies[1], took)
		}
	})
}

// exclusive is a body that is only one at a time, as one with a file behind it, and
// takes ten seconds for each Read.
type exclusive struct {
	t *testing.T

	mu   sync.Mutex
	read int
	open bool
}

func (e *exclusive) Read(p []byte) (int, error) {
	e.mu.Lock()
	e.open = true
	e.mu.Unlock()
	time.Sleep(10 * time.Second)
	e.mu.Lock()
	defer e.mu.Unlock()
	n := copy(p, content[e.read:])
	if e.read += n; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (e *exclusive) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.open = false
	return nil
}

func (e *exclusive) Reopen() (io.ReadCloser, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.open {
		e.t.Error("reopened while it is read")
	}
	e.read = 0
	return e, nil
}

// TestSourceFails has the body's own source fail, which is not the server's fault.
func TestSourceFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.listen(plain, ok)
		f := w.factory(Options{})
		defer f.Close()
		c := w.client(f, plain, Policy{})
		lost := errors.New("the source is lost")
		req := newRequest(t, "PUT", plain+"/v2/", iotest.ErrReader(lost))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(iotest.ErrReader(lost)), nil }
		began := time.Now()
		_, err := do(t, c, req, Registry, Upload)
		if !errors.Is(err, lost) || errors.Is(err, errdefs.ErrUnavailable) || time.Since(began) != 0 {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if l := f.hosts.get(c.endpoint.Origin).lanes[Upload]; l.cuts != 0 {
			t.Error("it was taken for overload")
		}
	})
}
