package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/containerd/errdefs"
)

// The canary is in every secret of these tests, and the signature in the query of
// redirects. They must be in nothing that is said.
const (
	canary    = "canary-7c1f"
	signature = "signature-51ee"
)

// trap is a real server that keeps what it is asked, and who connects.
type trap struct {
	*httptest.Server
	mu          sync.Mutex
	connections int
	requests    []*http.Request
	bodies      []string
}

// serve starts a server on an address of this machine, 127.0.0.1 if host is empty.
func serve(t *testing.T, host, scheme string, h http.HandlerFunc) *trap {
	t.Helper()
	if host == "" {
		host = "127.0.0.1"
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", host+":0")
	if err != nil {
		t.Skipf("no address %s here: %v", host, err)
	}
	tr := &trap{}
	tr.Server = &httptest.Server{Listener: listener, Config: &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			tr.mu.Lock()
			tr.requests = append(tr.requests, r)
			tr.bodies = append(tr.bodies, string(body))
			tr.mu.Unlock()
			h(w, r)
		}),
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				tr.mu.Lock()
				tr.connections++
				tr.mu.Unlock()
			}
		},
	}}
	if scheme == "https" {
		tr.EnableHTTP2 = true
		tr.StartTLS()
	} else {
		tr.Start()
	}
	t.Cleanup(tr.Close)
	return tr
}

// silent checks that nobody connected.
func (tr *trap) silent(t *testing.T) {
	t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.connections != 0 {
		t.Errorf("%s had %d connections, want none", tr.URL, tr.connections)
	}
}

// innocent checks that it was asked so often, and never with a secret.
func (tr *trap) innocent(t *testing.T, requests int) {
	t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if len(tr.requests) != requests {
		t.Errorf("%s had %d requests, want %d", tr.URL, len(tr.requests), requests)
	}
	for i, r := range tr.requests {
		if seen := fmt.Sprint(r.Method, r.URL, r.Header, tr.bodies[i]); strings.Contains(seen, canary) {
			t.Errorf("%s was sent a secret: %s", tr.URL, seen)
		}
	}
}

// listener hears all that is said at the level of debugging.
type listener struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *listener) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// options returns options that have everything said to l.
func (l *listener) options() Options {
	return Options{
		UserAgent: "dhow-test",
		Log:       slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Hooks: Hooks{
			Attempt:  func(a Attempt) { fmt.Fprintf(l, "%+v %v\n", a, a.Err) },
			Exchange: func(e Exchange) { fmt.Fprintf(l, "%+v %v\n", e, e.Err) },
		},
		TLS: func(Origin) (*tls.Config, error) {
			return &tls.Config{InsecureSkipVerify: true}, nil
		},
	}
}

// quiet checks that no secret was said.
func (l *listener) quiet(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buf.Len() == 0 {
		t.Error("nothing was said at all")
	}
	text := l.buf.String()
	for _, secret := range []string{canary, signature, base64.StdEncoding.EncodeToString([]byte("user:" + canary))} {
		if at := strings.Index(text, secret); at >= 0 {
			t.Errorf("a secret was said: …%s…", text[max(0, at-200):min(len(text), at+100)])
		}
	}
}

// secretly sends a request that has a credential in all places where one can be.
func secretly(t *testing.T, l *listener, c *Client, method, target string, body io.Reader, p Purpose, traffic Traffic) (answer, error) {
	t.Helper()
	req := newRequest(t, method, target, body)
	req.Header.Set("Authorization", "Bearer "+canary)
	req.Header.Set("Cookie", "session="+canary)
	got, err := do(t, c, req, p, traffic)
	fmt.Fprintln(l, err)
	return got, err
}

