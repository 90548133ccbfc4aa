package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/internal/testregistry"
)

// site is a server that writes down what it is asked, and with what authority.
type site struct {
	*httptest.Server
	mu  sync.Mutex
	log []string
}

func newSite(t *testing.T, h http.HandlerFunc) *site {
	t.Helper()
	s := &site{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		line := r.Method + " " + r.URL.Path
		if a := r.Header.Get("Authorization"); a != "" {
			scheme, _, _ := strings.Cut(a, " ")
			line += " with " + scheme
		}
		s.mu.Lock()
		s.log = append(s.log, line)
		s.mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// host is its address, and named the same by another name: another host.
func (s *site) host() string  { return strings.TrimPrefix(s.URL, "http://") }
func (s *site) named() string { return strings.Replace(s.host(), "127.0.0.1", "localhost", 1) }

// wantAsked checks what it was asked since the last time.
func (s *site) wantAsked(t *testing.T, what string, want ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := strings.Join(s.log, ", "); got != strings.Join(want, ", ") {
		t.Errorf("%s: asked %q, want %q", what, got, want)
	}
	s.log = nil
}

// wantRun runs the program and checks how it ends.
func (w *world) wantRun(t *testing.T, code int, says string, args ...string) {
	t.Helper()
	r := w.run(t, append([]string{"--log-level", "debug"}, args...)...)
	if r.code != code || !strings.Contains(r.stdout+r.stderr, says) {
		t.Errorf("dhow %q: exit code %d, want %d and %q\n%s%s", args, r.code, code, says, r.stdout, r.stderr)
	}
	if strings.Contains(r.stdout+r.stderr, canary) {
		t.Errorf("dhow %q tells the secret", args)
	}
}

// A token server on another host gets the credential if it is trusted, and else is
// asked without.
func TestTrustedRealms(t *testing.T) {
	t.Parallel()
	if _, err := net.DefaultResolver.LookupHost(t.Context(), "localhost"); err != nil {
		t.Skip(err)
	}
	w := newWorld(t)
	tokens := newSite(t, func(rw http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != canary {
			fmt.Fprint(rw, `{"token":"anonymous"}`)
			return
		}
		fmt.Fprint(rw, `{"token":"trusted"}`)
	})
	registry := newSite(t, func(rw http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Authorization") {
		case "Bearer trusted", "Bearer given":
			fmt.Fprint(rw, `{"name":"app","tags":["1"]}`)
		case "Bearer anonymous":
			rw.WriteHeader(http.StatusForbidden)
		default:
			rw.Header().Set("WWW-Authenticate", `Bearer realm="http://`+tokens.named()+`/token",service="x"`)
			rw.WriteHeader(http.StatusUnauthorized)
		}
	})
	args := []string{"tags", "--tls-verify=false", "--creds", "me:" + canary, registry.host() + "/app"}
	w.wantRun(t, 1, "trusted-realms", args...)
	tokens.wantAsked(t, "not trusted", "GET /token")
	w.wantRun(t, 1, "trusted-realms", append(args, "--trusted-realms", "example.com,*.localhost")...)
	tokens.wantAsked(t, "others are trusted", "GET /token")
	w.wantRun(t, 0, "1\n", append(args, "--trusted-realms", "example.com,localhost")...)
	tokens.wantAsked(t, "trusted", "GET /token with Basic")

	// A login is checked at the token server, so that has to be trusted as well.
	file := filepath.Join(w.dir, "auth.json")
	login := []string{"login", "--tls-verify=false", "-u", "me", "--password-stdin", "--authfile", file, registry.host()}
	if r := w.runWith(t, canary+"\n", login...); r.code != 1 || !strings.Contains(r.stderr, "trusted-realms") {
		t.Errorf("a login: %+v", r)
	}
	tokens.wantAsked(t, "a login", "GET /token")
	if r := w.runWith(t, canary+"\n", append(login, "--trusted-realms", tokens.named())...); r.code != 0 {
		t.Errorf("a login, trusted: %+v", r)
	}
	tokens.wantAsked(t, "a login, trusted", "GET /token with Basic")

	// A token that is given needs no token server.
	w.wantRun(t, 0, "1\n", "tags", "--tls-verify=false", "--registry-token", "given", registry.host()+"/app")
	tokens.wantAsked(t, "a token is given")
}

// Uploads and lists go on at another host if that is allowed, and without a credential.
func TestAllowedHosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := newSite(t, func(rw http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodPut:
			rw.WriteHeader(http.StatusCreated)
		case http.MethodGet:
			fmt.Fprint(rw, `{"name":"app","tags":["2"]}`)
		}
	})
	inner := testregistry.Olareg(t)
	registry := newSite(t, func(rw http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != canary {
			rw.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		switch {
		case r.Method == http.MethodPost:
			rw.Header().Set("Location", store.URL+"/upload")
			rw.WriteHeader(http.StatusAccepted)
		case strings.HasSuffix(r.URL.Path, "/tags/list"):
			rw.Header().Set("Link", "<"+store.URL+`/more>; rel="next"`)
			fmt.Fprint(rw, `{"name":"app","tags":["1"]}`)
		case r.Method == http.MethodPut:
			rw.WriteHeader(http.StatusCreated)
		default:
			inner.ServeHTTP(rw, r)
		}
	})
	push := []string{"copy", "-q", "--digest-tags=false", "--dest-tls-verify=false", "--dest-creds", "me:" + canary, "oci:layout:single", "docker://" + registry.host() + "/app:1"}
	list := []string{"tags", "--tls-verify=false", "--creds", "me:" + canary, registry.host() + "/app"}
	w.wantRun(t, 1, "allowed-hosts", push...)
	w.wantRun(t, 1, "allowed-hosts", list...)
	store.wantAsked(t, "not allowed")
	w.wantRun(t, 1, "allowed-hosts", append(push, "--dest-allowed-hosts", "127.0.0.1:1")...)
	store.wantAsked(t, "another port is allowed")

	w.wantRun(t, 0, "copied 4", append(push, "--dest-allowed-hosts", store.host())...)
	store.wantAsked(t, "an upload", "PUT /upload", "PUT /upload", "PUT /upload")
	w.wantRun(t, 0, "1\n2\n", append(list, "--allowed-hosts", store.host())...)
	store.wantAsked(t, "a list", "GET /more")
}

