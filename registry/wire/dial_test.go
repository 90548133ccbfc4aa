package wire

import (
	"context"
	"net"
	"net/url"
	"testing"
	"testing/synctest"
	"time"
)

// TestUnreachable has a name that there is not, and a host where nothing listens.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, address, says string
		dialed              int
		elapsed             time.Duration
	}{
		{"no such name", "", "no such host", 0, 0},
		{"nothing listens", "93.184.216.34", "gave up after attempt 5", 5, retries4},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.names["registry.example"] = row.address
				f := w.factory(Options{})
				defer f.Close()
				began := time.Now()
				_, err := do(t, w.client(f, plain, Policy{}), newRequest(t, "GET", plain+"/v2/", nil), Registry, Control)
				checkError(t, err, unavailable, []string{row.says})
				if took := time.Since(began); took != row.elapsed || len(w.dialed) != row.dialed {
					t.Errorf("%d connections in %s, want %d in %s", len(w.dialed), took, row.dialed, row.elapsed)
				}
			})
		})
	}
}

// TestDialTimeout has hosts that do not answer when they are connected to: each has a
// time of its own, and so has a proxy that stands before it.
func TestDialTimeout(t *testing.T) {
	t.Parallel()
	silent := func(ctx context.Context, d *net.Dialer, network, _ string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, d.Timeout)
		defer cancel()
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
	}
	for _, row := range []struct {
		name, origin string
		proxied      bool
		elapsed      time.Duration // of one attempt
	}{
		{name: "as it is by itself", origin: "http://other.example", elapsed: 15 * time.Second},
		{name: "shorter", origin: plain, elapsed: 2 * time.Second},
		{name: "shorter, for its proxy", origin: plain, proxied: true, elapsed: 2 * time.Second},
		{name: "longer", origin: "http://far.example", elapsed: time.Minute},
		{name: "none of its own", origin: "http://unset.example", elapsed: 15 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := Options{Attempts: 2, DialTimeout: func(o Origin) time.Duration {
					return map[string]time.Duration{"registry.example": 2 * time.Second, "far.example": time.Minute}[o.Host]
				}}
				if row.origin == "http://other.example" {
					opts.DialTimeout = nil
				}
				if row.proxied {
					opts.Proxy = func(*url.URL) (*url.URL, error) { return parse(t, "http://proxy.example"), nil }
				}
				f := newFactory(opts, env{dial: silent, chance: func() float64 { return 0 }})
				defer f.Close()
				began := time.Now()
				_, err := do(t, client(t, f, row.origin, Policy{}), newRequest(t, "GET", row.origin+"/v2/", nil), Registry, Control)
				checkError(t, err, unavailable, []string{"timeout, timeout"})
				if took, want := time.Since(began), 2*row.elapsed+500*time.Millisecond; took != want {
					t.Errorf("it took %s, want %s", took, want)
				}
			})
		})
	}
}
