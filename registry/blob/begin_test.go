package blob

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/transport"
)

// TestPost sends small blobs with the request that begins their upload, to the
// registries that take it so; the others get one in vain.
func TestPost(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, name string, s *host) {
		t.Helper()
		r := s.repo(t, "team/app", Options{PostUpTo: 1000})
		want := [][]string{{"POST"}, {"POST"}, {"POST", "PUT"}}
		if name == "distribution" {
			want = [][]string{{"POST", "PUT"}, {"POST", "PUT"}, {"POST", "PUT"}}
		}
		for i, size := range []int{1000, 10, 1001} {
			data, desc := random(uint64(40+i), size)
			out, err := r.Push(t.Context(), desc, opener(data), PushOptions{})
			if err != nil || out.Action != transport.Copied {
				t.Fatalf("%d bytes: %+v, %v", size, out, err)
			}
			s.wantAsked(t, want[i]...)
			s.wantBlob(t, "team/app", desc)
			s.asked()
		}
	})
}

// TestPushAgain pushes what the repository has: where that is said, it does not move.
func TestPushAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, name string, s *host) {
		t.Helper()
		r := s.repo(t, "team/app", Options{})
		data, desc := random(50, 10_000)
		src := &opened{data: data}
		for range 2 {
			if _, err := r.Push(t.Context(), desc, src.open, PushOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if want := int64(1); name != "ggcr" && src.opens.Load() != want { // which does not mount
			t.Errorf("opened %d times, want %d", src.opens.Load(), want)
		}
	})
}

// TestPostAnswered sends one small blob to registries that answer that as they like.
func TestPostAnswered(t *testing.T) {
	t.Parallel()
	data, desc := random(51, 500)
	_, other := random(52, 500)
	for name, tt := range map[string]struct {
		script func(*fake, http.ResponseWriter, *http.Request) bool
		asked  []string
		want   error
	}{
		"begins an upload":     {asked: []string{"POST", "PUT"}},
		"takes it":             {script: reply("POST", 1, 201), asked: []string{"POST"}},
		"takes something else": {script: reply("POST", 1, 201, "Docker-Content-Digest", string(other.Digest)), asked: []string{"POST", "POST", "PUT"}},
		"does not like it":     {script: reply("POST", 1, 400), asked: []string{"POST", "POST", "PUT"}},
		"fails":                {script: reply("POST", 1, 500), asked: []string{"POST", "POST", "PUT"}},
		"likes nothing":        {script: always("POST", 403), asked: []string{"POST", "POST", "POST"}, want: errdefs.ErrPermissionDenied},
		"no Location":          {script: reply("POST", 1, 202), asked: []string{"POST"}, want: errdefs.ErrUnavailable},
		"hangs up": {script: func(f *fake, _ http.ResponseWriter, r *http.Request) bool {
			if f.nth(r, http.MethodPost, 1) {
				panic(http.ErrAbortHandler)
			}
			return false
		}, asked: []string{"POST", "POST", "PUT"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, &fake{script: tt.script})
			_, err := s.repo(t, "team/app", Options{PostUpTo: 1000}).Push(t.Context(), desc, opener(data), PushOptions{})
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			s.wantAsked(t, tt.asked...)
		})
	}
}

// TestPostOfDamaged does not give the registry all of what is not the blob.
func TestPostOfDamaged(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, _ string, s *host) {
		t.Helper()
		data, desc := random(53, 500)
		damaged := bytes.Clone(data)
		damaged[499] ^= 1
		open := func(context.Context, int64) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(damaged)), nil
		}
		r := s.repo(t, "team/app", Options{PostUpTo: 1000})
		if _, err := r.Push(t.Context(), desc, open, PushOptions{}); !errdefs.IsDataLoss(err) {
			t.Errorf("%v", err)
		}
		if _, err := r.Open(t.Context(), desc, 0); !errdefs.IsNotFound(err) {
			t.Errorf("afterwards: %v", err)
		}
	})
}
