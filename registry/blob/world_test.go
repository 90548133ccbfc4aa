package blob

import (
	"bytes"
	"context"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testregistry"
	"github.com/dhowhq/dhow/internal/testregistry/distribution"
	"github.com/dhowhq/dhow/transport"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // go-containerregistry tells there what does not match
	os.Exit(m.Run())
}

// registries are the real ones, each of which behaves in its own way.
var registries = map[string]func(tb testing.TB) http.Handler{
	"olareg":       testregistry.Olareg,
	"ggcr":         testregistry.GGCR,
	"distribution": distribution.New,
}

// host is a server that writes down what it was asked.
type host struct {
	*httptest.Server
	url         *url.URL
	connections atomic.Int64
	received    atomic.Int64 // bytes of bodies
	sent        atomic.Int64

	mu  sync.Mutex
	log []string // METHOD and the status
}

// serve starts a server for the time of the test.
func serve(tb testing.TB, h http.Handler) *host {
	tb.Helper()
	s := &host{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != http.NoBody {
			r.Body = &countedBody{r.Body, &s.received}
		}
		cw := &countedWriter{ResponseWriter: w, n: &s.sent, status: http.StatusOK}
		s.note(r.Method)
		h.ServeHTTP(cw, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	s.Start()
	tb.Cleanup(s.Close)
	s.url, _ = url.Parse(s.URL)
	return s
}

func (s *host) note(method string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, method)
}

// asked returns the methods of the requests since the last call.
func (s *host) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.log
	s.log = nil
	return out
}

// wantAsked checks which requests were made since the last call.
func (s *host) wantAsked(tb testing.TB, want ...string) {
	tb.Helper()
	if got := s.asked(); !slices.Equal(got, want) {
		tb.Errorf("requests %v, want %v", got, want)
	}
}

type countedBody struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

type countedWriter struct {
	http.ResponseWriter
	n      *atomic.Int64
	status int
}

func (c *countedWriter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n.Add(int64(n))
	return n, err
}

func (c *countedWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// repo returns a repository of the host, over connections of its own. No blob goes with
// the request that begins its upload, and no stream is fast enough to be left alone,
// unless opts say otherwise.
func (s *host) repo(tb testing.TB, name string, opts Options) *Repository {
	tb.Helper()
	if opts.PostUpTo == 0 {
		opts.PostUpTo = -1
	}
	if opts.FastEnough == 0 {
		opts.FastEnough = -1
	}
	pool := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	tb.Cleanup(pool.CloseIdleConnections)
	r, err := New(s.url, name, Clients{Control: &http.Client{Transport: pool}}, opts)
	if err != nil {
		tb.Fatal(err)
	}
	r.wait = time.Millisecond
	return r
}

// random returns bytes that are the same for the same seed, and their descriptor.
func random(seed uint64, size int) ([]byte, ocispec.Descriptor) {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(data)
	return data, describe(data)
}

func describe(data []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(data), Size: int64(len(data))}
}

// opened is a transport.Opener that counts.
type opened struct {
	data  []byte
	opens atomic.Int64
	bytes atomic.Int64
}

func (o *opened) open(_ context.Context, from int64) (io.ReadCloser, error) {
	o.opens.Add(1)
	return &countedBody{io.NopCloser(bytes.NewReader(o.data[from:])), &o.bytes}, nil
}

// opener returns bytes as a source has them.
func opener(data []byte) transport.Opener { return (&opened{data: data}).open }

// pull reads a blob to its end.
func pull(ctx context.Context, r *Repository, desc ocispec.Descriptor, from int64) ([]byte, error) {
	in, err := r.Open(ctx, desc, from)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return io.ReadAll(in)
}

// wantBlob checks that the repository has a blob, by a way that is not what is tested.
func (s *host) wantBlob(tb testing.TB, name string, desc ocispec.Descriptor) {
	tb.Helper()
	resp, err := http.Get(s.URL + "/v2/" + name + "/blobs/" + desc.Digest.String()) //nolint:noctx // a test's
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || desc.Digest.Algorithm().FromBytes(data) != desc.Digest {
		tb.Errorf("the registry answers %d with %d bytes for blob %s, %v", resp.StatusCode, len(data), desc.Digest, err)
	}
}