// TestElsewhere has a registry send us to another host, port and scheme, in each way
// that there is. The other side's own log shows what came.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	fine := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }
	for _, place := range []struct{ name, host, scheme string }{
		{"another host", "127.0.0.2", "https"}, {"another port", "", "https"}, {"another scheme", "", "http"},
	} {
		scene := func(t *testing.T, p Policy, h func(to string) http.HandlerFunc) (*listener, *Client, *trap, *trap) {
			t.Helper()
			other := serve(t, place.host, place.scheme, fine)
			own := serve(t, "", "https", h(other.URL))
			l := &listener{}
			f := New(l.options())
			t.Cleanup(f.Close)
			return l, client(t, f, own.URL, p), own, other
		}
		redirect := func(code int) func(string) http.HandlerFunc {
			return func(to string) http.HandlerFunc {
				return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to+"/x?sig="+signature, code) }
			}
		}
		t.Run("redirect to "+place.name, func(t *testing.T) {
			t.Parallel()
			l, c, own, other := scene(t, Policy{}, redirect(http.StatusFound))
			_, err := secretly(t, l, c, "GET", own.URL+"/v2/", nil, Registry, Download)
			if place.scheme == "http" {
				checkError(t, err, []error{errdefs.ErrPermissionDenied}, []string{"https to http"})
				other.silent(t)
			} else {
				checkError(t, err, nil, nil)
				other.innocent(t, 1)
			}
			l.quiet(t)
		})
		t.Run("redirect of a body to "+place.name, func(t *testing.T) {
			t.Parallel()
			l, c, own, other := scene(t, Policy{}, redirect(http.StatusTemporaryRedirect))
			_, err := secretly(t, l, c, "PUT", own.URL+"/v2/", strings.NewReader(content), Location, Upload)
			checkError(t, err, []error{errdefs.ErrPermissionDenied}, nil)
			other.silent(t)
			l.quiet(t)
		})
		t.Run("Location on "+place.name, func(t *testing.T) {
			t.Parallel()
			l, c, _, other := scene(t, Policy{}, func(string) http.HandlerFunc { return fine })
			_, err := secretly(t, l, c, "PUT", other.URL+"/upload?_state="+canary, strings.NewReader(content), Location, Upload)
			checkError(t, err, []error{errdefs.ErrPermissionDenied}, nil)
			other.silent(t)
			l.quiet(t)
		})
		t.Run("Link to "+place.name, func(t *testing.T) {
			t.Parallel()
			l, c, _, other := scene(t, Policy{}, func(string) http.HandlerFunc { return fine })
			_, err := secretly(t, l, c, "GET", other.URL+"/v2/_catalog", nil, Link, Control)
			checkError(t, err, []error{errdefs.ErrPermissionDenied}, nil)
			other.silent(t)
			l.quiet(t)
		})
		t.Run("foreign layer on "+place.name, func(t *testing.T) {
			t.Parallel()
			l, c, _, other := scene(t, Policy{ForeignLayers: true}, func(string) http.HandlerFunc { return fine })
			_, err := secretly(t, l, c, "GET", other.URL+"/layer", nil, Foreign, Download)
			checkError(t, err, []error{errdefs.ErrPermissionDenied}, nil) // an image chose loopback
			other.silent(t)
			l.quiet(t)
		})
		t.Run("token server on "+place.name, func(t *testing.T) {
			t.Parallel()
			l, c, own, other := scene(t, Policy{}, func(to string) http.HandlerFunc {
				return func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("WWW-Authenticate", `Bearer realm="`+to+`/token",service="x"`)
					w.WriteHeader(http.StatusUnauthorized)
				}
			})
			req := newRequest(t, "GET", own.URL+"/v2/", nil)
			_, err := do(t, c, req, Registry, Control)
			if place.scheme == "http" {
				checkError(t, err, []error{errdefs.ErrPermissionDenied}, []string{"https to http"})
			} else {
				checkError(t, err, nil, nil)
			}
			_, err = secretly(t, l, c, "GET", other.URL+"/token?service=x", nil, Registry, Control)
			switch place.name {
			case "another host":
				checkError(t, err, nil, nil)
				other.innocent(t, 1)
			case "another port":
				// The same machine's token server is trusted, and is given the credential.
				checkError(t, err, nil, nil)
				if got := other.requests[0].Header.Get("Authorization"); got != "Bearer "+canary {
					t.Errorf("the token server got %q", got)
				}
			default:
				other.silent(t)
			}
			l.quiet(t)
		})
		t.Run("mirror on "+place.name, func(t *testing.T) {
			t.Parallel()
			l, c, _, other := scene(t, Policy{}, func(string) http.HandlerFunc { return fine })
			mirror, err := c.factory.Client(Endpoint{Origin: origin0(t, other.URL)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := do(t, mirror, newRequest(t, "GET", other.URL+"/v2/", nil), Registry, Control); err != nil {
				t.Fatal(err)
			}
			other.innocent(t, 1)
			// The registry's own client does not take its credential there.
			_, err = secretly(t, l, c, "GET", other.URL+"/v2/", nil, Registry, Control)
			checkError(t, err, []error{errdefs.ErrPermissionDenied}, nil)
			other.innocent(t, 1)
			l.quiet(t)
		})
	}
}

