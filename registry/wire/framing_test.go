package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
)

// TestFraming has answers that break the rules of HTTP/1.1: B77, B95, B96.
func TestFraming(t *testing.T) {
	t.Parallel()
	broken := func(name, answer string, says ...string) exchangeCase {
		return exchangeCase{
			name: name, script: []act{then(raw(answer))}, attempts: 5, elapsed: retries4, kinds: unavailable,
			says: append(says, "gave up after attempt 5"),
		}
	}
	runCases(t, []exchangeCase{
		broken("B77 two lengths", start+"Content-Length: 4\nContent-Length: 5\n\nfine", "Content-Length"),
		broken("B77 a negative length", start+"Content-Length: -4\n\nfine", "Content-Length"),
		broken("B77 a length that is no number", start+"Content-Length: four\n\nfine", "Content-Length"),
		broken("B77 an answer shorter than its length", start+"Content-Length: 40\n\nfine", "status 200 broke off"),
		broken("B77 chunks that break off", start+"Transfer-Encoding: chunked\n\n4\nfine\n", "status 200 broke off"),
		broken("B77 chunks with a size that is none", start+"Transfer-Encoding: chunked\n\nzz\nfine\n0\n\n", "status 200 broke off"),
		{
			name: "B77 an answer that broke off once", status: 200, text: "fine", attempts: 2, elapsed: 500 * time.Millisecond,
			script: []act{then(raw(start + "Content-Length: 40\n\nfi")), ok},
		},
		{
			name: "B77 a download that breaks off is the caller's to resume", traffic: Download, status: 200, text: "fi", attempts: 1,
			kinds: []error{io.ErrUnexpectedEOF}, says: []string{"unexpected EOF"}, script: []act{then(raw(start + "Content-Length: 40\n\nfi")), ok},
		},
		{
			name: "B77 more than the length", status: 200, text: "fine", attempts: 1,
			script: []act{then(raw(start + "Content-Length: 4\n\nfine and much more of it"))},
		},
		{
			name: "B77 no length: to the end of the connection", status: 200, text: "fine", attempts: 1,
			script: []act{then(raw(start + "\nfine"))},
		},
		{
			name: "B77 chunks", status: 200, text: "fine", attempts: 1,
			script: []act{raw(start + "Transfer-Encoding: chunked\n\n2\nfi\n2\nne\n0\n\n")},
		},
		{
			name: "B95 an answer encoded although that was not accepted", attempts: 1, kinds: unavailable,
			says: []string{`Content-Encoding "gzip"`, "identity"}, script: []act{reply(200, "\x1f\x8b", "Content-Encoding: gzip")},
		},
		{
			name: "B95 of a download the digest decides", traffic: Download, status: 200, text: "\x1f\x8b", attempts: 1,
			script: []act{reply(200, "\x1f\x8b", "Content-Encoding: gzip")},
		},
		{
			name: "B95 an encoded page about a failure that passes", status: 200, attempts: 2, elapsed: 500 * time.Millisecond,
			script: []act{reply(503, "\x1f\x8b", "Content-Encoding: gzip"), ok},
		},
		broken("B95 Transfer-Encoding: gzip", start+"Transfer-Encoding: gzip\n\nfine", "unsupported transfer encoding"),
		broken("B96 a header of 1 MiB", start+"X: "+strings.Repeat("x", 1<<20)+"\n\n", "headers exceeded 262144 bytes"),
		broken("B96 10 MiB of headers", start+strings.Repeat("X: "+strings.Repeat("x", 1000)+"\n", 10<<10)+"\n", "headers exceeded"),
		broken("B96 a byte that no header has", start+"X\x00Y\x1b[31m: z\nContent-Length: 0\n\n", "malformed MIME header", `X\x00Y\x1b[31m`),
		broken("B96 HTTP/0.9", "<html>fine</html>", "malformed HTTP"),
		broken("B96 a status that is none", "HTTP/1.1 20x OK\n\n", "malformed HTTP status"),
		broken("B96 a flood of 1xx", strings.Repeat("HTTP/1.1 103 Early Hints\n\n", 20000)+start+"Content-Length: 0\n\n", "exceeded"),
		{
			name: "B96 200 KiB of headers", status: 200, attempts: 1,
			script: []act{raw(start + strings.Repeat("X: "+strings.Repeat("x", 1000)+"\n", 200) + "Content-Length: 0\n\n")},
		},
	})
}

