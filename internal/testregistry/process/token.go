package process

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	service = "a registry under test"
	issuer  = "the token server of a test"
	// leeway is how long after its end distribution still takes a token.
	leeway = time.Minute
)

// Tokens is a token server (distribution's "Token Authentication Specification"). Who
// has the name and password gets what is asked for, anybody else may pull from
// repositories below "public/".
type Tokens struct {
	Realm string // its URL

	key   *ecdsa.PrivateKey
	chain []string // of certificates for the key, as the header x5c has it

	mu       sync.Mutex
	lifetime time.Duration
	granted  []string
}

func newTokens(tb testing.TB, a *authority) *Tokens {
	tb.Helper()
	certificate, key := a.leaf(tb)
	t := &Tokens{key: key, chain: []string{base64.StdEncoding.EncodeToString(certificate.Raw)}, lifetime: time.Hour}
	s := httptest.NewUnstartedServer(t)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{serving(certificate, key)}, MinVersion: tls.VersionTLS12}
	s.StartTLS()
	tb.Cleanup(s.Close)
	t.Realm = s.URL + "/token"
	return t
}

func serving(certificate *x509.Certificate, key *ecdsa.PrivateKey) tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}
}

// Lifetime has tokens that are granted from now on last that long. At first it is an
// hour.
func (t *Tokens) Lifetime(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lifetime = d
}

// Granted returns the scopes, sorted, of each token that was granted since it was
// called last.
func (t *Tokens) Granted() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.granted
	t.granted = nil
	return all
}

// ServeHTTP implements http.Handler.
func (t *Tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, password, known := r.BasicAuth()
	if known && (user != Username || password != Password) {
		http.Error(w, "wrong name or password", http.StatusUnauthorized)
		return
	}
	if r.Method != http.MethodGet || r.URL.Query().Get("service") != service {
		http.Error(w, "GET with the service is wanted", http.StatusBadRequest)
		return
	}
	asked := asked(r.URL.Query()["scope"])
	if !known {
		limit(asked)
	}
	token, lifetime, err := t.grant(asked)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "expires_in": int(lifetime.Seconds())}) // who asked has gone
}

// access is an entry of a token's claim of that name.
type access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// asked returns what scopes ask for, sorted.
func asked(scopes []string) []access {
	all := strings.Fields(strings.Join(scopes, " "))
	slices.Sort(all)
	out := []access{}
	for _, scope := range all {
		kind, rest, _ := strings.Cut(scope, ":")
		at := max(0, strings.LastIndexByte(rest, ':')) // a name may have a port
		out = append(out, access{kind, rest[:at], strings.Split(strings.TrimPrefix(rest[at:], ":"), ",")})
	}
	return out
}

// limit takes out what not everybody may do.
func limit(all []access) {
	for i, a := range all {
		all[i].Actions = slices.DeleteFunc(a.Actions, func(action string) bool {
			return a.Type != "repository" || !strings.HasPrefix(a.Name, "public/") || action != "pull"
		})
	}
}

// grant returns a token for what may be done.
func (t *Tokens) grant(all []access) (token string, lifetime time.Duration, err error) {
	var scopes []string
	for _, a := range all {
		scopes = append(scopes, a.Type+":"+a.Name+":"+strings.Join(a.Actions, ","))
	}
	t.mu.Lock()
	t.granted = append(t.granted, strings.Join(scopes, " "))
	lifetime = t.lifetime
	t.mu.Unlock()
	now := time.Now()
	token, err = t.sign(map[string]any{
		"iss": issuer, "sub": Username, "aud": service, "jti": rand.Text(), "access": all,
		"nbf": now.Add(-leeway).Unix(), "iat": now.Unix(), "exp": now.Add(lifetime - leeway).Unix(),
	})
	return token, lifetime, err
}

// sign returns a JSON Web Token (RFC 7519) signed by ES256 (RFC 7518, 3.4).
func (t *Tokens) sign(claims map[string]any) (string, error) {
	header, err := part(map[string]any{"typ": "JWT", "alg": "ES256", "x5c": t.chain})
	if err != nil {
		return "", err
	}
	payload, err := part(claims)
	if err != nil {
		return "", err
	}
	hash := sha256.Sum256([]byte(header + "." + payload))
	r, s, err := ecdsa.Sign(rand.Reader, t.key, hash[:])
	if err != nil {
		return "", err
	}
	signature := s.FillBytes(make([]byte, 64))
	r.FillBytes(signature[:32])
	return header + "." + payload + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// part returns a value as a part of a token.
func part(v any) (string, error) {
	data, err := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(data), err
}