// names is a resolver that answers from a table.
type names map[string]netip.Addr

func (n names) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go n.answer(there)
		return here, nil
	}}
}

// answer answers one query, framed as on TCP, since a pipe keeps no packets.
func (n names) answer(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 4096)
	size, err := io.ReadAtLeast(c, buf, 2)
	if err != nil || size < 2 {
		return
	}
	length := int(buf[0])<<8 | int(buf[1])
	for size < length+2 {
		m, err := c.Read(buf[size:])
		if err != nil {
			return
		}
		size += m
	}
	var msg dnsmessage.Message
	if err := msg.Unpack(buf[2 : 2+length]); err != nil {
		return
	}
	q := msg.Questions[0]
	msg.Response, msg.RecursionAvailable, msg.Additionals = true, true, nil
	addr, ok := n[strings.TrimSuffix(q.Name.String(), ".")]
	head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1}
	switch {
	case !ok:
		msg.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA && addr.Is4():
		msg.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AResource{A: addr.As4()}}}
	case q.Type == dnsmessage.TypeAAAA && addr.Is6():
		msg.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}}}
	}
	out, err := msg.Pack()
	if err != nil {
		return
	}
	_, _ = c.Write(append([]byte{byte(len(out) >> 8), byte(len(out))}, out...))
}

// TestNamesOfInternalAddresses has a public registry send us to names that resolve to
// this machine, where a real server listens.
func TestNamesOfInternalAddresses(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0"} {
		t.Run(addr, func(t *testing.T) {
			t.Parallel()
			inside := serve(t, "", "http", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "inside") })
			_, port, _ := net.SplitHostPort(inside.Listener.Addr().String())
			own := serve(t, "", "http", func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://inside.example.org:"+port+"/", http.StatusFound)
			})
			l := &listener{}
			resolve := names{"inside.example.org": netip.MustParseAddr(addr)}.resolver(t)
			// The registry's own connection goes to this machine too, but says that it is public.
			e := env{resolver: resolve, chance: func() float64 { return 0 }, dial: func(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error) {
				if address != "registry.example.com:80" {
					return d.DialContext(ctx, network, address)
				}
				c, err := new(net.Dialer).DialContext(ctx, network, own.Listener.Addr().String())
				return &conn{Conn: c, remote: &net.TCPAddr{IP: net.IPv4(93, 184, 216, 34), Port: 80}}, err
			}}
			f := newFactory(l.options(), e)
			defer f.Close()
			_, err := secretly(t, l, client(t, f, "http://registry.example.com", Policy{}), "GET", "http://registry.example.com/v2/", nil, Registry, Control)
			checkError(t, err, []error{errdefs.ErrPermissionDenied}, []string{"loopback address", keyHosts})
			inside.silent(t)
			l.quiet(t)

			// Allowed by name, it is asked; without the credential.
			allowed := client(t, f, "http://registry.example.com", Policy{AllowedHosts: []string{"inside.example.org"}})
			got, err := secretly(t, l, allowed, "GET", "http://registry.example.com/v2/", nil, Registry, Control)
			if err != nil || got.text != "inside" {
				t.Errorf("%q, %v", got.text, err)
			}
			inside.innocent(t, 1)

			// The connection that is kept from this serves nobody who may not connect.
			_, err = secretly(t, l, client(t, f, "http://registry.example.com", Policy{}), "GET", "http://registry.example.com/v2/", nil, Registry, Control)
			checkError(t, err, []error{errdefs.ErrPermissionDenied}, []string{"loopback address"})
			inside.innocent(t, 1)
			l.quiet(t)
		})
	}
}