// A layer that the registry lacks is read from its URLs if it is to be included, and the
// host is one that an image may choose: a public one, or an allowed one.
func TestIncludeForeign(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const content = "a layer of others"
	elsewhere := newSite(t, func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, content) })
	s := &testimage.Store{}
	root := s.JSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: s.JSON(ocispec.MediaTypeImageConfig, ocispec.Image{Platform: linux("amd64", ""), RootFS: ocispec.RootFS{
			Type: "layers", DiffIDs: []digest.Digest{digest.FromString(content)},
		}}),
		Layers: []ocispec.Descriptor{{
			MediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar",
			Digest:    digest.FromString(content), Size: int64(len(content)), URLs: []string{elsewhere.URL + "/layer"},
		}},
	})
	registry := newSite(t, func(rw http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != canary {
			rw.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		name := digest.Digest(r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:])
		if name == "1" {
			name = root.Digest
			rw.Header().Set("Content-Type", root.MediaType)
		}
		data := s.Get(name)
		if data == nil {
			rw.WriteHeader(http.StatusNotFound)
		}
		_, _ = rw.Write(data)
	})
	args := func(more ...string) []string {
		return append(more, "copy", "-q", "--referrers=false", "--digest-tags=false", "--src-tls-verify=false", "--src-creds", "me:"+canary, "docker://"+registry.host()+"/app:1", "oci:"+t.TempDir()+"/out:x")
	}
	w.wantRun(t, 0, "copied 2, reused 0, skipped 1", args()...)
	w.wantRun(t, 0, "copied 2, reused 0, skipped 1", append(args(), "--src-allowed-hosts", elsewhere.host())...)
	w.wantRun(t, 1, "allowed-hosts", append(args(), "--include-foreign")...)
	elsewhere.wantAsked(t, "not allowed")
	w.wantRun(t, 0, "copied 3, reused 0", append(args(), "--include-foreign", "--src-allowed-hosts", elsewhere.host())...)
	elsewhere.wantAsked(t, "allowed", "GET /layer")
}
