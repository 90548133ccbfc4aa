package blob

import (
	"errors"
	"net/http"
	"testing"

	"github.com/containerd/errdefs"
)

// TestRetries bounds how often in a row a transfer goes on. What the registry wants to
// have done in another way is done whatever the bound.
func TestRetries(t *testing.T) {
	t.Parallel()
	data, desc := random(80, scripted)
	for name, tc := range map[string]struct {
		script func(*fake, http.ResponseWriter, *http.Request) bool
		opts   Options
		push   PushOptions
		bytes  []byte // if not those
		want   error
		asked  string
	}{
		"none, and none is needed": {opts: Options{Retries: -1}, asked: "POST PUT"},
		"none":                     {script: reply("PUT", 1, 503), opts: Options{Retries: -1}, want: errdefs.ErrUnavailable, asked: "POST PUT"},
		"two":                      {script: first(always("PUT", 503), always("GET", 503)), opts: Options{Retries: 2}, want: errdefs.ErrUnavailable, asked: "POST PUT GET*2"},
		"eight":                    {script: always("PATCH", 404), opts: Options{Retries: 8, PutUpTo: -1}, want: errdefs.ErrUnavailable, asked: "POST PATCH POST PATCH POST PATCH POST PATCH POST PATCH POST PATCH POST PATCH POST PATCH POST PATCH"},
		"none, redirected":         {script: reply("PUT", 1, 307, "Location", "/session/1?moved"), opts: Options{Retries: -1}, asked: "POST PUT*2"},
		"none, no pieces":          {script: always("PATCH", 405), opts: Options{Retries: -1, PutUpTo: -1}, asked: "POST PATCH POST PUT"},
		"none, other bytes after several requests": {
			opts: Options{Retries: -1, PutUpTo: -1, PieceSize: scripted / 2}, push: PushOptions{Verify: VerifyAtDestination},
			bytes: append(data[:scripted-1:scripted-1], data[scripted-1]+1), want: errdefs.ErrDataLoss,
			asked: "POST PATCH*2 PUT POST PATCH*2 PUT DELETE",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, content := serve(t, &fake{script: tc.script}), data
			if tc.bytes != nil {
				content = tc.bytes
			}
			_, err := s.repo(t, "team/app", tc.opts).Push(t.Context(), desc, opener(content), tc.push)
			if !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
			if asked := brief(s.asked()); asked != tc.asked {
				t.Errorf("requests %s\nwant     %s", asked, tc.asked)
			}
		})
	}
}

// TestRetriesOfDownloads is the same for reading.
func TestRetriesOfDownloads(t *testing.T) {
	t.Parallel()
	data, desc := random(81, scripted)
	for name, tc := range map[string]struct {
		retries  int
		script   []answer
		want     error
		requests int
	}{
		"none":              {retries: -1, script: []answer{breaks(10)}, want: errdefs.ErrUnavailable, requests: 1},
		"two":               {retries: 2, script: []answer{breaks(0)}, want: errdefs.ErrUnavailable, requests: 3},
		"two with progress": {retries: 2, script: []answer{breaks(10), breaks(10), breaks(10), breaks(10), right}, requests: 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, inTurn(data, tc.script))
			_, err := pull(t.Context(), s.repo(t, "team/app", Options{Retries: tc.retries}), desc, 0)
			if !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
			if asked := s.asked(); len(asked) != tc.requests {
				t.Errorf("%d requests, want %d", len(asked), tc.requests)
			}
		})
	}
}
