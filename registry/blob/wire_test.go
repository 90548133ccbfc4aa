package blob

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/dhowhq/dhow/internal/testregistry/fault"
	"github.com/dhowhq/dhow/registry/wire"
)

// way is a client of package wire for one kind of requests.
type way struct {
	client  *wire.Client
	purpose wire.Purpose
	traffic wire.Traffic
}

func (w way) Do(req *http.Request) (*http.Response, error) {
	return w.client.Do(req, w.purpose, w.traffic)
}

// wired returns a repository that is asked through package wire.
func (s *host) wired(t *testing.T, name string, opts Options) *Repository {
	t.Helper()
	return s.wiredBy(t, wire.Options{}, name, opts)
}

// wiredBy is wired with options of package wire.
func (s *host) wiredBy(t *testing.T, by wire.Options, name string, opts Options) *Repository {
	t.Helper()
	f := wire.New(by)
	t.Cleanup(f.Close)
	origin, err := wire.OriginOf(s.url)
	if err != nil {
		t.Fatal(err)
	}
	c, err := f.Client(wire.Endpoint{Origin: origin})
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(s.url, name, Clients{
		Control:  way{c, wire.Registry, wire.Control},
		Download: way{c, wire.Registry, wire.Download},
		Upload:   way{c, wire.Location, wire.Upload},
		Session:  way{c, wire.Location, wire.Control},
	}, opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestRetryAfter shows that what a registry wants to be waited for is waited for also
// where content is sent, which package wire cannot send again by itself.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	data, desc := random(80, scripted)
	for method, opts := range map[string]Options{http.MethodPut: {}, http.MethodPatch: {PutUpTo: -1}} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			f := &fake{script: first(reply(method, 1, 429, "Retry-After", "1"), reply(method, 2, 503, "Retry-After", "1"))}
			s := serve(t, f)
			began := time.Now()
			if _, err := s.wired(t, "team/app", opts).Push(t.Context(), desc, opener(data), PushOptions{}); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took < 2*time.Second || took > 4*time.Second {
				t.Errorf("took %s, want the 2 s that were asked for", took)
			}
			want := "POST PUT GET PUT GET PUT"
			if method == http.MethodPatch {
				want = "POST PATCH GET PATCH GET PATCH PUT"
			}
			if asked := brief(s.asked()); asked != want {
				t.Errorf("requests %s, want %s", asked, want)
			}
		})
	}
}

// TestThroughWire streams a blob from one registry to another one while connections to
// both are cut.
func TestThroughWire(t *testing.T) {
	t.Parallel()
	data, desc := random(81, 1<<20)
	src, dst := serve(t, registries["olareg"](t)), serve(t, registries["distribution"](t))
	if _, err := src.repo(t, "team/app", Options{}).Push(t.Context(), desc, opener(data), PushOptions{}); err != nil {
		t.Fatal(err)
	}
	cutSrc := fault.New(src.Config.Handler, fault.Fault{CutAnswer: cutEvery})
	cutDst := fault.New(dst.Config.Handler, fault.Fault{CutContent: cutEvery})
	from := serve(t, cutSrc).wired(t, "team/app", Options{RangesAbove: 200_000, RangeSize: 200_000, Ranges: 2})
	to := serve(t, cutDst).wired(t, "team/copy", Options{})
	out, err := to.Push(t.Context(), desc, func(ctx context.Context, at int64) (io.ReadCloser, error) {
		return from.Open(ctx, desc, at)
	}, PushOptions{})
	if err != nil {
		t.Fatalf("%+v, %v", out, err)
	}
	if got, err := pull(t.Context(), dst.repo(t, "team/copy", Options{}), desc, 0); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes arrived, %v", len(got), err)
	}
	t.Logf("%d cuts while reading, %d while writing", cutSrc.Counts().Faults, cutDst.Counts().Faults)
}

// TestRedirectThroughWire shows that ranges at where a redirect led are allowed as the
// redirect is.
func TestRedirectThroughWire(t *testing.T) {
	t.Parallel()
	data, desc := random(82, scripted)
	store := serveBlob(t, bytes.NewReader(data), desc.Size)
	origin := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, (&url.URL{Scheme: "http", Host: store.url.Host, Path: "/signed"}).String(), http.StatusTemporaryRedirect)
	}))
	r := origin.wired(t, "team/app", Options{RangesAbove: 1000, RangeSize: 20_000, Ranges: 2})
	if got, err := pull(t.Context(), r, desc, 0); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	origin.wantAsked(t, http.MethodGet)
}
