package registry_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testregistry"
	"github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/registry/credentials"
	"github.com/dhowhq/dhow/registry/hosts"
)

// mirrored is the configuration of a registry with mirrors, in order.
func mirrored(home *site, mirrors ...*site) string {
	conf := insecure(home.host())
	for _, m := range mirrors {
		conf += fmt.Sprintf("[[registry.mirror]]\nlocation = \"%s/cache\"\ninsecure = true\n", m.host())
	}
	return conf
}

func TestMirrors(t *testing.T) {
	t.Parallel()
	one, data := emptyIndex("one")
	good := script{"GET": served(one, data), "*": served(one, data)}
	for _, row := range []struct {
		name         string
		mirror, home script
		kind         error
		texts        []string
		asked        int // of the mirror, for two Gets
		askedHome    int
	}{
		{name: "the mirror answers and is kept", mirror: good, home: good, asked: 2},
		{name: "it does not have the image", mirror: script{}, home: good, asked: 1, askedHome: 2},
		{name: "it fails, and is not asked again", mirror: script{"*": say(503, "")}, home: good, asked: 1, askedHome: 2},
		{name: "it is busy", mirror: script{"*": say(429, "", "Retry-After", "60")}, home: good, asked: 1, askedHome: 2},
		{name: "it wants a login", mirror: script{"*": say(401, "", "WWW-Authenticate", `Basic realm="x"`)}, home: good, asked: 1, askedHome: 2},
		{name: "it shows a page", mirror: script{"*": say(200, page, "Content-Type", "text/html")}, home: good, asked: 1, askedHome: 2},
		{
			name: "neither has it", mirror: script{}, home: script{}, kind: errdefs.ErrNotFound, asked: 2, askedHome: 2,
			texts: []string{"before that", "/cache/app"},
		},
		{
			name: "it has not, and the registry fails", mirror: script{}, home: script{"*": say(500, "")}, kind: errdefs.ErrUnavailable, asked: 2, askedHome: 2,
			texts: []string{"500", "404"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			mirror, home := listen(t, rooted("/v2/cache/app/", row.mirror)), listen(t, row.home)
			opts := registry.Options{Hosts: configure(t, mirrored(home, mirror))}
			opts.Wire.Attempts = -1
			r := repository(t, newClient(t, opts), home.host()+"/app", hosts.Pull)
			for range 2 {
				_, _, err := r.Get(t.Context(), "v1")
				switch {
				case row.kind == nil && err != nil:
					t.Fatal(err)
				case row.kind != nil:
					wantKind(t, err, row.kind, append(row.texts, home.host()+"/app:v1")...)
				}
				if row.kind != nil && errdefs.IsNotFound(err) != errdefs.IsNotFound(row.kind) {
					t.Errorf("of the mirror's kind: %v", err)
				}
			}
			if a, b := len(mirror.asked()), len(home.asked()); a != row.asked || b != row.askedHome {
				t.Errorf("asked the mirror %d times and the registry %d times, want %d and %d", a, b, row.asked, row.askedHome)
			}
		})
	}
}

// rooted moves a script below another repository.
func rooted(path string, s script) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		r.URL.Path = strings.Replace(r.URL.Path, path, "/v2/app/", 1)
		s.ServeHTTP(w, r)
	})
}

func TestMirrorThatIsDown(t *testing.T) {
	t.Parallel()
	one, data := emptyIndex("one")
	mirror, home := listen(t, script{}), listen(t, script{"*": served(one, data)})
	mirror.Close()
	r := repository(t, newClient(t, registry.Options{Hosts: configure(t, mirrored(home, mirror))}), home.host()+"/app", hosts.Pull)
	if _, _, err := r.Get(t.Context(), "v1"); err != nil {
		t.Error(err)
	}
	want(t, home, "GET /v2/app/manifests/v1")
}

