package blob

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/containerd/errdefs"
)

// inTurn gives the answers one after the other, the last one again and again.
func inTurn(data []byte, script []answer) http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		script[min(int(n.Add(1)), len(script))-1](w, r, data)
	}
}

// TestOpenForeign reads blobs from the URLs of descriptors.
func TestOpenForeign(t *testing.T) {
	t.Parallel()
	data, desc := random(90, scripted)
	for name, tc := range map[string]struct {
		urls     []string // paths are at the server
		script   []answer
		from     int64
		want     error
		requests int
		says     string
	}{
		"the first has it":      {urls: []string{"/a", "/b"}, script: []answer{right}, requests: 1},
		"from the middle":       {urls: []string{"/a"}, script: []answer{right}, from: 1000, requests: 1},
		"the second has it":     {urls: []string{"/a", "/b"}, script: []answer{answers(404, ""), right}, requests: 2},
		"the first is none":     {urls: []string{"http://h\n", "/b"}, script: []answer{right}, requests: 1},
		"it breaks off":         {urls: []string{"/a"}, script: []answer{breaks(10), right}, requests: 2},
		"nobody has it":         {urls: []string{"/a", "/b"}, script: []answer{answers(404, "")}, want: errdefs.ErrUnavailable, requests: 2, says: "/a"},
		"another size":          {urls: []string{"/a"}, script: []answer{answers(200, "short")}, want: errdefs.ErrDataLoss, requests: 1},
		"not allowed":           {urls: []string{"/a"}, script: []answer{answers(403, "")}, want: errdefs.ErrPermissionDenied, requests: 1},
		"no URLs":               {want: errdefs.ErrInvalidArgument},
		"a byte beyond its end": {urls: []string{"/a"}, from: scripted + 1, want: errdefs.ErrInvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			registry, other := serve(t, http.NotFoundHandler()), serve(t, inTurn(data, tc.script))
			r := registry.repo(t, "team/app", Options{})
			r.clients.Foreign = r.clients.Control
			there := desc
			for _, u := range tc.urls {
				if strings.HasPrefix(u, "/") {
					u = other.URL + u
				}
				there.URLs = append(there.URLs, u)
			}
			in, err := r.OpenForeign(t.Context(), there, tc.from)
			var got []byte
			if err == nil {
				defer in.Close()
				got, err = io.ReadAll(in)
			}
			if tc.want == nil && (err != nil || !bytes.Equal(got, data[tc.from:])) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if tc.want != nil && (!errors.Is(err, tc.want) || errdefs.IsNotFound(err) || !strings.Contains(err.Error(), tc.says)) {
				t.Errorf("%v, want %v", err, tc.want)
			}
			if asked := other.asked(); len(asked) != tc.requests {
				t.Errorf("%d requests to the URLs, want %d", len(asked), tc.requests)
			}
			registry.wantAsked(t)
		})
	}
	if _, err := serve(t, http.NotFoundHandler()).repo(t, "team/app", Options{}).OpenForeign(t.Context(), desc, 0); !errdefs.IsInvalidArgument(err) {
		t.Errorf("without a way to ask: %v", err)
	}
}
