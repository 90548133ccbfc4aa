package registry_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/testregistry/process"
	"github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/registry/blob"
	"github.com/dhowhq/dhow/registry/credentials"
	"github.com/dhowhq/dhow/registry/hosts"
	"github.com/dhowhq/dhow/registry/wire"
	"github.com/dhowhq/dhow/transport"
)

// remote is a registry that is a process of its own. What it is asked, the client
// tells: refusals for want of authentication and what others are asked left out.
type remote struct {
	*process.Registry
	mu  sync.Mutex
	log []string
}

func (r *remote) host() string { return r.Host }

func (r *remote) asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.log
	r.log = nil
	return all
}

func (r *remote) attempt(a wire.Attempt) {
	u, err := url.Parse(a.URL)
	if err != nil || u.Host != r.Host || a.Status == http.StatusUnauthorized {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, a.Method+" "+u.RequestURI())
}

// startProcess starts a registry of a mode.
func startProcess(t *testing.T, mode process.Mode) *remote {
	t.Helper()
	return &remote{Registry: process.Start(t, mode)}
}

// client returns a client with the name and password.
func (r *remote) client(t *testing.T) *registry.Client {
	t.Helper()
	return newClient(t, r.options(t, credentials.Credential{Username: process.Username, Password: credentials.NewSecret(process.Password)}))
}

// options are those of a client with a credential.
func (r *remote) options(t *testing.T, c credentials.Credential) registry.Options {
	t.Helper()
	conf := configure(t, insecure(r.Host))
	if r.CertDir != "" {
		var err error
		if conf, err = hosts.Load(hosts.Options{CertDir: r.CertDir, Root: t.TempDir(), Home: t.TempDir()}); err != nil {
			t.Fatal(err)
		}
	}
	opts := registry.Options{Hosts: conf, Credentials: static(t, r.Host, c)}
	opts.Wire.Hooks.Attempt = r.attempt
	// For the token server: that the registry is trusted says nothing of another port.
	opts.Wire.TLS = func(wire.Origin) (*tls.Config, error) {
		return &tls.Config{RootCAs: r.Trusted, MinVersion: tls.VersionTLS12}, nil
	}
	return opts
}

// TestProcess runs the suite against the real registry, by the ways of asking that the
// registries in process do not have. Without a password there is nothing that these do
// not show too.
func TestProcess(t *testing.T) {
	t.Parallel()
	modes := map[string]process.Mode{"basic over TLS": process.Basic, "tokens over TLS": process.Token}
	if os.Getenv("DHOW_TEST_LONG") != "" {
		modes["plain"], modes["TLS"] = process.Plain, process.TLS
	}
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testRegistry(t, kind{name: "distribution", untags: true, children: true, remote: func(t *testing.T) server {
				t.Helper()
				return startProcess(t, mode)
			}})
		})
	}
}

// TestProcessCredentials asks with credentials that the real registry takes, and with
// others.
func TestProcessCredentials(t *testing.T) {
	t.Parallel()
	good := credentials.Credential{Username: process.Username, Password: credentials.NewSecret(process.Password)}
	none := credentials.Credential{}
	wrong := credentials.Credential{Username: process.Username, Password: credentials.NewSecret("wrong-" + canary)}
	for name, mode := range map[string]process.Mode{"basic": process.Basic, "tokens": process.Token} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startProcess(t, mode)
			c := r.client(t)
			pushed(t, repository(t, c, r.Host+"/public/app", hosts.Push), "one", "v1")
			if err := c.Check(t.Context(), r.Host, good); err != nil {
				t.Error(err)
			}
			wantKind(t, c.Check(t.Context(), r.Host, wrong), errdefs.ErrPermissionDenied, r.Host)
			get := func(cred credentials.Credential, name string) error {
				_, _, err := repository(t, newClient(t, r.options(t, cred)), r.Host+name, hosts.Pull).Get(t.Context(), "v1")
				return err
			}
			for name, err := range map[string]error{"wrong": get(wrong, "/public/app"), "none": get(none, "/private/app")} {
				wantKind(t, err, errdefs.ErrPermissionDenied, r.Host)
				if err != nil {
					hidden(t, name+": "+err.Error())
				}
			}
			if err := get(none, "/public/app"); mode == process.Token && err != nil { // everybody may pull that
				t.Error(err)
			}
		})
	}
}

