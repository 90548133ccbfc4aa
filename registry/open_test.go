package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testregistry/fault"
	"github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/registry/blob"
	"github.com/dhowhq/dhow/registry/hosts"
)

// someBlob is larger than what a connection holds in its buffers, so that one that
// breaks has brought a part of it only.
func someBlob() ([]byte, ocispec.Descriptor) {
	data := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	return data, descriptor("application/octet-stream", data)
}

// gives serves content, by ranges too.
func gives(data []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}
}

// inTurn answers requests one after the other, the last one again and again.
func inTurn(answers ...http.HandlerFunc) http.HandlerFunc {
	turns := make(chan http.HandlerFunc, len(answers))
	for _, a := range answers {
		turns <- a
	}
	return func(w http.ResponseWriter, r *http.Request) {
		a := answers[len(answers)-1]
		select {
		case a = <-turns:
		default:
		}
		a(w, r)
	}
}

// breaksOff serves so many bytes of a body, and ends the connection.
func breaksOff(n int64, next http.HandlerFunc) http.HandlerFunc {
	return fault.New(next, fault.Fault{CutAnswer: n}).ServeHTTP
}

// noted is a handler, and the Range header of each request with its path's end.
type noted struct {
	http.Handler
	ranges chan string
}

func notes(h http.Handler) *noted { return &noted{Handler: h, ranges: make(chan string, 100)} }

func (n *noted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.ranges <- r.Method + " " + r.Header.Get("Range")
	n.Handler.ServeHTTP(w, r)
}

// asked returns what was asked so far.
func (n *noted) asked() []string {
	var all []string
	for len(n.ranges) > 0 {
		all = append(all, <-n.ranges)
	}
	return all
}

