package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/registry/hosts"
	"github.com/dhowhq/dhow/registry/wire"
)

// script answers each request by METHOD and what comes after /v2/app/, or as "*".
type script map[string]http.HandlerFunc

func (s script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, key := range []string{r.Method + " " + strings.TrimPrefix(r.URL.Path, "/v2/app/"), r.Method, "*"} {
		if h, ok := s[key]; ok {
			h(w, r)
			return
		}
	}
	http.NotFound(w, r)
}

// say answers with a status, a body and fields in pairs.
func say(status int, body string, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(fields); i += 2 {
			w.Header().Set(fields[i], fields[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// served answers with a document as registries do.
func served(desc ocispec.Descriptor, data []byte) http.HandlerFunc {
	return say(200, string(data), "Content-Type", desc.MediaType, "Docker-Content-Digest", desc.Digest.String())
}

const page = "<!DOCTYPE html><html><body>Please log in</body></html>"

// TestMisbehaviour is what is made of answers that a registry should not give.
func TestMisbehaviour(t *testing.T) {
	t.Parallel()
	one, oneData := emptyIndex("one")
	two, twoData := emptyIndex("two")
	sum512 := digest.SHA512.FromBytes(oneData)
	get := func(reference string) func(context.Context, *registry.Repository) (ocispec.Descriptor, error) {
		return func(ctx context.Context, r *registry.Repository) (ocispec.Descriptor, error) {
			desc, _, err := r.Get(ctx, reference)
			return desc, err
		}
	}
	head := func(reference string) func(context.Context, *registry.Repository) (ocispec.Descriptor, error) {
		return func(ctx context.Context, r *registry.Repository) (ocispec.Descriptor, error) {
			return r.Head(ctx, reference)
		}
	}
	put := func(reference string) func(context.Context, *registry.Repository) (ocispec.Descriptor, error) {
		return func(ctx context.Context, r *registry.Repository) (ocispec.Descriptor, error) {
			return one, r.Put(ctx, one, oneData, reference)
		}
	}
	big := strings.Repeat(" ", 5<<20)
	for _, row := range []struct {
		name   string
		server script
		use    hosts.Use
		do     func(context.Context, *registry.Repository) (ocispec.Descriptor, error)
		digest digest.Digest // that is returned, if there is no error
		kind   error
		also   error
		text   string
		asked  []string // METHOD alone
	}{
		{name: "B31 page with status 200", server: script{"GET": say(200, page, "Content-Type", "text/html; charset=utf-8")}, do: get("v1"), kind: errdefs.ErrUnavailable, also: wire.ErrNotRegistry, text: "Please log in", asked: []string{"GET"}},
		{name: "B31 page that says it is JSON", server: script{"GET": say(200, page, "Content-Type", "application/json")}, do: get("v1"), kind: errdefs.ErrUnavailable, also: wire.ErrNotRegistry, text: "not a registry response", asked: []string{"GET"}},
		{name: "B31 page as a manifest by digest", server: script{"GET": say(200, page, "Content-Type", one.MediaType)}, do: get(string(one.Digest)), kind: errdefs.ErrDataLoss, asked: []string{"GET"}},
		{name: "B31 nothing with status 200", server: script{"GET": say(200, "")}, do: get("v1"), kind: errdefs.ErrUnavailable, asked: []string{"GET"}},
		{name: "B31 document as text/html", server: script{"GET": say(200, string(oneData), "Content-Type", "text/html")}, do: get("v1"), digest: one.Digest, asked: []string{"GET"}},
		{name: "document without a type", server: script{"GET": say(200, string(oneData), "Content-Type", "")}, do: get("v1"), digest: one.Digest, asked: []string{"GET"}},
		{name: "document of an unknown type", server: script{"GET": say(200, `{"a":1}`, "Content-Type", "application/vnd.example+json")}, do: get("v1"), digest: digest.FromString(`{"a":1}`), asked: []string{"GET"}},
		{name: "204 for a manifest", server: script{"GET": say(204, "")}, do: get("v1"), kind: errdefs.ErrUnknown, asked: []string{"GET"}},

		{name: "B78 HEAD says one, GET gives another", server: script{"HEAD": served(one, nil), "GET": served(two, twoData)}, do: get("v1"), digest: two.Digest, asked: []string{"GET"}},
		{name: "B78 by digest the bytes are another's", server: script{"GET": served(one, twoData)}, do: get(string(one.Digest)), kind: errdefs.ErrDataLoss, text: string(one.Digest), asked: []string{"GET"}},
		{name: "B78 HEAD by digest tells another one", server: script{"HEAD": served(two, twoData), "GET": served(one, oneData)}, do: head(string(one.Digest)), digest: one.Digest, asked: []string{"HEAD", "GET"}},

		{name: "B79 HEAD without a digest", server: script{"HEAD": say(200, string(oneData), "Content-Type", one.MediaType), "GET": served(one, oneData)}, do: head("v1"), digest: one.Digest, asked: []string{"HEAD", "GET"}},
		{name: "B79 HEAD without a type", server: script{"HEAD": say(200, string(oneData), "Content-Type", "application/json", "Docker-Content-Digest", string(one.Digest)), "GET": served(one, oneData)}, do: head("v1"), digest: one.Digest, asked: []string{"HEAD", "GET"}},
		{name: "B79 HEAD without a size", server: script{"HEAD": say(200, "", "Content-Type", one.MediaType, "Docker-Content-Digest", string(one.Digest)), "GET": served(one, oneData)}, do: head("v1"), digest: one.Digest, asked: []string{"HEAD", "GET"}},
		{name: "B79 HEAD is not allowed", server: script{"HEAD": say(405, ""), "GET": served(one, oneData)}, do: head("v1"), digest: one.Digest, asked: []string{"HEAD", "GET"}},
		{name: "B79 HEAD is forbidden", server: script{"HEAD": say(403, ""), "GET": served(one, oneData)}, use: hosts.Push, do: head("v1"), digest: one.Digest, asked: []string{"HEAD", "GET"}},
		{name: "B79 HEAD does not find it", server: script{"HEAD": say(404, ""), "GET": served(one, oneData)}, do: head("v1"), digest: one.Digest, asked: []string{"HEAD", "GET"}},
		{name: "B79 neither HEAD nor GET", server: script{}, do: head("v1"), kind: errdefs.ErrNotFound, asked: []string{"HEAD", "GET"}},
		{name: "B79 HEAD before a push is believed", server: script{"HEAD": say(404, ""), "GET": served(one, oneData)}, use: hosts.Push, do: head("v1"), kind: errdefs.ErrNotFound, asked: []string{"HEAD"}},

		{name: "B80 the digest lies, by tag", server: script{"GET": say(200, string(oneData), "Content-Type", one.MediaType, "Docker-Content-Digest", string(two.Digest))}, do: get("v1"), digest: one.Digest, asked: []string{"GET"}},
		{name: "B80 the digest lies, by digest", server: script{"GET": say(200, string(oneData), "Content-Type", one.MediaType, "Docker-Content-Digest", string(two.Digest))}, do: get(string(one.Digest)), digest: one.Digest, asked: []string{"GET"}},
		{name: "B80 the digest is of another algorithm", server: script{"GET": say(200, string(oneData), "Content-Type", one.MediaType, "Docker-Content-Digest", string(sum512))}, do: get("v1"), digest: sum512, asked: []string{"GET"}},
		{name: "B80 the digest is of an unknown algorithm", server: script{"GET": say(200, string(oneData), "Content-Type", one.MediaType, "Docker-Content-Digest", "md5:abc")}, do: get("v1"), digest: one.Digest, asked: []string{"GET"}},
		{name: "B80 the digest is a path", server: script{"HEAD": say(200, string(oneData), "Content-Type", one.MediaType, "Docker-Content-Digest", "sha256:../../x"), "GET": served(one, oneData)}, do: head("v1"), digest: one.Digest, asked: []string{"HEAD", "GET"}},

		{name: "a manifest beyond the limit, with its length", server: script{"GET": say(200, big, "Content-Type", one.MediaType)}, do: get("v1"), kind: errdefs.ErrResourceExhausted, asked: []string{"GET"}},
		{name: "a manifest without an end", server: script{"GET": endless}, do: get("v1"), kind: errdefs.ErrResourceExhausted, asked: []string{"GET"}},

		{name: "B81 401 without a challenge", server: script{"*": say(401, "")}, do: get("v1"), kind: errdefs.ErrPermissionDenied, text: "401", asked: []string{"GET"}},
		{name: "B81 a scheme that nobody knows", server: script{"*": say(401, "", "WWW-Authenticate", `Negotiate abc`)}, do: get("v1"), kind: errdefs.ErrPermissionDenied, text: "negotiate", asked: []string{"GET"}},
		{name: "B81 a realm that is no URL", server: script{"*": say(401, "", "WWW-Authenticate", `Bearer realm="file:///etc/passwd"`)}, do: get("v1"), kind: errdefs.ErrUnavailable, text: "realm", asked: []string{"GET"}},
		{name: "B81 a realm on the metadata service", server: script{"*": say(401, "", "WWW-Authenticate", `Bearer realm="http://169.254.169.254/latest"`)}, do: get("v1"), kind: errdefs.ErrPermissionDenied, text: "169.254.169.254", asked: []string{"GET"}},
		{name: "403", server: script{"*": say(403, `{"errors":[{"code":"DENIED","message":"no"}]}`)}, do: get("v1"), kind: errdefs.ErrPermissionDenied, text: "DENIED", asked: []string{"GET"}},

		{name: "B90 the registry keeps something else", server: script{"PUT": say(201, "", "Docker-Content-Digest", string(two.Digest))}, use: hosts.Push, do: put("v1"), kind: errdefs.ErrDataLoss, text: string(two.Digest), asked: []string{"PUT"}},
		{name: "B90 kept by another algorithm", server: script{"PUT": say(201, "", "Docker-Content-Digest", string(sum512))}, use: hosts.Push, do: put("v1"), digest: one.Digest, asked: []string{"PUT"}},
		{name: "415", server: script{"PUT": say(415, "")}, use: hosts.Push, do: put("v1"), kind: errdefs.ErrNotImplemented, also: registry.ErrTypeRefused, asked: []string{"PUT"}},
		{name: "MANIFEST_INVALID", server: script{"PUT": say(400, `{"errors":[{"code":"MANIFEST_INVALID"}]}`)}, use: hosts.Push, do: put("v1"), kind: errdefs.ErrNotImplemented, also: registry.ErrTypeRefused, asked: []string{"PUT"}},
		{name: "TAG_INVALID", server: script{"PUT": say(404, `{"errors":[{"code":"TAG_INVALID"}]}`)}, use: hosts.Push, do: put("v1"), kind: errdefs.ErrNotImplemented, also: registry.ErrTypeRefused, asked: []string{"PUT"}},
		{name: "UNSUPPORTED with Amazon's words", server: script{"PUT": say(405, `{"errors":[{"code":"UNSUPPORTED","message":"Invalid parameter: Invalid JSON syntax"}]}`)}, use: hosts.Push, do: put("v1"), kind: errdefs.ErrNotImplemented, also: registry.ErrTypeRefused, asked: []string{"PUT"}},
		{name: "MANIFEST_BLOB_UNKNOWN beside MANIFEST_INVALID", server: script{"PUT": say(400, `{"errors":[{"code":"MANIFEST_INVALID"},{"code":"MANIFEST_BLOB_UNKNOWN"}]}`)}, use: hosts.Push, do: put("v1"), kind: errdefs.ErrFailedPrecondition, also: registry.ErrBlobUnknown, asked: []string{"PUT"}},
		{name: "400 without a code", server: script{"PUT": say(400, "no")}, use: hosts.Push, do: put("v1"), kind: errdefs.ErrInvalidArgument, asked: []string{"PUT"}},
		{name: "a push with another digest as its reference", use: hosts.Push, do: put(string(two.Digest)), kind: errdefs.ErrInvalidArgument},
		{name: "a push to what was opened to pull", do: put("v1"), kind: errdefs.ErrInvalidArgument},
		{name: "a tag that is a path", do: get("../../x"), kind: errdefs.ErrInvalidArgument},
		{name: "a digest that is a path", do: get("sha256:../../x"), kind: errdefs.ErrInvalidArgument},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := listen(t, row.server)
			opts := registry.Options{Hosts: configure(t, insecure(s.host()))}
			opts.Wire.Attempts = 2
			desc, err := row.do(t.Context(), repository(t, newClient(t, opts), s.host()+"/app", row.use))
			if row.kind != nil {
				wantKind(t, err, row.kind, s.host()+"/app", row.text)
				if row.also != nil && !errors.Is(err, row.also) {
					t.Errorf("not %v: %v", row.also, err)
				}
			} else if err != nil || desc.Digest != row.digest {
				t.Errorf("got %v, %v", desc.Digest, err)
			}
			var methods []string
			for _, request := range s.asked() {
				method, _, _ := strings.Cut(request, " ")
				methods = append(methods, method)
			}
			if strings.Join(methods, " ") != strings.Join(row.asked, " ") {
				t.Errorf("asked %q, want %q", methods, row.asked)
			}
		})
	}
}

// endless answers with a body that does not end.
func endless(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", image.MediaTypeDockerManifest)
	for r.Context().Err() == nil {
		if _, err := io.WriteString(w, strings.Repeat(" ", 32<<10)); err != nil {
			return
		}
	}
}

func TestHeadIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	one, data := emptyIndex("one")
	s := listen(t, script{"HEAD": say(404, ""), "GET": served(one, data)})
	r := repository(t, clientOf(t, s), s.host()+"/app", hosts.Pull)
	for range 2 {
		if _, err := r.Head(t.Context(), "v1"); err != nil {
			t.Fatal(err)
		}
	}
	want(t, s, "HEAD /v2/app/manifests/v1", "GET /v2/app/manifests/v1", "GET /v2/app/manifests/v1")
}

func TestTooManyRequestsIsUnavailable(t *testing.T) {
	t.Parallel()
	s := listen(t, script{"*": say(429, `{"errors":[{"code":"TOOMANYREQUESTS"}]}`)})
	opts := registry.Options{Hosts: configure(t, insecure(s.host()))}
	opts.Wire.Attempts = -1
	_, _, err := repository(t, newClient(t, opts), s.host()+"/app", hosts.Pull).Get(t.Context(), "v1")
	wantKind(t, err, errdefs.ErrUnavailable, "TOOMANYREQUESTS", s.host()+"/app:v1")
}

func TestCancelling(t *testing.T) {
	t.Parallel()
	s := listen(t, script{"*": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	began := time.Now()
	_, _, err := repository(t, clientOf(t, s), s.host()+"/app", hosts.Pull).Get(ctx, "v1")
	if took := time.Since(began); !errors.Is(err, context.Canceled) || took > 120*time.Millisecond {
		t.Errorf("ended after %s with %v", took, err)
	}
}

func TestWarningsAreLoggedOnce(t *testing.T) {
	t.Parallel()
	one, data := emptyIndex("one")
	s := listen(t, script{"GET": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Warning", `299 - "this is going to end"`)
		served(one, data)(w, r)
	}})
	var log logged
	c := newClient(t, registry.Options{Hosts: configure(t, insecure(s.host())), Logger: log.logger()})
	r := repository(t, c, s.host()+"/app", hosts.Pull)
	for i := range 3 {
		if _, _, err := r.Get(t.Context(), fmt.Sprintf("v%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "this is going to end"); n != 1 {
		t.Errorf("logged %d times: %s", n, log.String())
	}
}
