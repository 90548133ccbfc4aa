package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
)

// proxy is a real proxy for http and, by CONNECT, for https. It takes all hosts to be
// one server.
type proxy struct {
	url *url.URL
	mu  sync.Mutex
	saw []string // authorities it was asked for
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	p := &proxy{}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	p.url = &url.URL{Scheme: "http", Host: listener.Addr().String(), User: url.UserPassword("user", canary)}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(t, c, to)
		}
	}()
	return p
}

func (p *proxy) serve(t *testing.T, c net.Conn, to string) {
	t.Helper()
	defer c.Close()
	in := bufio.NewReader(c)
	req, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	p.mu.Lock()
	p.saw = append(p.saw, req.Host)
	p.mu.Unlock()
	out, err := new(net.Dialer).DialContext(t.Context(), "tcp", to)
	if err != nil {
		return
	}
	defer out.Close()
	if req.Method == http.MethodConnect {
		fmt.Fprint(c, "HTTP/1.1 200 Connection established\r\n\r\n")
	} else {
		req.Header.Set("Connection", "close")
		if req.Write(out) != nil {
			return
		}
	}
	go func() { _, _ = io.Copy(out, in) }()
	_, _ = io.Copy(c, out)
}

// TestProxy has all requests go to a proxy, which looks names up where we cannot see.
func TestProxy(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"http", "https"} {
		for _, row := range []struct {
			name, target string
			refused      bool
		}{
			{"a public name", "cdn.example.org", false},
			{"an address of this machine", "127.0.0.1", true},
			{"a metadata service", "169.254.169.254", true},
			{"a metadata service by name", "metadata.google.internal", true},
			{"a name without a dot", "intranet", true},
		} {
			t.Run(scheme+" to "+row.name, func(t *testing.T) {
				t.Parallel()
				s := serve(t, "", scheme, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/v2/" {
						http.Redirect(w, r, scheme+"://"+row.target+"/blob?sig="+signature, http.StatusFound)
						return
					}
					fmt.Fprint(w, "proxied")
				})
				p := newProxy(t, s.Listener.Addr().String())
				l := &listener{}
				opts := l.options()
				opts.Proxy = func(*url.URL) (*url.URL, error) { return p.url, nil }
				f := New(opts)
				defer f.Close()
				own := scheme + "://registry.corp.internal" // the operator's own name may be anything
				got, err := secretly(t, l, client(t, f, own, Policy{}), "GET", own+"/v2/", nil, Registry, Download)
				if row.refused {
					checkError(t, err, []error{errdefs.ErrPermissionDenied}, []string{keyHosts})
				} else if err != nil || got.text != "proxied" {
					t.Errorf("%q, %v", got.text, err)
				}
				want := 2
				if row.refused {
					want = 1
				}
				p.mu.Lock()
				defer p.mu.Unlock()
				if len(p.saw) != want {
					t.Errorf("the proxy was asked for %q, want %d", p.saw, want)
				}
				for _, r := range s.requests[1:] {
					clean(t, r)
				}
				l.quiet(t)
			})
		}
	}
}

// TestProxyFails has a proxy that cannot be told, or asked.
func TestProxyFails(t *testing.T) {
	t.Parallel()
	l := &listener{}
	opts := l.options()
	opts.Proxy = func(*url.URL) (*url.URL, error) { return nil, errors.New("no proxy http://user:" + canary + "@proxy") }
	f := New(opts)
	_, err := secretly(t, l, client(t, f, reg, Policy{}), "GET", reg+"/v2/", nil, Registry, Control)
	checkError(t, err, []error{errdefs.ErrInvalidArgument}, []string{"the proxy for " + reg + " is not usable"})
	l.quiet(t)
}
