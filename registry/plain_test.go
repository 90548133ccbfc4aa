package registry_test

import (
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/registry/hosts"
)

func TestPlainHTTP(t *testing.T) {
	t.Parallel()
	one, data := emptyIndex("one")
	answer := script{"*": served(one, data)}
	get := func(t *testing.T, s *site, conf string) error {
		t.Helper()
		opts := registry.Options{Hosts: configure(t, conf)}
		opts.Wire.Attempts = 2
		_, _, err := repository(t, newClient(t, opts), s.host()+"/app", hosts.Pull).Get(t.Context(), "v1")
		return err
	}
	t.Run("an insecure registry without TLS", func(t *testing.T) {
		t.Parallel()
		s := listen(t, answer)
		if err := get(t, s, insecure(s.host())); err != nil {
			t.Error(err)
		}
		want(t, s, "GET /v2/app/manifests/v1")
	})
	t.Run("an insecure registry with TLS is asked by it, once", func(t *testing.T) {
		t.Parallel()
		s := listenTLS(t, answer)
		if err := get(t, s, insecure(s.host())); err != nil {
			t.Error(err)
		}
		want(t, s, "GET /v2/app/manifests/v1")
	})
	t.Run("one with TLS that hangs up on what is none", func(t *testing.T) {
		t.Parallel()
		s := newSite(answer)
		s.Listener = &onlyTLS{s.Listener}
		s.StartTLS()
		t.Cleanup(s.Close)
		if err := get(t, s, insecure(s.host())); err != nil {
			t.Error(err)
		}
		want(t, s, "GET /v2/app/manifests/v1")
	})
	t.Run("http is not tried for others", func(t *testing.T) {
		t.Parallel()
		s := listen(t, answer)
		wantKind(t, get(t, s, ""), errdefs.ErrFailedPrecondition, "does not speak TLS")
		want(t, s)
	})
	t.Run("a certificate that is not trusted", func(t *testing.T) {
		t.Parallel()
		s := listenTLS(t, answer)
		wantKind(t, get(t, s, ""), errdefs.ErrFailedPrecondition, "certs.d/")
		want(t, s)
	})
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		s := listen(t, answer)
		s.Close()
		wantKind(t, get(t, s, insecure(s.host())), errdefs.ErrUnavailable, s.host())
	})
	t.Run("a server with TLS that fails is tried again by TLS", func(t *testing.T) {
		t.Parallel()
		calls := 0
		s := listenTLS(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if calls++; calls == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			answer.ServeHTTP(w, r)
		}))
		if err := get(t, s, insecure(s.host())); err != nil {
			t.Error(err)
		}
	})
}

// TestSettlingTogether has many requests meet a server of which the scheme is not
// known.
func TestSettlingTogether(t *testing.T) {
	t.Parallel()
	one, data := emptyIndex("one")
	s := newSite(script{"*": served(one, data)})
	var mu sync.Mutex
	failed := 0
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		if state == http.StateNew {
			failed++
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	r := repository(t, clientOf(t, s), s.host()+"/app", hosts.Pull)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if _, _, err := r.Get(t.Context(), "v1"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := len(s.asked()); n != 16 {
		t.Errorf("%d requests", n)
	}
	mu.Lock()
	defer mu.Unlock()
	if failed > 17 { // one by TLS
		t.Errorf("%d connections: TLS was tried more than once", failed)
	}
}

// onlyTLS closes connections that do not begin as TLS does.
type onlyTLS struct{ net.Listener }

// Accept implements net.Listener.
func (l *onlyTLS) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &onlyTLSConn{Conn: c}, nil
}

type onlyTLSConn struct {
	net.Conn
	begun bool
}

// Read implements net.Conn.
func (c *onlyTLSConn) Read(p []byte) (int, error) {
	const handshake = 22
	n, err := c.Conn.Read(p)
	if !c.begun && n > 0 && p[0] != handshake {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	c.begun = true
	return n, err
}
