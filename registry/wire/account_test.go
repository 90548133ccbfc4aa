package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
)

// TestHooks has what is told of exchanges, and when.
func TestHooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.listen(reg, status(429, "Retry-After: 2"), status(307, "Location: https://cdn.example.net/1?sig=x"))
		w.listen("https://cdn.example.net", then(raw(start+"Content-Length: 10\n\n12345")), reply(200, "0123456789"))
		var told []string
		var log bytes.Buffer
		f := w.factory(Options{
			Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			}})),
			Hooks: Hooks{
				Attempt: func(a Attempt) {
					told = append(told, fmt.Sprint(a.Number, " ", a.Method, " ", a.URL, " ", a.Status, " ", a.Proto, " ", a.Reused, " ", a.Took, " ", a.Err))
				},
				Exchange: func(e Exchange) {
					told = append(told, fmt.Sprint(e.Purpose, " ", e.Traffic, " ", e.Redirect, " ", e.Method, " ", e.URL, " ", e.Status,
						" attempts ", e.Attempts, " bytes ", e.Sent, "/", e.Received, " waited ", e.Waited, " took ", e.Took, " ", e.Err))
				},
			},
		})
		defer f.Close()
		c := w.client(f, reg, Policy{AllowedHosts: []string{"cdn.example.net"}})
		for _, traffic := range []Traffic{Upload, Control} {
			_, err := do(t, c, newRequest(t, "PUT", reg+"/v2/a?digest=sha256:x&_state=s", strings.NewReader(content)), Registry, traffic)
			if traffic == Upload && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("error %v", err)
			}
			if err != nil {
				told = append(told, "error")
			}
		}
		want := []string{
			"1 PUT https://registry.example.com/v2/a?digest=sha256:x&_state=REDACTED 429 HTTP/1.1 false 0s <nil>",
			"2 PUT https://registry.example.com/v2/a?digest=sha256:x&_state=REDACTED 307 HTTP/1.1 true 0s <nil>",
			"registry upload 0 PUT https://registry.example.com/v2/a?digest=sha256:x&_state=REDACTED 307 attempts 2 bytes 42/0 waited 2s took 2s <nil>",
			"1 PUT https://cdn.example.net/1?sig=REDACTED 200 HTTP/1.1 false 0s unexpected EOF",
			"registry upload 1 PUT https://cdn.example.net/1?sig=REDACTED 200 attempts 1 bytes 21/5 waited 0s took 0s unexpected EOF",
			"error",
			"1 PUT https://registry.example.com/v2/a?digest=sha256:x&_state=REDACTED 307 HTTP/1.1 false 0s <nil>",
			"registry control 0 PUT https://registry.example.com/v2/a?digest=sha256:x&_state=REDACTED 307 attempts 1 bytes 21/0 waited 0s took 0s <nil>",
			"1 PUT https://cdn.example.net/1?sig=REDACTED 200 HTTP/1.1 false 0s <nil>",
			"registry control 1 PUT https://cdn.example.net/1?sig=REDACTED 200 attempts 1 bytes 21/10 waited 0s took 0s <nil>",
		}
		for i := range max(len(want), len(told)) {
			if i >= len(told) || i >= len(want) || told[i] != want[i] {
				t.Errorf("line %d of what was told:\n%s\nwant\n%s", i, strings.Join(told, "\n"), strings.Join(want, "\n"))
				break
			}
		}
		const line = `level=INFO msg="waiting before another attempt" method=PUT url="https://registry.example.com/v2/a?digest=sha256:x&_state=REDACTED" ` +
			"attempt=1 saw=429 retry-after=2 wait=2s\n"
		if log.String() != line {
			t.Errorf("logged %s\nwant %s", log.String(), line)
		}
	})
}
