package registry_test

import (
	"crypto/tls"
	"os"
	"testing"
	"time"

	"github.com/dhowhq/dhow/internal/testregistry/process"
	client "github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/registry/credentials"
	"github.com/dhowhq/dhow/registry/hosts"
	"github.com/dhowhq/dhow/registry/wire"
	"github.com/dhowhq/dhow/transport/transporttest"
)

// TestProcess runs the suite against the real registry, of the ways to be asked by
// that which has most to it.
func TestProcess(t *testing.T) {
	f := transporttest.Factory{Cannot: cannot("distribution"), Many: 15}
	modes := map[string]process.Mode{"tokens over TLS": process.Token}
	if os.Getenv("DHOW_TEST_LONG") != "" {
		f.Many, modes["plain"], modes["TLS"], modes["basic over TLS"] = 0, process.Plain, process.TLS, process.Basic
	}
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			r := process.Start(t, mode)
			suite(t, f, func(tb testing.TB) (string, *client.Client) {
				tb.Helper()
				return r.Host, processClient(tb, r, client.Options{})
			})
		})
	}
}

// password is what a registry that is a process wants.
func password() credentials.Credential {
	return credentials.Credential{Username: process.Username, Password: credentials.NewSecret(process.Password)}
}

// processClient returns a client for a registry that is a process, with its password
// and authority.
func processClient(tb testing.TB, r *process.Registry, opts client.Options) *client.Client {
	tb.Helper()
	where := hosts.Options{CertDir: r.CertDir, Root: tb.TempDir(), Home: tb.TempDir()}
	if r.Trusted == nil {
		where.Verify = hosts.VerifyNever // as there is nothing to verify
	}
	var err error
	if opts.Hosts, err = hosts.Load(where); err != nil {
		tb.Fatal(err)
	}
	if opts.Credentials, err = credentials.Static(r.Host, password()); err != nil {
		tb.Fatal(err)
	}
	// For the token server: that the registry is trusted says nothing of another port.
	opts.Wire.TLS = func(wire.Origin) (*tls.Config, error) {
		return &tls.Config{RootCAs: r.Trusted, MinVersion: tls.VersionTLS12}, nil
	}
	c, err := client.NewClient(opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		// A connection of HTTP/2 whose last answer has only just been read is not idle yet.
		for range 3 {
			c.Close()
			time.Sleep(5 * time.Millisecond)
		}
	})
	return c
}