// TestSlow has servers that take their time, and our own side doing so: B93.
func TestSlow(t *testing.T) {
	t.Parallel()
	gaveUp := []error{errdefs.ErrUnavailable, context.DeadlineExceeded}
	head := start + "Content-Length: 1000000\n\n"
	runCases(t, []exchangeCase{
		{
			name: "B93 no header", attempts: 5, elapsed: 150*time.Second + retries4, kinds: gaveUp,
			says: []string{"timeout awaiting response headers", "timeout, timeout"}, script: []act{hang("")},
		},
		{
			name: "B93 a header of a byte a second, once", status: 200, text: "fine", attempts: 2, elapsed: 30*time.Second + 500*time.Millisecond,
			script: []act{flow("", start+strings.Repeat("X: y\n", 100), 1, time.Second), ok},
		},
		{
			name: "B93 an answer to an upload may take minutes", method: "PUT", body: stream, traffic: Upload,
			status: 200, attempts: 1, elapsed: 4 * time.Minute, script: []act{after(4*time.Minute, ok)},
		},
		{
			name: "B93 but not forever", method: "PUT", body: stream, traffic: Upload, attempts: 1, elapsed: 5 * time.Minute, kinds: gaveUp,
			says: []string{"timeout awaiting response headers", "cannot be had again"}, script: []act{after(time.Hour, ok)},
		},
		{
			name: "B93 a body of a byte a second", traffic: Download, status: 200, attempts: 1, elapsed: time.Minute, kinds: gaveUp,
			says: []string{"the answer stalled", "in 1m0s"}, script: []act{flow(head, strings.Repeat("x", 1000000), 1, time.Second)},
		},
		{
			name: "B93 a body that stops", traffic: Download, status: 200, text: "fine", attempts: 1, elapsed: time.Minute, kinds: gaveUp,
			says: []string{"the answer stalled: 4 bytes in 1m0s"}, script: []act{hang(head + "fine")},
		},
		{
			name: "B93 a body without a length that never ends", traffic: Download, status: 200, text: "fine", attempts: 1, elapsed: time.Minute,
			kinds: gaveUp, says: []string{"stalled"}, script: []act{hang(start + "\nfine")},
		},
		{
			name: "B93 a connection that stays open after the body", traffic: Download, status: 200, text: "fine", attempts: 1,
			script: []act{hang(start + "Content-Length: 4\n\nfine")},
		},
		{
			name: "B93 an answer to Control that stops is asked for again", status: 200, text: "fine", attempts: 2,
			elapsed: time.Minute + 500*time.Millisecond, script: []act{hang(head + "fi"), ok},
		},
		{
			name: "B93 a server that takes no body", method: "PUT", body: stream, traffic: Upload, attempts: 1, elapsed: time.Minute, kinds: gaveUp,
			says: []string{"the request's body stalled: 0 bytes in 1m0s"}, script: []act{deaf},
		},
		{
			name: "B93 slow but good enough", traffic: Download, status: 200, text: strings.Repeat("x", 200<<10), attempts: 1, elapsed: 99 * time.Second,
			script: []act{flow(start+"Content-Length: 204800\n\n", strings.Repeat("x", 200<<10), 2<<10, time.Second)},
		},
		{
			name: "B93 good at first, and then not", traffic: Download, status: 200, attempts: 1, elapsed: 29*time.Second + time.Minute, kinds: gaveUp,
			says: []string{"the answer stalled: 0 bytes in 1m0s"}, script: []act{hangAfter(flow(head, strings.Repeat("x", 60<<10), 2<<10, time.Second))},
		},
	})
}

// TestPatience has our own side take its time, which is no stall: B93.
func TestPatience(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300<<10)
	t.Run("a source that is slow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			s := w.listen("http://registry.example", ok)
			f := w.factory(Options{})
			defer f.Close()
			source, feed := io.Pipe()
			go func() {
				for range 10 {
					time.Sleep(2 * time.Minute)
					fmt.Fprint(feed, "a piece. ")
				}
				_ = feed.Close()
			}()
			req := newRequest(t, "PUT", "http://registry.example/v2/", source)
			if _, err := do(t, w.client(f, "http://registry.example", Policy{}), req, Registry, Upload); err != nil {
				t.Fatal(err)
			}
			if got, want := s.bodies[0], strings.Repeat("a piece. ", 10); got != want {
				t.Errorf("sent %q, want %q", got, want)
			}
		})
	})
	t.Run("a sink that is slow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.listen("http://registry.example", reply(200, long))
			f := w.factory(Options{})
			defer f.Close()
			resp, err := w.client(f, "http://registry.example", Policy{}).Do(newRequest(t, "GET", "http://registry.example/v2/", nil), Registry, Download)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			buf := make([]byte, 1000)
			n := 0
			for err == nil {
				var m int
				m, err = resp.Body.Read(buf)
				n += m
				time.Sleep(10 * time.Second)
			}
			if !errors.Is(err, io.EOF) || n != len(long) {
				t.Errorf("read %d of %d bytes, %v", n, len(long), err)
			}
		})
	})
}

// flow writes head, and then a body in pieces with time between them.
func flow(head, text string, piece int, each time.Duration) act {
	text = strings.ReplaceAll(text, "\n", "\r\n")
	return func(c net.Conn, req *http.Request, body io.Reader) error {
		if err := raw(head)(c, req, body); err != nil {
			return err
		}
		for at := 0; at < len(text); at += piece {
			if at > 0 {
				time.Sleep(each)
			}
			if _, err := io.WriteString(c, text[at:min(at+piece, len(text))]); err != nil {
				return err
			}
		}
		return nil
	}
}

// after does a when that time is over.
func after(d time.Duration, a act) act {
	return func(c net.Conn, req *http.Request, body io.Reader) error {
		if _, err := io.Copy(io.Discard, body); err != nil {
			return err
		}
		time.Sleep(d)
		return a(c, req, body)
	}
}

// hangAfter does a, and then nothing until we hang up.
func hangAfter(a act) act {
	return func(c net.Conn, req *http.Request, body io.Reader) error {
		if err := a(c, req, body); err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, c)
		return errHangUp
	}
}
