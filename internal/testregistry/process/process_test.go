package process_test

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dhowhq/dhow/internal/testregistry/process"
)

// client asks a registry without any of Dhow's code.
type client struct {
	*http.Client
	r *process.Registry
}

func newClient(t *testing.T, r *process.Registry) client {
	t.Helper()
	pool := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.Trusted, MinVersion: tls.VersionTLS12}}
	t.Cleanup(pool.CloseIdleConnections)
	return client{&http.Client{Transport: pool}, r}
}

// get returns the answer to a GET, of which change may change the request.
func (c client) get(t *testing.T, u string, change func(*http.Request)) (status int, header http.Header, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	change(req)
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(data)
}

func asIs(*http.Request) {}

func as(user, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

// TestModes asks registries in ways that they have to take, and to refuse.
func TestModes(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		mode      process.Mode
		anonymous int
		known     int
	}{
		"plain": {process.Plain, http.StatusOK, http.StatusOK},
		"TLS":   {process.TLS, http.StatusOK, http.StatusOK},
		"basic": {process.Basic, http.StatusUnauthorized, http.StatusOK},
		"token": {process.Token, http.StatusUnauthorized, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := process.Start(t, row.mode)
			c := newClient(t, r)
			if got, header, _ := c.get(t, r.URL("/v2/"), asIs); got != row.anonymous {
				t.Errorf("status %d, want %d: %v", got, row.anonymous, header)
			}
			if got, header, _ := c.get(t, r.URL("/v2/"), as(process.Username, process.Password)); got != row.known {
				t.Errorf("with the password status %d, want %d: %v", got, row.known, header)
			}
			r.Kill()
			if conn, err := net.Dial("tcp", r.Host); err == nil { //nolint:noctx // it fails at once
				_ = conn.Close()
				t.Error("it is dead and listens")
			}
		})
	}
}

// TestRestart shows that a registry has what it had before it was killed.
func TestRestart(t *testing.T) {
	t.Parallel()
	r := process.Start(t, process.TLS)
	c := newClient(t, r)
	begun, err := c.Post(r.URL("/v2/app/blobs/uploads/"), "", http.NoBody) //nolint:noctx // it is answered at once
	if err != nil {
		t.Fatal(err)
	}
	_ = begun.Body.Close() // it is empty
	before, location := r.Host, begun.Header.Get("Location")
	r.Restart(t)
	if status, _, body := c.get(t, strings.Replace(location, before, r.Host, 1), asIs); before == r.Host || status != http.StatusNoContent {
		t.Errorf("the upload that was begun: status %d: %s", status, body)
	}
}

// TestTokens shows that the registry takes the tokens for what they are for, and as
// long as they last.
func TestTokens(t *testing.T) {
	t.Parallel()
	r := process.Start(t, process.Token)
	c := newClient(t, r)
	token := func(scope string, change func(*http.Request)) string {
		query := url.Values{"service": {"a registry under test"}, "scope": {scope}}
		status, _, body := c.get(t, r.Tokens.Realm+"?"+query.Encode(), change)
		if status != http.StatusOK {
			t.Fatalf("status %d: %s", status, body)
		}
		var answer struct{ Token string }
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Fatal(err)
		}
		return answer.Token
	}
	tags := func(repository, token string) int {
		status, _, _ := c.get(t, r.URL("/v2/"+repository+"/tags/list"), bearer(token))
		return status
	}
	known := as(process.Username, process.Password)
	for name, row := range map[string]struct {
		scope  string
		change func(*http.Request)
		asked  string
		want   int
	}{
		"for it":                   {"repository:team/app:pull", known, "team/app", http.StatusNotFound},
		"for more":                 {"repository:team/app:pull,push", known, "team/app", http.StatusNotFound},
		"for another repository":   {"repository:team/other:pull", known, "team/app", http.StatusUnauthorized},
		"for something else":       {"repository:team/app:push", known, "team/app", http.StatusUnauthorized},
		"anonymous":                {"repository:team/app:pull", asIs, "team/app", http.StatusUnauthorized},
		"anonymous, of the public": {"repository:public/app:pull", asIs, "public/app", http.StatusNotFound},
	} {
		if got := tags(row.asked, token(row.scope, row.change)); got != row.want {
			t.Errorf("a token %s: status %d, want %d", name, got, row.want)
		}
	}
	if got := len(r.Tokens.Granted()); got != 6 {
		t.Errorf("%d tokens were granted", got)
	}
	if got := tags("team/app", "e30.e30.e30"); got != http.StatusUnauthorized {
		t.Errorf("a token of nobody: status %d", got)
	}
	forged := strings.Split(token("repository:team/app:pull", known), ".")
	forged[1] = strings.Split(token("repository:team/app:pull,push", known), ".")[1]
	if got := tags("team/app", strings.Join(forged, ".")); got != http.StatusUnauthorized {
		t.Errorf("a token that was changed: status %d", got)
	}
	r.Tokens.Lifetime(0)
	late := token("repository:team/app:pull", known)
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(1100 * time.Millisecond))) // it counts in seconds
	if got := tags("team/app", late); got != http.StatusUnauthorized {
		t.Errorf("a token that is over: status %d", got)
	}
	if status, _, _ := c.get(t, r.Tokens.Realm+"?service=x", as(process.Username, "wrong")); status != http.StatusUnauthorized {
		t.Errorf("with a wrong password status %d", status)
	}
}