func TestMirrorSendsSomethingElse(t *testing.T) {
	t.Parallel()
	one, data := emptyIndex("one")
	two, other := emptyIndex("two")
	mirror, home := listen(t, script{"*": served(two, other)}), listen(t, script{"*": served(one, data)})
	r := repository(t, newClient(t, registry.Options{Hosts: configure(t, mirrored(home, mirror))}), home.host()+"/app", hosts.Pull)
	_, got, err := r.Get(t.Context(), string(one.Digest))
	if err != nil || string(got) != string(data) {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestMirrorsGetNoCredentialOfTheRegistry(t *testing.T) {
	t.Parallel()
	for name, cred := range map[string]credentials.Credential{
		"password":       password(),
		"identity token": {RefreshToken: credentials.NewSecret(canary)},
		"access token":   {AccessToken: credentials.NewSecret(canary)},
	} {
		for _, challenge := range []string{"Basic", "Bearer"} {
			t.Run(name+" for "+challenge, func(t *testing.T) {
				t.Parallel()
				one, data := emptyIndex("one")
				var seen []string
				mirror := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					body := make([]byte, 1<<10)
					n, _ := r.Body.Read(body)
					seen = append(seen, fmt.Sprint(r.Header, r.URL, string(body[:n])))
					if r.URL.Path == "/token" {
						_, _ = fmt.Fprint(w, `{"token":"anonymous"}`)
						return
					}
					w.Header().Set("WWW-Authenticate", challenge+` realm="http://`+r.Host+`/token"`)
					w.WriteHeader(http.StatusUnauthorized)
				}))
				home := listen(t, script{"*": served(one, data)})
				c := newClient(t, registry.Options{Hosts: configure(t, mirrored(home, mirror)), Credentials: static(t, home.host(), cred)})
				if _, _, err := repository(t, c, home.host()+"/app", hosts.Pull).Get(t.Context(), "v1"); err != nil {
					t.Fatal(err)
				}
				if len(seen) == 0 {
					t.Fatal("the mirror was not asked")
				}
				text := fmt.Sprint(seen)
				hidden(t, text)
				if strings.Contains(text, "dXNlcj") { // user: in base64
					t.Errorf("the user's name: %s", text)
				}
			})
		}
	}
}

func TestReferrersOfMirrors(t *testing.T) {
	t.Parallel()
	subject, _ := emptyIndex("subject")
	list := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":2}]}`,
		ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest, digest.FromString("{}"))
	mirror := listen(t, script{})
	home := listen(t, script{"GET referrers/" + subject.Digest.String(): say(200, list, "Content-Type", ocispec.MediaTypeImageIndex)})
	r := repository(t, newClient(t, registry.Options{Hosts: configure(t, mirrored(home, mirror))}), home.host()+"/app", hosts.Pull)
	got, err := r.Referrers(t.Context(), subject.Digest)
	if err != nil || len(got) != 1 {
		t.Errorf("got %v, %v: a mirror without them hides those of the registry", got, err)
	}
}

func TestTagsAreThoseOfTheRegistry(t *testing.T) {
	t.Parallel()
	mirror, home := listen(t, script{"*": say(200, `{"tags":["old"]}`)}), listen(t, script{"*": say(200, `{"tags":["new"]}`)})
	r := repository(t, newClient(t, registry.Options{Hosts: configure(t, mirrored(home, mirror))}), home.host()+"/app", hosts.Pull)
	if got := tags(t, r); len(got) != 1 || got[0] != "new" {
		t.Errorf("got %q", got)
	}
	if asked := mirror.asked(); len(asked) != 0 {
		t.Errorf("the mirror was asked %q", asked)
	}
}

