// Package fault stands before a registry and does what bad lines and overloaded
// servers do: it cuts connections, refuses, damages and stalls, and counts the bytes
// that pass. It is made for tests.
package fault

import (
	"io"
	"log" //nolint:depguard // net/http wants one of its loggers
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
)

// Fault is what goes wrong. The zero value is nothing. All but Every is about the
// content of blobs, and Sizes are in bytes of it.
type Fault struct {
	// CutAnswer is the size after which each answer is cut; 0 is never.
	CutAnswer int64
	// CutConnection is the size after which a connection is cut, over all of its
	// answers; 0 is never.
	CutConnection int64
	// CutContent is the size after which a connection is cut that has carried as much
	// to the registry, over all of its requests; 0 is never.
	CutContent int64

	// Every nth request, of whatever kind, is answered with Status and, if it is not
	// empty, RetryAfter; 0 is none.
	Every      int
	Status     int
	RetryAfter string

	// Damage has the first byte of each answer changed.
	Damage bool

	// StallAnswer is the size after which nothing more of an answer comes, until the
	// client gives up; 0 is never. Stalls is how many answers do; 0 is all of them.
	StallAnswer int64
	Stalls      int

	// Of says which blobs Damage and StallAnswer are for; nil is all.
	Of func(digest.Digest) bool
}

// Counts is what has passed.
type Counts struct {
	Requests int
	Answers  map[digest.Digest]int64 // bytes of blobs to the client
	Contents map[digest.Digest]int64 // bytes of blobs from the client, where a request names them; "" else
	Faults   int                     // how often something went wrong
}

// Received returns all bytes of blobs that went to the client.
func (c Counts) Received() int64 { return sum(c.Answers) }

// Sent returns all bytes of blobs that came from the client.
func (c Counts) Sent() int64 { return sum(c.Contents) }

func sum(of map[digest.Digest]int64) (n int64) {
	for _, size := range of {
		n += size
	}
	return n
}

// Proxy is a handler before another one. It is safe for use by several goroutines at
// once.
type Proxy struct {
	next  http.Handler
	fault Fault

	mu       sync.Mutex
	counts   Counts
	stalls   int
	answers  map[string]int64 // bytes of them, by the client's address
	contents map[string]int64 // likewise
}

// New returns a proxy before a handler, such as the one that To returns.
func New(next http.Handler, f Fault) *Proxy {
	return &Proxy{next: next, fault: f, answers: map[string]int64{}, contents: map[string]int64{}, counts: Counts{
		Answers: map[digest.Digest]int64{}, Contents: map[digest.Digest]int64{},
	}}
}

// To returns a handler that hands on to the registry at a host and port, by http. It
// breaks the connection off when that one does.
func To(host string) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: host})
			r.Out.Host = r.In.Host // by which the registry says where an upload goes on
		},
		Transport:    &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:     log.New(io.Discard, "", 0),
	}
}

// Start starts a server for the time of the test, and returns its host and port.
func (p *Proxy) Start(tb testing.TB) (host string) {
	tb.Helper()
	s := httptest.NewUnstartedServer(p)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	tb.Cleanup(func() {
		s.CloseClientConnections() // an answer may be stalled
		s.Close()
	})
	return s.Listener.Addr().String()
}

// Counts returns what has passed since it was called last.
func (p *Proxy) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts
	p.counts = Counts{Answers: map[digest.Digest]int64{}, Contents: map[digest.Digest]int64{}}
	return c
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.refuses() {
		if p.fault.RetryAfter != "" {
			w.Header().Set("Retry-After", p.fault.RetryAfter)
		}
		w.WriteHeader(p.fault.Status)
		return
	}
	path := r.URL.Path
	if !strings.Contains(path, "/blobs/") {
		p.next.ServeHTTP(w, r)
		return
	}
	switch {
	case strings.Contains(path, "/blobs/uploads/"):
		c := &content{ReadCloser: r.Body, proxy: p, client: r.RemoteAddr, length: r.ContentLength, blob: digest.Digest(r.URL.Query().Get("digest"))}
		if r.Body != http.NoBody {
			r.Body = c
		}
		p.next.ServeHTTP(afterCut{w, c}, r)
		if c.cut.Load() {
			panic(http.ErrAbortHandler)
		}
	case r.Method == http.MethodGet:
		a := &answer{ResponseWriter: w, proxy: p, request: r, blob: digest.Digest(path[strings.LastIndexByte(path, '/')+1:])}
		p.next.ServeHTTP(a, r)
		if a.cut {
			panic(http.ErrAbortHandler)
		}
	default:
		p.next.ServeHTTP(w, r)
	}
}

// concerns reports whether the fault is about a blob.
func (f Fault) concerns(d digest.Digest) bool { return f.Of == nil || f.Of(d) }

// refuses counts a request and reports whether it is one to be refused.
func (p *Proxy) refuses() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Requests++
	if p.fault.Every == 0 || p.counts.Requests%p.fault.Every != 0 {
		return false
	}
	p.counts.Faults++
	return true
}

// failed counts a fault.
func (p *Proxy) failed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Faults++
}
