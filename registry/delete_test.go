package registry_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/registry/hosts"
)

func TestDeletionThatIsRefused(t *testing.T) {
	t.Parallel()
	one, data := emptyIndex("one")
	there := served(one, data)
	byDigest := "manifests/" + one.Digest.String()
	unsupported := `{"errors":[{"code":"UNSUPPORTED"}]}`
	for _, row := range []struct {
		name   string
		server script
		tag    bool
		kind   error
		text   string
	}{
		{name: "a tag, 405", tag: true, server: script{"HEAD": there, "DELETE": say(405, unsupported)}, kind: errdefs.ErrNotImplemented, text: "UNSUPPORTED"},
		{name: "a tag, 400", tag: true, server: script{"HEAD": there, "DELETE": say(400, unsupported)}, kind: errdefs.ErrNotImplemented, text: "UNSUPPORTED"},
		{name: "a tag that is there is not found", tag: true, server: script{"HEAD": there, "DELETE": say(404, "")}, kind: errdefs.ErrNotImplemented, text: "404"},
		{name: "a tag, forbidden", tag: true, server: script{"HEAD": there, "DELETE": say(403, "")}, kind: errdefs.ErrPermissionDenied, text: "403"},
		{name: "the manifest goes with the tag", tag: true, server: script{"HEAD manifests/v1": there, "DELETE": say(202, "")}, kind: errdefs.ErrNotImplemented, text: "has deleted the manifest " + one.Digest.String()},
		{name: "after it the registry fails", tag: true, server: script{"HEAD manifests/v1": there, "DELETE": say(202, ""), "HEAD " + byDigest: say(500, "")}, kind: errdefs.ErrUnavailable, text: "the tag is deleted"},
		{name: "a tag that is not there", tag: true, server: script{}, kind: errdefs.ErrNotFound, text: ":v1"},
		{name: "a manifest, 405", server: script{"DELETE": say(405, "")}, kind: errdefs.ErrNotImplemented, text: "405"},
		{name: "a manifest, 400", server: script{"DELETE": say(400, unsupported)}, kind: errdefs.ErrNotImplemented, text: "UNSUPPORTED"},
		{name: "a manifest that is not there", server: script{"DELETE": http.NotFound}, kind: errdefs.ErrNotFound, text: one.Digest.String()},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := listen(t, row.server)
			r := repository(t, clientOnce(t, s), s.host()+"/app", hosts.Delete)
			var err error
			if row.tag {
				err = r.DeleteTag(t.Context(), "v1")
			} else {
				err = r.DeleteManifest(t.Context(), one.Digest)
			}
			wantKind(t, err, row.kind, s.host()+"/app", row.text)
			if !errdefs.IsNotFound(row.kind) && errdefs.IsNotFound(err) {
				t.Errorf("taken for what is not there: %v", err)
			}
			for _, request := range s.asked() {
				if row.tag && strings.HasPrefix(request, "DELETE") && !strings.HasSuffix(request, "/v1") {
					t.Errorf("more than the tag was to be deleted: %s", request)
				}
			}
		})
	}
}

