package registry_test

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/internal/testregistry"
	"github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/registry/credentials"
	"github.com/dhowhq/dhow/registry/hosts"
	"github.com/dhowhq/dhow/registry/wire"
)

// canary is a secret that must be seen nowhere.
const canary = "cAnArY-5f1d"

// guard is a registry behind authentication, and its token server.
type guard struct {
	registry http.Handler
	realm    string   // empty: Basic
	scope    string   // of the challenge; empty: none
	issued   []string // tokens that are still good
	answer   func(w http.ResponseWriter, r *http.Request, token string)

	mu      sync.Mutex
	asked   []*http.Request // for tokens
	granted int
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	user, password, _ := r.BasicAuth()
	good := g.realm == "" && user == "user" && password == canary ||
		slices.Contains(g.issued, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	challenge := `Basic realm="x"`
	if g.realm != "" {
		challenge = `Bearer realm="` + g.realm + `",service="registry"`
		if g.scope != "" {
			challenge += `,scope="` + g.scope + `"`
		}
	}
	g.mu.Unlock()
	if !good {
		w.Header().Set("WWW-Authenticate", challenge)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	g.registry.ServeHTTP(w, r)
}

// tokens is the token server.
func (g *guard) tokens(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	user, password, _ := r.BasicAuth()
	if g.answer == nil && (user != "user" || password != canary) && r.PostForm.Get("refresh_token") != canary {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"errors":[{"code":"UNAUTHORIZED","message":"not with %s %s"}]}`, password, r.PostForm.Get("refresh_token"))
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, r)
	g.granted++
	token := fmt.Sprintf("%s-token-%d", canary, g.granted)
	g.issued = append(g.issued, token)
	if g.answer != nil {
		g.answer(w, r, token)
		return
	}
	fmt.Fprintf(w, `{"token":%q,"access_token":%q,"expires_in":60}`, token, token)
}

// requests returns the scopes of the requests for tokens.
func (g *guard) requests() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []string
	for _, r := range g.asked {
		all = append(all, r.Method+" "+strings.Join(r.Form["scope"], " "))
	}
	return all
}

// trusting is the configuration that trusts a site's certificate.
func trusting(t *testing.T, s *site) *hosts.Config {
	t.Helper()
	dir := t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(filepath.Join(dir, "ca.crt"), ca, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := hosts.Load(hosts.Options{CertDir: dir, Root: t.TempDir(), Home: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func static(t *testing.T, host string, c credentials.Credential) credentials.Store {
	t.Helper()
	s, err := credentials.Static(host, c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func password() credentials.Credential {
	return credentials.Credential{Username: "user", Password: credentials.NewSecret(canary)}
}

func TestBasicOverTLS(t *testing.T) {
	t.Parallel()
	s := listenTLS(t, &guard{registry: testregistry.Olareg(t)})
	var log logged
	opts := registry.Options{Hosts: trusting(t, s), Credentials: static(t, s.host(), password()), Logger: log.logger()}
	opts.Wire.Log = log.logger()
	c := newClient(t, opts)
	r := repository(t, c, s.host()+"/app", hosts.Push)
	pushed(t, r, "one", "v1")
	if _, _, err := r.Get(t.Context(), "v1"); err != nil {
		t.Fatal(err)
	}
	// Refused once, and known from then on.
	want(t, s, "PUT /v2/app/manifests/v1", "PUT /v2/app/manifests/v1", "GET /v2/app/manifests/v1")
	hidden(t, log.String())

	wrong := credentials.Credential{Username: "user", Password: credentials.NewSecret("wrong-" + canary)}
	if err := c.Check(t.Context(), s.host(), password()); err != nil {
		t.Error(err)
	}
	wantKind(t, c.Check(t.Context(), s.host(), wrong), errdefs.ErrPermissionDenied, s.host())
	wantKind(t, c.Check(t.Context(), s.host(), credentials.Credential{}), errdefs.ErrPermissionDenied, s.host())
}

// hidden checks that no secret is in a text.
func hidden(t *testing.T, text string) {
	t.Helper()
	if strings.Contains(text, canary) {
		t.Errorf("a secret is shown: %s", text)
	}
}

// tokenWorld is a registry over TLS behind tokens, which come from the same site.
func tokenWorld(t *testing.T, g *guard, cred credentials.Credential) (*site, *registry.Client, *logged) {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/v2/", g)
	mux.HandleFunc("/token", g.tokens)
	s := listenTLS(t, mux)
	g.registry, g.realm = testregistry.Olareg(t), "https://"+s.host()+"/token"
	log := &logged{}
	opts := registry.Options{Hosts: trusting(t, s), Credentials: static(t, s.host(), cred), Logger: log.logger()}
	opts.Wire.Log = log.logger()
	return s, newClient(t, opts), log
}

func TestTokensOverTLS(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		cred   credentials.Credential
		scope  string // of the challenge
		answer func(http.ResponseWriter, *http.Request, string)
		tokens []string
	}{
		{name: "password", cred: password(), tokens: []string{"GET repository:app:pull,push"}},
		{
			name: "identity token", cred: credentials.Credential{RefreshToken: credentials.NewSecret(canary)},
			tokens: []string{"POST repository:app:pull,push"},
		},
		{
			name: "anonymous", tokens: []string{"GET repository:app:pull,push"},
			answer: func(w http.ResponseWriter, _ *http.Request, token string) {
				fmt.Fprintf(w, `{"access_token":%q}`, token)
			},
		},
		{
			name: "the challenge wants more than was asked for", cred: password(), scope: "repository:app:delete,pull",
			tokens: []string{"GET repository:app:delete,pull,push"},
		},
		{
			name: "the challenge is about another repository", cred: password(), scope: "repository:other:pull",
			tokens: []string{"GET repository:app:pull,push repository:other:pull"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			g := &guard{scope: row.scope, answer: row.answer}
			s, c, log := tokenWorld(t, g, row.cred)
			push, pull := repository(t, c, s.host()+"/app", hosts.Push), repository(t, c, s.host()+"/app", hosts.Pull)
			pushed(t, push, "one", "v1", "v2")
			if _, _, err := pull.Get(t.Context(), "v1"); err != nil {
				t.Fatal(err)
			}
			if got := g.requests(); !slices.Equal(got, row.tokens) {
				t.Errorf("asked for tokens %q, want %q", got, row.tokens)
			}
			asked := slices.DeleteFunc(s.asked(), func(r string) bool { return strings.Contains(r, "/token") })
			if len(asked) != 4 { // one refused for want of a token
				t.Errorf("%d requests: %q", len(asked), asked)
			}
			hidden(t, log.String())
		})
	}
}

func TestAccessToken(t *testing.T) {
	t.Parallel()
	g := &guard{issued: []string{canary}}
	s, c, log := tokenWorld(t, g, credentials.Credential{AccessToken: credentials.NewSecret(canary)})
	pushed(t, repository(t, c, s.host()+"/app", hosts.Push), "one", "v1")
	if got := g.requests(); len(got) != 0 {
		t.Errorf("asked for tokens: %q", got)
	}
	hidden(t, log.String())
}

func TestTokensAreFetchedOnce(t *testing.T) {
	t.Parallel()
	g := &guard{}
	s, c, _ := tokenWorld(t, g, password())
	r := repository(t, c, s.host()+"/app", hosts.Push)
	desc, data := emptyIndex("one")
	together := func() {
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				if err := r.Put(t.Context(), desc, data, fmt.Sprintf("v%d", i)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	together()
	if got := g.requests(); len(got) != 1 {
		t.Errorf("%d tokens for sixteen requests at once", len(got))
	}
	g.mu.Lock()
	g.issued = nil // expired
	g.mu.Unlock()
	together()
	if got := g.requests(); len(got) != 2 {
		t.Errorf("%d tokens after the first one had expired", len(got))
	}
}

func TestTokenServersThatMisbehave(t *testing.T) {
	t.Parallel()
	say := func(status int, body string) func(http.ResponseWriter, *http.Request, string) {
		return func(w http.ResponseWriter, _ *http.Request, _ string) {
			w.Header().Set("Content-Type", http.DetectContentType([]byte(body)))
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	for _, row := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request, string)
		kind   error
		text   string
		asked  int // of the token server
	}{
		{name: "B81 404", answer: say(404, `{"errors":[{"code":"NAME_UNKNOWN"}]}`), kind: errdefs.ErrPermissionDenied, text: "the token server refuses", asked: 1},
		{name: "B81 401 with our secret in it", answer: say(401, canary), kind: errdefs.ErrPermissionDenied, text: "401", asked: 1},
		{name: "B81 page", answer: say(200, "<html>log in</html>"), kind: errdefs.ErrUnavailable, text: "/token", asked: 1},
		{name: "B81 empty object", answer: say(200, "{}"), kind: errdefs.ErrUnavailable, text: "empty token", asked: 1},
		{name: "B81 no token", answer: say(200, `{"token":""}`), kind: errdefs.ErrUnavailable, text: "empty token", asked: 1},
		{name: "B81 token with a line break", answer: say(200, `{"token":"a\nb"}`), kind: errdefs.ErrUnavailable, text: "character", asked: 1},
		{name: "B81 token that does not end", answer: say(200, `{"token":"`+strings.Repeat("a", 1<<20)+`"}`), kind: errdefs.ErrUnavailable, text: "decode", asked: 1},
		{name: "B81 expiry beyond all numbers", answer: say(200, `{"token":"nogood","expires_in":9223372036854775808}`), kind: errdefs.ErrPermissionDenied, text: "401", asked: 1},
		{name: "B81 the token is refused, again and again", answer: say(200, `{"access_token":"nogood","expires_in":-1}`), kind: errdefs.ErrPermissionDenied, text: "401", asked: 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			g := &guard{answer: row.answer}
			s, c, log := tokenWorld(t, g, password())
			_, _, err := repository(t, c, s.host()+"/app", hosts.Pull).Get(t.Context(), "v1")
			wantKind(t, err, row.kind, s.host(), "/app:v1", row.text)
			if errors.Is(err, errdefs.ErrNotFound) || errors.Is(err, wire.ErrNotRegistry) {
				t.Errorf("taken for an answer of the registry: %v", err)
			}
			if got := g.requests(); len(got) != row.asked {
				t.Errorf("asked %d times for a token", len(got))
			}
			if asked := s.asked(); len(asked) > 3 {
				t.Errorf("goes on and on: %q", asked)
			}
			hidden(t, err.Error()+log.String())
			// It says nothing of the referrers API either.
			_, err = repository(t, c, s.host()+"/app", hosts.Pull).Referrers(t.Context(), digest.Digest(desc1()))
			wantKind(t, err, row.kind, s.host(), desc1(), row.text)
		})
	}
}

func TestTokenServerElsewhere(t *testing.T) {
	t.Parallel()
	g := &guard{}
	tokens := listen(t, http.HandlerFunc(g.tokens))
	s := listen(t, g)
	g.registry = testregistry.Olareg(t)
	// The same machine by another name, which the policy takes for another host.
	g.realm = strings.Replace(tokens.URL, "127.0.0.1", "localhost", 1) + "/auth"
	get := func(policy wire.Policy) (*logged, error) {
		log := &logged{}
		c := newClient(t, registry.Options{
			Hosts: configure(t, insecure(s.host())), Credentials: static(t, s.host(), password()), Logger: log.logger(),
			Policy: func(wire.Origin) wire.Policy { return policy },
		})
		_, _, err := repository(t, c, s.host()+"/app", hosts.Pull).Get(t.Context(), "v1")
		return log, err
	}

	log, err := get(wire.Policy{})
	wantKind(t, err, errdefs.ErrPermissionDenied, "trusted-realms", "localhost")
	hidden(t, err.Error()+log.String())
	if got := g.requests(); len(got) != 0 {
		t.Errorf("it got a credential: %q", got)
	}
	_, err = get(wire.Policy{TrustedRealms: []string{"localhost"}})
	wantKind(t, err, errdefs.ErrNotFound)
	if got := g.requests(); !slices.Equal(got, []string{"GET repository:app:pull"}) {
		t.Errorf("asked for %q", got)
	}
}
