package wire

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/containerd/errdefs"
)

// TestUnderAuthClient has oras's authenticating client make its requests through the
// chain: it finds token servers and makes the requests to them by itself.
func TestUnderAuthClient(t *testing.T) {
	t.Parallel()
	// An address, since oras looks names up by itself; and a public one, since it refuses
	// others itself, but on the registry's own host.
	const token, sso = "token-" + canary, "http://93.184.216.34"
	for _, row := range []struct {
		name     string
		realm    string // the token server by another name; empty for its own
		policy   Policy
		cred     auth.Credential
		refused  bool
		sees     string // what the token server has to see
		requests int    // to the token server
	}{
		{name: "same machine", cred: auth.Credential{Username: "user", Password: canary}, sees: "Basic ", requests: 1},
		{name: "same machine, with a form", cred: auth.Credential{RefreshToken: canary}, sees: "refresh_token=", requests: 1},
		{name: "another domain", realm: sso, cred: auth.Credential{Username: "user", Password: canary}, refused: true, requests: 1},
		{name: "another domain, with a form", realm: sso, cred: auth.Credential{RefreshToken: canary}, refused: true},
		{name: "another domain, no credential", realm: sso, requests: 1},
		{
			name: "another domain, trusted", realm: sso, cred: auth.Credential{Username: "user", Password: canary}, sees: "Basic ", requests: 1,
			policy: Policy{TrustedRealms: []string{"93.184.216.34"}},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			anonymous := row.cred == auth.EmptyCredential
			tokens := serve(t, "", "http", func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") == "" && r.Method == http.MethodGet && !anonymous {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				fmt.Fprintf(w, `{"token":%[1]q,"access_token":%[1]q}`, token)
			})
			realm := row.realm
			if realm == "" {
				realm = tokens.URL
			}
			own := serve(t, "", "http", func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer "+token {
					w.Header().Add("WWW-Authenticate", `Basic realm="x"`)
					w.Header().Add("WWW-Authenticate", `Bearer realm="`+realm+`/token",service="x",scope="repository:a:pull"`)
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				fmt.Fprint(w, "{}")
			})
			l := &listener{}
			f := newFactory(l.options(), env{dial: func(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error) {
				if address == "93.184.216.34:80" {
					address = tokens.Listener.Addr().String()
				}
				return d.DialContext(ctx, network, address)
			}})
			defer f.Close()
			c := client(t, f, own.URL, row.policy)
			host := strings.TrimPrefix(own.URL, "http://")
			oras := &auth.Client{Client: c.HTTP(Registry, Control), Cache: auth.NewCache(), Credential: auth.StaticCredential(host, row.cred)}
			resp, err := oras.Do(newRequest(t, "GET", own.URL+"/v2/a/manifests/x", nil))
			err = Redact(err)
			fmt.Fprintln(l, err)
			if err == nil {
				defer resp.Body.Close()
			}
			switch {
			case row.refused:
				checkError(t, err, []error{errdefs.ErrPermissionDenied}, []string{keyRealms, realm})
				tokens.innocent(t, row.requests)
			case err != nil:
				t.Fatal(err)
			case resp.StatusCode != http.StatusOK:
				t.Errorf("status %d", resp.StatusCode)
			default:
				seen := fmt.Sprint(tokens.requests[0].Header, tokens.bodies[0])
				if len(tokens.requests) != row.requests || !strings.Contains(seen, row.sees) {
					t.Errorf("the token server saw %d requests, %s", len(tokens.requests), seen)
				}
			}
			l.quiet(t)
		})
	}
}

// TestUnderAuthClientRedirect has a registry redirect what it was authorised for, and
// the other side ask for the credential.
func TestUnderAuthClientRedirect(t *testing.T) {
	t.Parallel()
	evil := serve(t, "127.0.0.2", "http", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	own := serve(t, "", "http", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, evil.URL+"/x?sig="+signature, http.StatusTemporaryRedirect)
	})
	l := &listener{}
	f := New(l.options())
	defer f.Close()
	host := strings.TrimPrefix(own.URL, "http://")
	oras := &auth.Client{
		Client: client(t, f, own.URL, Policy{}).HTTP(Registry, Download), Cache: auth.NewCache(),
		Credential: auth.StaticCredential(host, auth.Credential{Username: "user", Password: canary}),
	}
	for range 2 {
		resp, err := oras.Do(newRequest(t, "GET", own.URL+"/v2/a/blobs/x", nil))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("status %d", resp.StatusCode)
		}
	}
	evil.innocent(t, 2)
	l.quiet(t)
}
