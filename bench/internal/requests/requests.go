// Package requests counts the HTTP requests that a registry is sent, by a reverse proxy
// before it. It reads and writes every request anew, which costs time: runs that are timed
// do without it.
package requests

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log" //nolint:depguard // net/http wants one of its loggers
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
)

// Count is what one server was asked.
type Count struct {
	Total    int            `json:"total"`
	ByMethod map[string]int `json:"byMethod"`
	// Ranged is how many of them asked for a part of a blob.
	Ranged int `json:"ranged"`
}

// String is the total and the methods, as "34 (GET 34)".
func (c Count) String() string {
	methods := make([]string, 0, len(c.ByMethod))
	for _, method := range slices.Sorted(maps.Keys(c.ByMethod)) {
		methods = append(methods, fmt.Sprintf("%s %d", method, c.ByMethod[method]))
	}
	return fmt.Sprintf("%d (%s)", c.Total, strings.Join(methods, ", "))
}

// Counter is a proxy that counts. Its methods are safe for concurrent use.
type Counter struct {
	listener  net.Listener
	server    *http.Server
	transport *http.Transport
	done      chan error

	mu    sync.Mutex
	count Count
	err   error // the first fault of the counter's own
}

// Start listens on a free port of the loopback interface and passes what comes on to
// target, a host and port, until Close is called.
func Start(ctx context.Context, target string) (*Counter, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the counter before %s: %w", target, err)
	}
	c := &Counter{
		listener:  listener,
		transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256},
		done:      make(chan error, 1),
		count:     Count{ByMethod: map[string]int{}},
	}
	quiet := log.New(io.Discard, "", 0)
	proxy := &httputil.ReverseProxy{
		Transport:  c.transport,
		ErrorLog:   quiet,
		BufferPool: &buffers{},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil { // else the tool has hung up
				c.fail(fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, err))
			}
			w.WriteHeader(http.StatusBadGateway)
		},
		// The host stays that of the counter, and with it the URLs in the registry's answers.
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", target
		},
	}
	c.server = &http.Server{ //nolint:gosec // no time is too long here: it serves the tools that are measured
		ErrorLog: quiet,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c.add(r)
			proxy.ServeHTTP(w, r)
		}),
	}
	go func() { c.done <- c.server.Serve(listener) }()
	return c, nil
}

// Addr returns the host and port where the counter listens.
func (c *Counter) Addr() string { return c.listener.Addr().String() }

// Count returns what came so far, and why the counter could not pass on one of them.
func (c *Counter) Count() (Count, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	count := c.count
	count.ByMethod = maps.Clone(count.ByMethod)
	return count, c.err
}

// Close ends all connections.
func (c *Counter) Close() error {
	err := c.server.Close()
	c.transport.CloseIdleConnections()
	if serveErr := <-c.done; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	if err != nil {
		return fmt.Errorf("closing the counter: %w", err)
	}
	return nil
}

func (c *Counter) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
}

func (c *Counter) add(r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count.Total++
	c.count.ByMethod[r.Method]++
	if r.Method == http.MethodGet && r.Header.Get("Range") != "" {
		c.count.Ranged++
	}
}

// buffers keeps those that bodies are copied with.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if buf, ok := b.pool.Get().(*[]byte); ok {
		return *buf
	}
	return make([]byte, 64<<10)
}

func (b *buffers) Put(buf []byte) { b.pool.Put(&buf) }
