package process

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// config is the configuration of a registry. It is written as JSON, which is YAML.
type config map[string]any

// newConfig returns that of a registry without TLS and authentication.
func newConfig(storage string) config {
	off := map[string]any{"enabled": false}
	return config{
		"version": "0.1",
		"log":     map[string]any{"level": "info"}, // the level of where it listens
		"storage": map[string]any{
			"filesystem":  map[string]any{"rootdirectory": storage},
			"delete":      map[string]any{"enabled": true},
			"cache":       map[string]any{"blobdescriptor": "inmemory"},
			"maintenance": map[string]any{"uploadpurging": off},
		},
		"http":    map[string]any{"addr": "127.0.0.1:0", "secret": "not secret"},
		"catalog": map[string]any{"maxentries": 1000},
		"health":  map[string]any{"storagedriver": off},
	}
}

// secure has it served by TLS.
func (c config) secure(tb testing.TB, a *authority) {
	tb.Helper()
	certificate, key := a.server(tb)
	dir := tb.TempDir()
	c["http"].(map[string]any)["tls"] = map[string]any{ //nolint:forcetypeassert // newConfig made it
		"certificate": write(tb, dir, "server.crt", certificate),
		"key":         write(tb, dir, "server.key", key),
	}
}

// basic has it want the name and password.
func (c config) basic(tb testing.TB) {
	tb.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(Password), bcrypt.MinCost)
	if err != nil {
		tb.Fatal(err)
	}
	line := append([]byte(Username+":"), hash...)
	c["auth"] = map[string]any{"htpasswd": map[string]any{"realm": "test", "path": write(tb, tb.TempDir(), "htpasswd", line)}}
}

// tokens has it want tokens that are signed by who has a certificate of a CA's.
func (c config) tokens(t *Tokens, ca string) {
	c["auth"] = map[string]any{"token": map[string]any{
		"realm": t.Realm, "service": service, "issuer": issuer, "rootcertbundle": ca,
	}}
}

// write writes the configuration file and returns its name.
func (c config) write(tb testing.TB) string {
	tb.Helper()
	data, err := json.Marshal(c)
	if err != nil {
		tb.Fatal(err)
	}
	return write(tb, tb.TempDir(), "config.yml", data)
}

// write writes a file and returns its name.
func write(tb testing.TB, dir, name string, data []byte) string {
	tb.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}
