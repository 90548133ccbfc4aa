package wire

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// dialFunc connects. It has the dialer's ControlContext called for each address.
type dialFunc func(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error)

func dial(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error) {
	return d.DialContext(ctx, network, address)
}

// connectTimeout is for a connection, and for the handshake of TLS, each.
const connectTimeout = 15 * time.Second

// dialer returns what connects for an origin, to it or to its proxy.
func (f *Factory) dialer(o Origin) *net.Dialer {
	d := &net.Dialer{Timeout: connectTimeout, Resolver: f.env.resolver}
	if f.opts.DialTimeout != nil {
		if own := f.opts.DialTimeout(o); own > 0 {
			d.Timeout = own
		}
	}
	return d
}

// guard connects to addresses within reach and to no other. The check is made on the
// address of the socket that is about to be connected, after all looking up of names:
// between the check and the connection nothing can change.
type guard struct {
	dialer net.Dialer
	dial   dialFunc
	within reach
}

func (g *guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d := g.dialer
	d.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("the address %s: %w", quote(address), err)
		}
		return g.check(to.Addr())
	}
	return g.dial(ctx, &d, network, address)
}

// check returns a *addressError for an address that is out of reach.
func (g *guard) check(addr netip.Addr) error {
	if kind := kindOf(addr); kind&g.within == 0 {
		return &addressError{addr: addr, kind: kind}
	}
	return nil
}

// addressError is the refusal of an address, before the exchange is known for which
// it was looked up.
type addressError struct {
	addr netip.Addr
	kind reach
}

func (e *addressError) Error() string { return fmt.Sprintf("its address %s is %s", e.addr, e.kind) }

// remote returns the address at the other end of a connection, if it has one.
func remote(conn net.Conn) (netip.Addr, bool) {
	at, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	return netip.AddrFromSlice(at.IP)
}
