package wire

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// world is a network in memory, so that time can be a bubble's. Hosts that listen are
// scripted; names resolve to what is said here.
type world struct {
	t      *testing.T
	mu     sync.Mutex
	names  map[string]string // to an address; "" does not resolve
	hosts  map[string]*server
	dialed []string // host:port, of every connection that was made
	ca     *authority
	served sync.WaitGroup
}

// server is a host of a world. It does one act a request, the last one again and
// again, and keeps what it was asked.
type server struct {
	w    *world
	acts []act
	cert *tls.Certificate

	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
}

// act answers a request on its connection. What it returns ends the connection.
type act func(c net.Conn, req *http.Request, body io.Reader) error

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, names: map[string]string{}, hosts: map[string]*server{}}
	t.Cleanup(w.served.Wait)
	return w
}

// listen has a host, as in https://example.com, do acts. Its name resolves to a
// public address unless another one was given before.
func (w *world) listen(origin string, acts ...act) *server {
	w.t.Helper()
	o := origin0(w.t, origin)
	s := &server{w: w, acts: acts}
	if o.Scheme == "https" {
		if w.ca == nil {
			w.ca = newAuthority(w.t)
		}
		s.cert = w.ca.issue(w.t, o.Host, time.Now().Add(time.Hour*24*365))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.names[o.Host]; !ok {
		w.names[o.Host] = "93.184.216.34"
	}
	w.hosts[o.HostPort()] = s
	return s
}

func origin0(t *testing.T, raw string) Origin {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	o, err := OriginOf(u)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// dial is the dialFunc of a world.
func (w *world) dial(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	fail := func(err error) error { return &net.OpError{Op: "dial", Net: network, Err: err} }
	w.mu.Lock()
	at, known := w.names[host]
	s := w.hosts[address]
	w.mu.Unlock()
	if addr, err := netip.ParseAddr(host); err == nil {
		at, known = addr.String(), true
	}
	if !known || at == "" {
		return nil, fail(&net.DNSError{Err: "no such host", Name: host, IsNotFound: true})
	}
	to := net.JoinHostPort(at, port)
	if d.ControlContext != nil {
		if err := d.ControlContext(ctx, network+"4", to, nil); err != nil {
			return nil, fail(err)
		}
	}
	w.mu.Lock()
	w.dialed = append(w.dialed, address)
	w.mu.Unlock()
	if s == nil {
		return nil, fail(errors.New("connection refused"))
	}
	here, there := net.Pipe()
	w.served.Go(func() { s.serve(there) })
	return &conn{Conn: here, remote: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(to))}, nil
}

// conn is a pipe with an address at its other end.
type conn struct {
	net.Conn
	remote net.Addr
}

func (c *conn) RemoteAddr() net.Addr { return c.remote }

// errHangUp ends a connection from the server's side.
var errHangUp = errors.New("hang up")

func (s *server) serve(c net.Conn) {
	defer c.Close()
	if s.cert != nil {
		c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*s.cert}})
	}
	in := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		s.mu.Lock()
		n := len(s.requests)
		s.requests = append(s.requests, req)
		s.bodies = append(s.bodies, "")
		a := s.acts[min(n, len(s.acts)-1)]
		s.mu.Unlock()
		if err := a(c, req, &noted{Reader: req.Body, s: s, n: n}); err != nil {
			return
		}
	}
}

// noted keeps what an act reads of a request's body.
type noted struct {
	io.Reader
	s *server
	n int
}

func (b *noted) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.s.mu.Lock()
	b.s.bodies[b.n] += string(p[:n])
	b.s.mu.Unlock()
	return n, err
}

// asked returns the requests that came.
func (s *server) asked() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*http.Request(nil), s.requests...)
}

// raw reads the body and writes bytes as they are; \n stands for the end of a line.
func raw(text string) act {
	text = strings.ReplaceAll(text, "\n", "\r\n")
	return func(c net.Conn, _ *http.Request, body io.Reader) error {
		if _, err := io.Copy(io.Discard, body); err != nil {
			return err
		}
		_, err := io.WriteString(c, text)
		return err
	}
}

// status answers with a status, headers as in "Retry-After: 5", and a short body.
func status(code int, headers ...string) act {
	return reply(code, "", headers...)
}

// reply is status with a body.
func reply(code int, body string, headers ...string) act {
	return func(c net.Conn, req *http.Request, in io.Reader) error {
		if _, err := io.Copy(io.Discard, in); err != nil {
			return err
		}
		var b strings.Builder
		fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", code, http.StatusText(code))
		for _, h := range headers {
			b.WriteString(h + "\r\n")
		}
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", len(body))
		if req.Method != http.MethodHead {
			b.WriteString(body)
		}
		_, err := io.WriteString(c, b.String())
		return err
	}
}

// ok is the answer that ends most scripts.
var ok = reply(200, "fine", "Content-Type: application/json")

// then does a, and ends the connection.
func then(a act) act {
	return func(c net.Conn, req *http.Request, body io.Reader) error {
		if err := a(c, req, body); err != nil {
			return err
		}
		return errHangUp
	}
}

// reset ends the connection without an answer.
func reset(net.Conn, *http.Request, io.Reader) error { return errHangUp }

// hang answers with that and then says nothing until we hang up.
func hang(text string) act {
	write := raw(text)
	return func(c net.Conn, req *http.Request, body io.Reader) error {
		if err := write(c, req, body); err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, c)
		return errHangUp
	}
}

// deaf reads nothing of the body.
func deaf(_ net.Conn, _ *http.Request, _ io.Reader) error {
	time.Sleep(time.Hour)
	return errHangUp
}

// factory returns a factory whose world is w, without jitter.
func (w *world) factory(opts Options) *Factory {
	if opts.TLS == nil && w.ca != nil {
		opts.TLS = func(Origin) (*tls.Config, error) { return &tls.Config{RootCAs: w.ca.pool}, nil }
	}
	return newFactory(opts, env{dial: w.dial, chance: func() float64 { return 0 }})
}

func (w *world) client(f *Factory, origin string, p Policy) *Client {
	w.t.Helper()
	return client(w.t, f, origin, p)
}

func client(t *testing.T, f *Factory, origin string, p Policy) *Client {
	t.Helper()
	c, err := f.Client(Endpoint{Origin: origin0(t, origin), Policy: p, Header: http.Header{"x-own": {"own-canary-7c1f"}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newRequest(t *testing.T, method, target string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// authority signs certificates.
type authority struct {
	pool *x509.CertPool
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of the tests"},
		NotBefore: time.Now().Add(-time.Hour * 24 * 30), NotAfter: time.Now().Add(time.Hour * 24 * 365 * 40),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{pool: x509.NewCertPool(), cert: cert, key: key}
	a.pool.AddCert(cert)
	return a
}

// issue returns a certificate for a host.
func (a *authority) issue(t *testing.T, host string, until time.Time) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host},
		NotBefore: until.Add(-time.Hour * 24 * 366), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