// TestProcessScopes shows that what is asked for in a token is enough for each thing
// that is done, and is asked for once.
func TestProcessScopes(t *testing.T) {
	t.Parallel()
	r := startProcess(t, process.Token)
	granted := func(t *testing.T, want ...string) {
		t.Helper()
		if got := r.Tokens.Granted(); !slices.Equal(got, want) {
			t.Errorf("tokens for %q, want %q", got, want)
		}
	}
	content := bytes.Repeat([]byte("content "), 1<<10)
	blobDesc := descriptor("application/octet-stream", content)
	c := r.client(t)
	from, to := repository(t, c, r.Host+"/team/from", hosts.Push), repository(t, c, r.Host+"/team/to", hosts.Push)
	if _, err := from.Blobs().Push(t.Context(), blobDesc, opener(content), blob.PushOptions{}); err != nil {
		t.Fatal(err)
	}
	desc, _ := pushed(t, from, "one", "v1", "v2")
	granted(t, "repository:team/from:pull,push")

	out, err := to.Blobs().Push(t.Context(), blobDesc, opener(nil), blob.PushOptions{MountFrom: "team/from"})
	if err != nil || out.Action != transport.Mounted {
		t.Fatalf("%v, %v", out, err)
	}
	granted(t, "repository:team/from:pull repository:team/to:pull,push")

	if got := fetched(t, repository(t, r.client(t), r.Host+"/team/to", hosts.Pull), blobDesc); got != string(content) {
		t.Errorf("got %d bytes", len(got))
	}
	granted(t, "repository:team/to:pull")

	if err := repository(t, r.client(t), r.Host+"/team/from", hosts.Delete).DeleteManifest(t.Context(), desc.Digest); err != nil {
		t.Error(err)
	}
	granted(t, "repository:team/from:delete,pull")

	if err := r.client(t).Repositories(t.Context(), r.Host, func(string) bool { return true }); err != nil {
		t.Error(err)
	}
	granted(t, "registry:catalog:*")
}

// pause is a reader that ends after a while.
type pause time.Duration

func (p pause) Read([]byte) (int, error) {
	time.Sleep(time.Duration(p))
	return 0, io.EOF
}

// TestProcessTokenExpires has a token expire while a blob is sent in pieces.
func TestProcessTokenExpires(t *testing.T) {
	t.Parallel()
	r := startProcess(t, process.Token)
	const lifetime = 2 * time.Second // or one less: what is over is known to the second
	r.Tokens.Lifetime(lifetime)
	content := bytes.Repeat([]byte("content "), 1<<17) // not sent with the first request
	desc := descriptor("application/octet-stream", content)
	half := len(content) / 2
	opts := r.options(t, credentials.Credential{Username: process.Username, Password: credentials.NewSecret(process.Password)})
	opts.Blobs = blob.Options{PutUpTo: -1, PieceSize: int64(half)}
	slow := func(_ context.Context, from int64) (io.ReadCloser, error) {
		if from >= int64(half) {
			return io.NopCloser(bytes.NewReader(content[from:])), nil
		}
		return io.NopCloser(io.MultiReader(bytes.NewReader(content[from:half-1]), pause(lifetime), bytes.NewReader(content[half-1:]))), nil
	}
	if _, err := repository(t, newClient(t, opts), r.Host+"/app", hosts.Push).Blobs().Push(t.Context(), desc, slow, blob.PushOptions{}); err != nil {
		t.Fatal(err)
	}
	want := []string{"repository:app:pull,push", "repository:app:pull,push"}
	if got := r.Tokens.Granted(); !slices.Equal(got, want) {
		t.Errorf("tokens for %q, want %q", got, want)
	}
	if got := fetched(t, repository(t, r.client(t), r.Host+"/app", hosts.Pull), desc); got != string(content) {
		t.Errorf("got %d bytes", len(got))
	}
}