// TestDeletionOfReferrers has a registry without the referrers API, whose list is
// written by others, or must not be written.
func TestDeletionOfReferrers(t *testing.T) {
	t.Parallel()
	subject, _ := emptyIndex("subject")
	desc, data := referrerOf(subject, "ours")
	other := digest.FromString("other")
	tag := "manifests/" + strings.Replace(subject.Digest.String(), ":", "-", 1)
	both, rest := indexOf(desc.Digest, other), indexOf(other)
	list := func(body string) http.HandlerFunc {
		return say(200, body, "Content-Type", ocispec.MediaTypeImageIndex)
	}
	deletion := []string{"GET manifests", "GET referrers", "DELETE manifests"}
	for _, row := range []struct {
		name    string
		tag     []http.HandlerFunc // what is under it, the last one again and again
		put     http.HandlerFunc
		deleted http.HandlerFunc
		written bool     // the list without ours
		asked   []string // after it
		kind    error
		says    string
	}{
		{name: "it is taken out", tag: []http.HandlerFunc{list(both), list(rest)}, written: true, asked: []string{"GET tag", "PUT tag", "GET tag"}},
		{name: "others put it back twice", tag: []http.HandlerFunc{list(both), list(both), list(both), list(rest)}, written: true, asked: []string{"GET tag", "PUT tag", "GET tag", "PUT tag", "GET tag", "PUT tag", "GET tag"}},
		{name: "others always put it back", tag: []http.HandlerFunc{list(both)}, written: true, kind: errdefs.ErrUnavailable, says: "overwritten 8 times"},
		{name: "it is not listed", tag: []http.HandlerFunc{list(rest)}, asked: []string{"GET tag"}},
		{name: "there is no list", tag: []http.HandlerFunc{http.NotFound}, asked: []string{"GET tag"}},
		{name: "the tag is something else", tag: []http.HandlerFunc{say(200, `{"schemaVersion":2}`, "Content-Type", ocispec.MediaTypeImageManifest)}, asked: []string{"GET tag"}},
		{
			name: "no right to write it", tag: []http.HandlerFunc{list(both)}, put: say(403, ""), asked: []string{"GET tag", "PUT tag"},
			kind: errdefs.ErrPermissionDenied, says: "the manifest is deleted, but is still listed as a referrer under the tag sha256-",
		},
		{name: "the manifest is not deleted", tag: []http.HandlerFunc{list(both)}, deleted: say(405, ""), kind: errdefs.ErrNotImplemented, says: "405", asked: []string{}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var wrote string
			server := script{
				"GET manifests/" + desc.Digest.String():    served(desc, data),
				"DELETE manifests/" + desc.Digest.String(): say(202, ""),
				"GET " + tag: inTurn(row.tag...),
				"PUT " + tag: func(w http.ResponseWriter, r *http.Request) {
					body, err := io.ReadAll(r.Body)
					if err != nil {
						t.Error(err)
					}
					wrote = string(body)
					w.WriteHeader(http.StatusCreated)
				},
			}
			if row.put != nil {
				server["PUT "+tag] = row.put
			}
			if row.deleted != nil {
				server["DELETE manifests/"+desc.Digest.String()] = row.deleted
			}
			s := listen(t, server)
			err := repository(t, clientOnce(t, s), s.host()+"/app", hosts.Delete).DeleteManifest(t.Context(), desc.Digest)
			if row.kind != nil {
				wantKind(t, err, row.kind, desc.Digest.String(), row.says)
			} else if err != nil {
				t.Error(err)
			}
			if (wrote == rest) != row.written {
				t.Errorf("wrote %s", wrote)
			}
			var asked []string
			for _, request := range s.asked() {
				method, path, _ := strings.Cut(request, " /v2/app/")
				if path != tag {
					path, _, _ = strings.Cut(path, "/")
				} else {
					path = "tag"
				}
				asked = append(asked, method+" "+path)
			}
			if row.asked != nil && !slices.Equal(asked, append(slices.Clone(deletion), row.asked...)) {
				t.Errorf("asked %q", asked)
			}
		})
	}
}

// TestDeletionWithTokens has the list of referrers be written with a right that the
// deletion itself does not need.
func TestDeletionWithTokens(t *testing.T) {
	t.Parallel()
	subject, _ := emptyIndex("subject")
	desc, data := referrerOf(subject, "ours")
	tag := "manifests/" + strings.Replace(subject.Digest.String(), ":", "-", 1)
	g := &guard{}
	s, c, _ := tokenWorld(t, g, password())
	g.registry = script{
		"GET manifests/" + desc.Digest.String(): served(desc, data),
		"GET " + tag: inTurn(say(200, indexOf(desc.Digest), "Content-Type", ocispec.MediaTypeImageIndex),
			say(200, indexOf(), "Content-Type", ocispec.MediaTypeImageIndex)),
		"PUT": say(201, ""), "DELETE": say(202, ""),
	}
	if err := repository(t, c, s.host()+"/app", hosts.Delete).DeleteManifest(t.Context(), desc.Digest); err != nil {
		t.Fatal(err)
	}
	if got, want := g.requests(), []string{"GET repository:app:delete,pull", "GET repository:app:pull,push"}; !slices.Equal(got, want) {
		t.Errorf("asked for %q, want %q", got, want)
	}
}