// TestBlobsOfMirrors reads a blob from a mirror that does not give all of it out.
func TestBlobsOfMirrors(t *testing.T) {
	t.Parallel()
	data, desc := someBlob()
	const half = 512 << 10
	rest := fmt.Sprintf("GET bytes=%d-%d", half, len(data)-1)
	byRanges := blob.Options{RangesAbove: 1000, RangeSize: 256 << 10, Ranges: 2}
	for _, row := range []struct {
		name   string
		mirror http.HandlerFunc
		home   http.HandlerFunc // that of all bytes if it is nil
		opts   blob.Options
		from   int64
		kept   bool     // the mirror gave the manifest out
		asked  []string // of the mirror; nil is not checked
		home2  []string // of the registry
		kind   error
		says   []string
	}{
		{name: "it has the blob", mirror: gives(data), asked: []string{"GET "}},
		{name: "B37 it does not", mirror: http.NotFound, asked: []string{"GET "}, home2: []string{"GET "}},
		{name: "B37 it does not, and has the manifest", kept: true, mirror: http.NotFound, asked: []string{"GET "}, home2: []string{"GET "}},
		{name: "it fails", mirror: say(500, ""), asked: []string{"GET "}, home2: []string{"GET "}},
		{name: "B82 it is busy", mirror: say(429, "", "Retry-After", "60"), asked: []string{"GET "}, home2: []string{"GET "}},
		{name: "it wants a login", mirror: say(401, "", "WWW-Authenticate", `Basic realm="x"`), home2: []string{"GET "}},
		{name: "B31 it shows a page", mirror: say(200, page, "Content-Type", "text/html"), asked: []string{"GET "}, home2: []string{"GET "}},
		{name: "B83 it redirects to where nobody may go", mirror: say(307, "", "Location", "http://169.254.169.254/"), asked: []string{"GET "}, home2: []string{"GET "}},
		{name: "B77 it has fewer bytes", mirror: gives(data[:half]), asked: []string{"GET "}, home2: []string{"GET "}},
		{name: "from an offset", from: half, mirror: http.NotFound, asked: []string{rest}, home2: []string{rest}},
		{
			name: "B94 it breaks off and is gone", mirror: inTurn(breaksOff(half, gives(data)), http.NotFound),
			asked: []string{"GET ", rest}, home2: []string{rest},
		},
		{
			name: "B94 it breaks off, goes on, and then fails", mirror: inTurn(breaksOff(half, gives(data)), breaksOff(half/2, gives(data)), say(503, "")),
			asked: []string{"GET ", rest, "GET bytes=786432-1048575"}, home2: []string{"GET bytes=786432-1048575"},
		},
		{
			name: "B75 it breaks off, and the registry knows no ranges", mirror: inTurn(breaksOff(half, gives(data)), say(500, "")),
			home:  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) },
			asked: []string{"GET ", rest}, home2: []string{rest},
		},
		{
			name: "it fails after the first of several ranges", opts: byRanges, mirror: inTurn(gives(data), say(500, "")),
			home2: nil,
		},
		{
			name: "neither has it", mirror: http.NotFound, home: http.NotFound, kind: errdefs.ErrNotFound, says: []string{"before that", "/cache/app"},
			asked: []string{"GET "}, home2: []string{"GET "},
		},
		{
			name: "it has not, and the registry fails", mirror: http.NotFound, home: say(500, ""), kind: errdefs.ErrUnavailable, says: []string{"500", "404"},
			asked: []string{"GET "},
		},
		{
			name: "it breaks off, and the registry has not got it", mirror: inTurn(breaksOff(half, gives(data)), say(500, "")), home: http.NotFound,
			kind: errdefs.ErrNotFound, says: []string{"404", "500"}, asked: []string{"GET ", rest}, home2: []string{rest},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if row.home == nil {
				row.home = gives(data)
			}
			one, manifest := emptyIndex("one")
			document := served(one, manifest)
			there := script{"GET blobs/" + desc.Digest.String(): row.mirror}
			if row.kept {
				there["*"] = document
			}
			m, h := notes(rooted("/v2/cache/app/", there)), notes(script{"GET blobs/" + desc.Digest.String(): row.home, "*": document})
			mirror, home := listen(t, m), listen(t, h)
			opts := registry.Options{Hosts: configure(t, mirrored(home, mirror)), Blobs: row.opts}
			opts.Wire.Attempts = 1
			r := repository(t, newClient(t, opts), home.host()+"/app", hosts.Pull)
			if row.kept {
				if _, _, err := r.Get(t.Context(), "v1"); err != nil {
					t.Fatal(err)
				}
				m.asked()
			}
			got, err := readBlob(t.Context(), r, desc, row.from)
			if row.kind != nil {
				wantKind(t, err, row.kind, append(row.says, desc.Digest.String())...)
			} else if err != nil || !bytes.Equal(got, data[row.from:]) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if asked := m.asked(); row.asked != nil && !slices.Equal(asked, row.asked) {
				t.Errorf("asked of the mirror: %q, want %q", asked, row.asked)
			}
			if asked := h.asked(); row.asked != nil && row.kind != errdefs.ErrUnavailable && !slices.Equal(asked, row.home2) { //nolint:errorlint // of the table
				t.Errorf("asked of the registry: %q, want %q", asked, row.home2)
			}
		})
	}
}

func readBlob(ctx context.Context, r *registry.Repository, desc ocispec.Descriptor, from int64) ([]byte, error) {
	in, err := r.OpenBlob(ctx, desc, from)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return io.ReadAll(in)
}

// TestMirrorThatGoesDown has a mirror be gone that was kept: it is tried as often as a
// registry is, for one request.
func TestMirrorThatGoesDown(t *testing.T) {
	t.Parallel()
	data, desc := someBlob()
	one, manifest := emptyIndex("one")
	at := "GET blobs/" + desc.Digest.String()
	m, h := notes(rooted("/v2/cache/app/", script{at: say(503, ""), "*": served(one, manifest)})), notes(script{at: gives(data)})
	mirror, home := listen(t, m), listen(t, h)
	opts := registry.Options{Hosts: configure(t, mirrored(home, mirror))}
	opts.Wire.Attempts = 2
	r := repository(t, newClient(t, opts), home.host()+"/app", hosts.Pull)
	if _, _, err := r.Get(t.Context(), "v1"); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]string{{"GET ", "GET ", "GET "}, nil} {
		got, err := readBlob(t.Context(), r, desc, 0)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if asked := m.asked(); !slices.Equal(asked, want) {
			t.Errorf("asked of the mirror: %q, want %q", asked, want)
		}
	}
}

