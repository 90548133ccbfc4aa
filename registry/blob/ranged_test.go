package blob

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/verify"
)

// pattern is a blob of any size that takes no memory.
type pattern struct{ size int64 }

func (p pattern) ReadAt(b []byte, at int64) (int, error) {
	for i := range b {
		if at+int64(i) >= p.size {
			return i, io.EOF
		}
		n := at + int64(i)
		b[i] = byte(n ^ n>>8 ^ n>>16)
	}
	return len(b), nil
}

// describe returns the descriptor of the blob.
func (p pattern) describe(tb testing.TB) ocispec.Descriptor {
	tb.Helper()
	d, err := digest.FromReader(io.NewSectionReader(p, 0, p.size))
	if err != nil {
		tb.Fatal(err)
	}
	return ocispec.Descriptor{Digest: d, Size: p.size}
}

// serveBlob answers with one blob, by ranges if asked.
func serveBlob(tb testing.TB, content io.ReaderAt, size int64) *host {
	tb.Helper()
	return serve(tb, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(content, 0, size))
	}))
}

func TestRangesKeepConnections(t *testing.T) {
	t.Parallel()
	p := pattern{16 << 20}
	desc := p.describe(t)
	for name, get := range map[string]func(*Repository) error{
		"read in order": func(r *Repository) error {
			in, err := r.Open(t.Context(), desc, 0)
			if err != nil {
				return err
			}
			defer in.Close()
			return verify.Stream(t.Context(), in, desc.Digest, desc.Size)
		},
		"into a file": func(r *Repository) error { return r.FetchTo(t.Context(), desc, &memory{}, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveBlob(t, p, p.size)
			r := s.repo(t, "team/app", Options{Ranges: 4, RangeSize: 512 << 10, RangesAbove: 1 << 20})
			if err := get(r); err != nil {
				t.Fatal(err)
			}
			// 256 KiB to see how fast it is, 128, 256, 384 and 512 KiB, then 512 KiB each.
			want := 5 + (16<<20-1536<<10+512<<10-1)/(512<<10)
			if asked := s.asked(); len(asked) != want {
				t.Errorf("%d requests, want %d", len(asked), want)
			}
			// net/http may dial once more for each while another one becomes free.
			if n := s.connections.Load(); n > 8 {
				t.Errorf("%d connections for %d ranges, want at most 8", n, want)
			}
			if n := s.sent.Load(); n > p.size { // less if the server has not counted yet
				t.Errorf("%d bytes sent, want %d", n, p.size)
			}
		})
	}
}

