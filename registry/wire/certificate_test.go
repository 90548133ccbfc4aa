package wire

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"
)

// TestCertificates has what TLS can fail at, and what the operator is told: B97.
func TestCertificates(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	good := ca.issue(t, "127.0.0.1", time.Now().Add(time.Hour))
	trusting := &tls.Config{RootCAs: ca.pool}
	with := func(c *tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{*c}} }
	for _, row := range []struct {
		name   string
		server *tls.Config // nil: no TLS
		client *tls.Config
		says   []string // of the error; empty where there is none
	}{
		{name: "B97 trusted", server: with(good), client: trusting},
		{
			name: "B97 signed by nobody", server: with(good),
			says: []string{"signed by nobody who is trusted here", "unknown authority", "certs.d/127.0.0.1:PORT/ca.crt", `insecure = true for "127.0.0.1:PORT"`},
		},
		{name: "B97 signed by nobody, insecure", server: with(good), client: &tls.Config{InsecureSkipVerify: true}},
		{
			name: "B97 expired", server: with(ca.issue(t, "127.0.0.1", time.Now().Add(-time.Hour))), client: trusting,
			says: []string{"expired or not valid yet", "insecure = true"},
		},
		{
			name: "B97 another host", server: with(ca.issue(t, "example.com", time.Now().Add(time.Hour))), client: trusting,
			says: []string{"for another host", "127.0.0.1", "insecure = true"},
		},
		{
			name: "B97 TLS 1.1", client: trusting,
			server: &tls.Config{Certificates: []tls.Certificate{*good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
			says:   []string{"no version of TLS that is still safe", "TLS 1.2"},
		},
		{
			name: "B97 TLS 1.1, and a config that would allow it", client: &tls.Config{RootCAs: ca.pool, MinVersion: tls.VersionTLS10},
			server: &tls.Config{Certificates: []tls.Certificate{*good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
			says:   []string{"no version of TLS that is still safe"},
		},
		{
			name: "B97 a client certificate is wanted", client: trusting,
			server: &tls.Config{Certificates: []tls.Certificate{*good}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool, MinVersion: tls.VersionTLS13},
			says:   []string{"client certificate", "certs.d/127.0.0.1:PORT/client.cert"},
		},
		{
			name: "B97 a client certificate is wanted, TLS 1.2", client: trusting,
			server: &tls.Config{Certificates: []tls.Certificate{*good}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool, MaxVersion: tls.VersionTLS12},
			says:   []string{"client certificate"},
		},
		{
			name:   "B97 a client certificate is given",
			client: &tls.Config{RootCAs: ca.pool, Certificates: []tls.Certificate{*ca.issue(t, "client", time.Now().Add(time.Hour))}},
			server: &tls.Config{Certificates: []tls.Certificate{*good}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool},
		},
		{name: "B97 no TLS", client: trusting, says: []string{"does not speak TLS", "plain http"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			tr := &trap{Server: httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }))}
			tr.Config.ErrorLog = log.New(io.Discard, "", 0)
			var connections atomic.Int32
			tr.Config.ConnState = func(_ net.Conn, s http.ConnState) {
				if s == http.StateNew {
					connections.Add(1)
				}
			}
			if row.server != nil {
				tr.TLS = row.server
				tr.StartTLS()
			} else {
				tr.Start()
			}
			defer tr.Close()
			f := New(Options{TLS: func(Origin) (*tls.Config, error) { return row.client, nil }})
			defer f.Close()
			own := strings.Replace(tr.URL, "http://", "https://", 1)
			_, err := do(t, client(t, f, own, Policy{}), newRequest(t, "GET", own+"/v2/", nil), Registry, Control)
			if len(row.says) == 0 {
				checkError(t, err, nil, nil)
				return
			}
			port := own[strings.LastIndex(own, ":")+1:]
			for i := range row.says {
				row.says[i] = strings.ReplaceAll(row.says[i], "PORT", port)
			}
			checkError(t, err, []error{errdefs.ErrFailedPrecondition}, row.says)
			tr.Close()
			if n := connections.Load(); n != 1 {
				t.Errorf("%d connections: it was tried again", n)
			}
		})
	}
}

// TestSessions has connections after the first not exchange certificates again.
func TestSessions(t *testing.T) {
	t.Parallel()
	var resumed atomic.Int32
	s := serve(t, "", "https", func(w http.ResponseWriter, r *http.Request) {
		if r.TLS.DidResume {
			resumed.Add(1)
		}
		fmt.Fprint(w, "{}")
	})
	f := New(new(listener).options())
	c := client(t, f, s.URL, Policy{})
	for range 3 {
		if _, err := do(t, c, newRequest(t, "GET", s.URL, nil), Registry, Download); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	if n := resumed.Load(); n != 2 {
		t.Errorf("%d of 3 connections resumed a session, want 2", n)
	}
}

// TestForTheRegistryOnly has what is configured for a registry not hold for where it
// redirects to: neither that it is not verified, nor its client certificate.
func TestForTheRegistryOnly(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	other := serve(t, "", "https", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") })
	own := serve(t, "", "https", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL+"/", http.StatusFound) })
	var asked []string
	f := New(Options{TLS: func(o Origin) (*tls.Config, error) {
		asked = append(asked, o.String())
		if o.String() == own.URL {
			return &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{*ca.issue(t, "client", time.Now().Add(time.Hour))}}, nil
		}
		return nil, nil //nolint:nilnil // as documented
	}})
	defer f.Close()
	_, err := do(t, client(t, f, own.URL, Policy{}), newRequest(t, "GET", own.URL+"/v2/", nil), Registry, Control)
	checkError(t, err, []error{errdefs.ErrFailedPrecondition}, []string{other.URL, "signed by nobody", "certs.d/"})
	if got := strings.Join(asked, " "); got != own.URL+" "+other.URL {
		t.Errorf("configurations were asked for %s", got)
	}
}