// TestBlobOfMirrorEnds has the caller want no more, which is no failure of a mirror.
func TestBlobOfMirrorEnds(t *testing.T) {
	t.Parallel()
	data, desc := someBlob()
	waits := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		_, _ = w.Write(data[:1000])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	h := notes(script{"*": gives(data)})
	mirror, home := listen(t, http.HandlerFunc(waits)), listen(t, h)
	c := newClient(t, registry.Options{Hosts: configure(t, mirrored(home, mirror))})
	r := repository(t, c, home.host()+"/app", hosts.Pull)
	ctx, cancel := context.WithCancel(t.Context())
	in, err := r.OpenBlob(ctx, desc, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	cancel()
	if _, err := io.ReadAll(in); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context ended: %v", err)
	}
	if in, err = r.OpenBlob(t.Context(), desc, 0); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if _, err := in.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("after Close: %v", err)
	}
	for _, bad := range []ocispec.Descriptor{{Digest: "sha256:../x", Size: 1}, {Digest: desc.Digest, Size: 1}} {
		if _, err := r.OpenBlob(t.Context(), bad, 2); !errdefs.IsInvalidArgument(err) || strings.Contains(err.Error(), "before that") {
			t.Errorf("%s of %d bytes, from byte 2: %v", bad.Digest, bad.Size, err)
		}
	}
	if asked := h.asked(); len(asked) > 0 {
		t.Errorf("the registry was asked %q", asked)
	}
}

// TestBlobsOfMirrorsWithoutTheRegistrysCredential has a mirror and the registry, which
// both want a login, and a credential for each.
func TestBlobsOfMirrorsWithoutTheRegistrysCredential(t *testing.T) {
	t.Parallel()
	data, desc := someBlob()
	login := func(seen *[]string, h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if name, pass, ok := r.BasicAuth(); ok {
				*seen = append(*seen, name+":"+pass)
				h(w, r)
				return
			}
			say(401, "", "WWW-Authenticate", `Basic realm="x"`)(w, r)
		}
	}
	var atMirror, atHome []string
	mirror := listen(t, login(&atMirror, inTurn(breaksOff(1000, gives(data)), http.NotFound)))
	home := listen(t, login(&atHome, gives(data)))
	c := newClient(t, registry.Options{Hosts: configure(t, mirrored(home, mirror)), Credentials: static(t, home.host(), password())})
	got, err := readBlob(t.Context(), repository(t, c, home.host()+"/app", hosts.Pull), desc, 0)
	if err != nil || !bytes.Equal(got, data) || len(atMirror) > 0 || !slices.Equal(atHome, []string{"user:" + canary}) {
		t.Errorf("%d bytes, %v; the mirror saw %q, the registry %q", len(got), err, atMirror, atHome)
	}
}

// TestDistrust has a mirror give other bytes: the registry's are those that are read
// when that was said.
func TestDistrust(t *testing.T) {
	t.Parallel()
	data, desc := someBlob()
	other := bytes.Clone(data)
	other[0]++
	mirror, home := listen(t, rooted("/v2/cache/app/", script{"*": gives(other)})), listen(t, script{"*": gives(data)})
	var log logged
	r := repository(t, newClient(t, registry.Options{Hosts: configure(t, mirrored(home, mirror)), Logger: log.logger()}), home.host()+"/app", hosts.Pull)
	if r.Distrust(desc.Digest) {
		t.Error("what nobody has read is read elsewhere")
	}
	for _, want := range [][]byte{other, data, data} {
		got, err := readBlob(t.Context(), r, desc, 0)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v; or they are not those of the right one", len(got), err)
		}
		if first := bytes.Equal(want, other); r.Distrust(desc.Digest) != first {
			t.Errorf("it can be read elsewhere, or not: %t", !first)
		}
	}
	if a, b := len(mirror.asked()), len(home.asked()); a != 1 || b != 2 {
		t.Errorf("the mirror was asked %d times, the registry %d times", a, b)
	}
	if !strings.Contains(log.String(), "digest="+desc.Digest.String()) {
		t.Errorf("logged %s", log.String())
	}
}
