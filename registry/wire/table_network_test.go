package wire_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
)

// network is one in memory.
type network struct {
	names map[string]string // to addresses; others are public
	sites map[string]chan net.Conn

	mu    sync.Mutex
	ended bool
	busy  sync.WaitGroup // with requests; none is added once it has ended
}

// enter reports whether a request may be answered; if so, busy has it.
func (n *network) enter() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.ended {
		n.busy.Add(1)
	}
	return !n.ended
}

// end waits for the requests that are being answered, and lets no other in.
func (n *network) end() {
	n.mu.Lock()
	n.ended = true
	n.mu.Unlock()
	n.busy.Wait()
}

// listen has a handler answer at host:port, until the end of the test.
func (n *network) listen(t *testing.T, address string, cert *tls.Certificate, p *party, h http.Handler) {
	t.Helper()
	if h == nil {
		h = http.NotFoundHandler()
	}
	l := &listener{conns: make(chan net.Conn), closed: make(chan struct{})}
	n.sites[address] = l.conns
	s := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.note(r)
		if !n.enter() {
			return
		}
		defer n.busy.Done()
		h.ServeHTTP(w, r)
	})}
	s.Protocols.SetHTTP1(true)
	var at net.Listener = l
	if cert != nil {
		at = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*cert}})
	}
	go func() { _ = s.Serve(at) }()
	t.Cleanup(func() { _ = s.Close(); n.end() })
}

// dial connects to a host that listens, if the dialer may have its address.
func (n *network) dial(ctx context.Context, d *net.Dialer, _, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	at := "93.184.216.34"
	if addr, err := netip.ParseAddr(host); err == nil {
		at = addr.String()
	} else if named := n.names[host]; named != "" {
		at = named
	}
	to := netip.MustParseAddrPort(net.JoinHostPort(at, port))
	if err := d.ControlContext(ctx, "tcp", to.String(), nil); err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	conns, ok := n.sites[address]
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	}
	here, there := net.Pipe()
	select {
	case conns <- newBuffered(there):
		return &pipe{Conn: here, to: net.TCPAddrFromAddrPort(to)}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// pipe is a connection with an address at its other end.
type pipe struct {
	net.Conn
	to net.Addr
}

func (p *pipe) RemoteAddr() net.Addr { return p.to }

// buffered is a connection that takes what is written at once, as those of a system
// do: both sides may write before either reads.
type buffered struct {
	net.Conn
	writes chan []byte
	once   sync.Once
}

func newBuffered(c net.Conn) *buffered {
	b := &buffered{Conn: c, writes: make(chan []byte, 1<<10)}
	go func() {
		var err error
		for p := range b.writes {
			if err == nil {
				_, err = c.Write(p)
			}
		}
		_ = c.Close()
	}()
	return b
}

func (b *buffered) Write(p []byte) (int, error) {
	b.writes <- bytes.Clone(p)
	return len(p), nil
}

// Close ends the connection when all that was written is read, or nobody reads any more.
func (b *buffered) Close() error {
	b.once.Do(func() { close(b.writes) })
	return nil
}

type listener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *listener) Addr() net.Addr { return &net.TCPAddr{} }