func TestBlockedAndMoved(t *testing.T) {
	t.Parallel()
	one, data := emptyIndex("one")
	s := listen(t, testregistry.Olareg(t))
	c := newClient(t, registry.Options{Hosts: configure(t, fmt.Sprintf(`
[[registry]]
prefix = "blocked.example"
location = "blocked.example"
blocked = true

[[registry]]
prefix = "moved.example/team"
location = "%s/new/place"
insecure = true
`, s.host()))})
	_, err := c.Repository(parse(t, "blocked.example/app"), hosts.Pull)
	wantKind(t, err, errdefs.ErrPermissionDenied, "blocked.example/app")

	// One rule for reading, writing, listing and deleting.
	name := "moved.example/team/app"
	if err := repository(t, c, name, hosts.Push).Put(t.Context(), one, data, "v1"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := repository(t, c, name, hosts.Pull).Get(t.Context(), "v1"); err != nil {
		t.Error(err)
	}
	tags(t, repository(t, c, name, hosts.List))
	if err := repository(t, c, name, hosts.Delete).DeleteManifest(t.Context(), one.Digest); err != nil {
		t.Error(err)
	}
	want(t, s, "PUT /v2/new/place/app/manifests/v1", "GET /v2/new/place/app/manifests/v1",
		"GET /v2/new/place/app/tags/list?n=1000", "GET /v2/new/place/app/manifests/"+string(one.Digest), "DELETE /v2/new/place/app/manifests/"+string(one.Digest))
}

// TestDialTimeout has the time to connect be that of one host, and of no other.
func TestDialTimeout(t *testing.T) {
	t.Parallel()
	one, data := emptyIndex("one")
	for _, row := range []struct {
		name, mirror string // and its dial_timeout
		asked        int
		logged       string
	}{
		{name: "none", asked: 1},
		{name: "long", mirror: `dial_timeout = "1m"`, asked: 1},
		{name: "over before it began", mirror: `dial_timeout = "1ns"`, logged: "i/o timeout"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			mirror, home := listen(t, script{"*": served(one, data)}), listen(t, script{"*": served(one, data)})
			var log logged
			r := repository(t, newClient(t, registry.Options{Logger: log.logger(), Hosts: hostsTOML(t, "registry.example", fmt.Sprintf(
				"server = %q\n[host.%q]\n%s\n", home.URL, mirror.URL, row.mirror))}), "registry.example/app", hosts.Pull)
			if _, _, err := r.Get(t.Context(), "v1"); err != nil {
				t.Fatal(err)
			}
			if a, b := len(mirror.asked()), len(home.asked()); a != row.asked || b != 1-row.asked {
				t.Errorf("asked the mirror %d times and the registry %d times", a, b)
			}
			if !strings.Contains(log.String(), row.logged) {
				t.Errorf("logged %s, want %q", log.String(), row.logged)
			}
		})
	}
}

// TestPrefixAndNamespace has a mirror of hosts.toml below a path of its own.
func TestPrefixAndNamespace(t *testing.T) {
	t.Parallel()
	one, data := emptyIndex("one")
	blob := []byte("content")
	desc := descriptor("application/octet-stream", blob)
	var header http.Header
	s := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		switch r.URL.Path {
		case "/mirrors/hub/app/manifests/v1":
			served(one, data)(w, r)
		case "/mirrors/hub/app/blobs/" + desc.Digest.String():
			_, _ = w.Write(blob)
		default:
			http.NotFound(w, r)
		}
	}))
	toml := fmt.Sprintf("[host.\"http://%s/mirrors/hub\"]\ncapabilities = [\"pull\", \"resolve\"]\noverride_path = true\n[host.\"http://%[1]s/mirrors/hub\".header]\nx-key = %q\n", s.host(), canary)
	var log logged
	opts := registry.Options{Hosts: hostsTOML(t, "registry.example", toml), Logger: log.logger()}
	opts.Wire.Log = log.logger()
	r := repository(t, newClient(t, opts), "registry.example/app", hosts.Pull)
	if _, _, err := r.Get(t.Context(), "v1"); err != nil {
		t.Fatal(err)
	}
	if header.Get("X-Key") != canary {
		t.Errorf("without the field that is configured: %v", header)
	}
	body, err := r.Blobs().Open(t.Context(), desc, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = body.Close()
	want(t, s, "GET /mirrors/hub/app/manifests/v1?ns=registry.example",
		"GET /mirrors/hub/app/blobs/"+desc.Digest.String()+"?ns=registry.example")
	hidden(t, log.String())
}