// TestWindowIsShared has several readers want more than there is, one of which is not
// read at all, over a client that answers to few of them at a time. None may wait for
// another one for ever.
func TestWindowIsShared(t *testing.T) {
	t.Parallel()
	p := pattern{6 << 20}
	desc := p.describe(t)
	s := serveBlob(t, p, p.size)
	opts := Options{Ranges: 4, RangeSize: 1 << 20, RangesAbove: 1 << 20, Window: NewWindow(1 << 20)}
	r := s.repo(t, "team/app", opts)
	r.clients.Download = newLane(r.clients.Download, 5)
	idle, err := r.Open(t.Context(), desc, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	results := make(chan error)
	const readers = 4
	for range readers {
		go func() {
			in, err := r.Open(t.Context(), desc, 0)
			if err == nil {
				defer in.Close()
				err = verify.Stream(t.Context(), in, desc.Digest, desc.Size)
			}
			results <- err
		}()
	}
	for range readers {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if err := verify.Stream(t.Context(), idle, desc.Digest, desc.Size); err != nil {
		t.Errorf("the one that waited: %v", err)
	}
	if err := idle.Close(); err != nil {
		t.Error(err)
	}
	if free := len(opts.Window.slabs); free != cap(opts.Window.slabs) {
		t.Errorf("%d of %d slabs came back", free, cap(opts.Window.slabs))
	}
}

// lane lets few exchanges go on at a time; one ends with its answer's body.
type lane struct {
	next   Doer
	places chan struct{}
}

func newLane(next Doer, places int) *lane { return &lane{next, make(chan struct{}, places)} }

func (l *lane) Do(req *http.Request) (*http.Response, error) {
	select {
	case l.places <- struct{}{}:
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	resp, err := l.next.Do(req)
	if err != nil {
		<-l.places
		return nil, err
	}
	resp.Body = &placed{ReadCloser: resp.Body, lane: l}
	return resp, nil
}

type placed struct {
	io.ReadCloser
	lane *lane
	over atomic.Bool
}

func (p *placed) Read(b []byte) (int, error) {
	n, err := p.ReadCloser.Read(b)
	if err != nil {
		p.leave()
	}
	return n, err
}

func (p *placed) Close() error {
	p.leave()
	return p.ReadCloser.Close()
}

func (p *placed) leave() {
	if !p.over.Swap(true) {
		<-p.lane.places
	}
}

// TestRangesMemory reads a large blob slowly enough for the window to fill.
func TestRangesMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 128 MiB")
	}
	p := pattern{128 << 20}
	s := serveBlob(t, p, p.size)
	window := NewWindow(24 << 20)
	r := s.repo(t, "team/app", Options{Window: window})
	_, desc := random(40, 1)
	desc.Size = p.size
	in, err := r.Open(t.Context(), desc, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var most uint64
	buf := make([]byte, 256<<10)
	for sum := int64(0); sum < p.size; {
		n, err := in.Read(buf)
		sum += int64(n)
		if err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if sum%(32<<20) < int64(n) {
			time.Sleep(20 * time.Millisecond) // so that the ranges get ahead
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
	}
	t.Logf("at most %d MiB in use", most>>20)
	if most > 32<<20 {
		t.Errorf("%d MiB in use, want at most 32", most>>20)
	}
}

// promptly is within how long a call has to return when its context has ended: 100 ms, and
// what a loaded machine adds. What is waited for does not end by itself.
const promptly = 100*time.Millisecond + 2*time.Second

// TestCancel ends calls that wait for a server which says nothing.
func TestCancel(t *testing.T) {
	t.Parallel()
	data, desc := random(41, 1<<20)
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		call    func(context.Context, *Repository) error
	}{
		"open": {stall(0, data), func(ctx context.Context, r *Repository) error {
			_, err := r.Open(ctx, desc, 0)
			return err
		}},
		"read": {stall(1000, data), func(ctx context.Context, r *Repository) error {
			_, err := pull(ctx, r, desc, 0)
			return err
		}},
		"read by ranges": {stall(1000, data), func(ctx context.Context, r *Repository) error {
			r.opts.RangesAbove, r.opts.RangeSize = 1000, 100_000
			_, err := pull(ctx, r, desc, 0)
			return err
		}},
		"into a file": {stall(1000, data), func(ctx context.Context, r *Repository) error {
			r.opts.RangesAbove, r.opts.RangeSize = 1000, 100_000
			return r.FetchTo(ctx, desc, &memory{}, 0)
		}},
		"push": {stallUpload, func(ctx context.Context, r *Repository) error {
			_, err := r.Push(ctx, desc, opener(data), PushOptions{})
			return err
		}},
		"push of what does not come": {(&fake{}).ServeHTTP, func(ctx context.Context, r *Repository) error {
			_, err := r.Push(ctx, desc, func(context.Context, int64) (io.ReadCloser, error) {
				return io.NopCloser(waiting{ctx}), nil
			}, PushOptions{})
			return err
		}},
		"between tries": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, func(ctx context.Context, r *Repository) error {
			r.wait = time.Hour
			s := &stream{ctx: ctx, src: &source{repo: r, desc: desc}, end: desc.Size, tries: 3}
			_, err := s.Read(make([]byte, 1))
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			var ended time.Time
			time.AfterFunc(50*time.Millisecond, func() { ended = time.Now(); cancel() })
			err := tc.call(ctx, serve(t, tc.handler).repo(t, "team/app", Options{}))
			if took := time.Since(ended); !errors.Is(err, context.Canceled) || took > promptly {
				t.Errorf("%v, %s after the context ended", err, took)
			}
		})
	}
}

// stall sends the beginning of an answer and then nothing until the client has gone.
func stall(n int, data []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if start, end := asked(r, data); n > 0 {
			if r.Header.Get("Range") != "" {
				w.Header().Set("Content-Range", "bytes "+strconv.Itoa(start)+"-"+strconv.Itoa(end-1)+"/"+strconv.Itoa(len(data)))
				w.WriteHeader(http.StatusPartialContent)
			}
			_, _ = w.Write(data[start : start+n])
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	}
}

// stallUpload begins a session and never answers what is sent in it.
func stallUpload(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		w.Header().Set("Location", "/session")
		w.WriteHeader(http.StatusAccepted)
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// waiting is content that does not come.
type waiting struct{ ctx context.Context }

func (w waiting) Read([]byte) (int, error) {
	<-w.ctx.Done()
	return 0, w.ctx.Err()
}

func TestCloseEndsRead(t *testing.T) {
	t.Parallel()
	data, desc := random(42, 1<<20)
	for _, opts := range []Options{{}, {RangesAbove: 1000, RangeSize: 100_000}} {
		in, err := serve(t, stall(1000, data)).repo(t, "team/app", opts).Open(t.Context(), desc, 0)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() {
			_, err := io.Copy(io.Discard, in)
			done <- err
		}()
		time.Sleep(20 * time.Millisecond)
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err == nil {
			t.Error("reading ended well")
		}
		if _, err := in.Read(make([]byte, 1)); !errors.Is(err, errClosed) {
			t.Errorf("a Read after Close: %v", err)
		}
	}
}

func TestOpenFromOffset(t *testing.T) {
	t.Parallel()
	data, desc := random(43, 1<<20)
	s := serveBlob(t, bytes.NewReader(data), desc.Size)
	r := s.repo(t, "team/app", Options{RangesAbove: 1000, RangeSize: 100_000})
	for _, from := range []int64{0, 1, 99_999, 500_000, desc.Size - 1, desc.Size} {
		got, err := pull(t.Context(), r, desc, from)
		if err != nil || !bytes.Equal(got, data[from:]) {
			t.Errorf("from %d: %d bytes, %v", from, len(got), err)
		}
	}
}
