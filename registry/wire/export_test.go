package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"time"
)

// InMemory returns options for a network of a test's own, in which nothing is left to
// chance.
func InMemory(opts Options, dial func(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error)) Options {
	opts.env = &env{dial: dial, chance: func() float64 { return 0 }}
	return opts
}

// Authority signs certificates.
type Authority struct{ *authority }

// NewAuthority returns one that nobody knows but its Pool.
func NewAuthority(t *testing.T) Authority {
	t.Helper()
	return Authority{newAuthority(t)}
}

// Pool has the authority alone.
func (a Authority) Pool() *x509.CertPool { return a.pool }

// Issue returns a certificate for a host.
func (a Authority) Issue(t *testing.T, host string, until time.Time) tls.Certificate {
	t.Helper()
	return *a.issue(t, host, until)
}
