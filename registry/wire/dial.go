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

const dialTimeout = 15 * time.Second

// guard connects to addresses within reach and to no other. The check is made on the
// address of the socket that is about to be connected, after all looking up of names:
// between the check and the connection nothing can change.
type guard struct {
	env    *env
	within reach
	target Origin
}

func (g *guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d := &net.Dialer{
		Timeout:  dialTimeout,
		Resolver: g.env.resolver,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("the address %s: %w", quote(address), err)
			}
			return g.check(to.Addr())
		},
	}
	return g.env.dial(ctx, d, network, address)
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
