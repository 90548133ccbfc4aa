package registry_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testregistry"
	"github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/registry/hosts"
)

func TestReferrersOfOddRegistries(t *testing.T) {
	t.Parallel()
	subject, data := emptyIndex("subject")
	a, b := digest.FromString("a"), digest.FromString("b")
	api := "GET referrers/" + subject.Digest.String()
	tag := "GET manifests/" + strings.Replace(subject.Digest.String(), ":", "-", 1)
	index := func(body string, fields ...string) http.HandlerFunc {
		return say(200, body, append([]string{"Content-Type", ocispec.MediaTypeImageIndex}, fields...)...)
	}
	var thousand []digest.Digest
	for i := range 1001 {
		thousand = append(thousand, digest.FromString(fmt.Sprint(i)))
	}
	for _, row := range []struct {
		name   string
		server script
		found  []digest.Digest
		kind   error
		asked  int
		again  int // requests when it is asked once more
	}{
		{name: "the API", server: script{api: index(indexOf(a, b))}, found: []digest.Digest{a, b}, asked: 1, again: 1},
		{name: "the API, none", server: script{api: index(indexOf())}, asked: 1, again: 1},
		{name: "the API, the same twice, and the subject itself", server: script{api: index(indexOf(a, a, subject.Digest))}, found: []digest.Digest{a}, asked: 1, again: 1},
		{name: "the API without a type", server: script{api: say(200, indexOf(a), "Content-Type", "application/json")}, found: []digest.Digest{a}, asked: 1, again: 1},
		{name: "no API, the tag", server: script{tag: index(indexOf(a))}, found: []digest.Digest{a}, asked: 2, again: 1},
		{name: "neither", server: script{}, asked: 2, again: 1},
		{name: "a repository that is not known says nothing of the API", server: script{"*": say(404, `{"errors":[{"code":"NAME_UNKNOWN"}]}`)}, asked: 2, again: 2},
		{name: "B92 a page with status 200", server: script{"*": say(200, page, "Content-Type", "text/html")}, asked: 2, again: 1},
		{name: "B92 a page instead of the API, and the tag", server: script{api: say(200, page, "Content-Type", "text/html"), tag: index(indexOf(a))}, found: []digest.Digest{a}, asked: 2, again: 1},
		{name: "B92 the API gives a manifest", server: script{api: say(200, `{"schemaVersion":2}`, "Content-Type", ocispec.MediaTypeImageManifest)}, asked: 2, again: 1},
		{name: "B92 the tag is the subject itself", server: script{tag: served(subject, data)}, asked: 2, again: 1},
		{name: "B92 the tag is a manifest", server: script{tag: say(200, `{"schemaVersion":2}`, "Content-Type", ocispec.MediaTypeImageManifest)}, asked: 2, again: 1},
		{name: "B92 filters that nobody asked for", server: script{api: index(indexOf(a), "OCI-Filters-Applied", "artifactType")}, found: []digest.Digest{a}, asked: 1, again: 1},
		{name: "B92 an index that is none", server: script{api: index(`{"manifests":[{"digest":"sha256:../../x"}]}`)}, kind: errdefs.ErrUnavailable, asked: 1, again: 1},
		{name: "the API is forbidden", server: script{api: say(403, "")}, kind: errdefs.ErrPermissionDenied, asked: 1, again: 1},
		{name: "the API fails", server: script{api: say(500, "")}, kind: errdefs.ErrUnavailable, asked: 1, again: 1},
		{name: "too many", server: script{api: index(indexOf(thousand...))}, found: thousand[:1000], kind: errdefs.ErrResourceExhausted, asked: 1, again: 1},
		{
			name: "pages", found: []digest.Digest{a, b}, asked: 2, again: 2,
			server: script{api: index(indexOf(a), "Link", `</v2/app/more>; rel="next"`), "GET more": index(indexOf(b))},
		},
		{
			name: "B91 pages in a circle", kind: errdefs.ErrUnavailable, found: []digest.Digest{a}, asked: 2, again: 2,
			server: script{api: index(indexOf(a), "Link", `<?page=2>; rel="next"`)},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := listen(t, row.server)
			opts := registry.Options{Hosts: configure(t, insecure(s.host()))}
			opts.Wire.Attempts = -1
			r := repository(t, newClient(t, opts), s.host()+"/app", hosts.Pull)
			for _, asked := range []int{row.asked, row.again} {
				got, err := r.Referrers(t.Context(), subject.Digest)
				if row.kind != nil {
					wantKind(t, err, row.kind, string(subject.Digest))
				} else if err != nil {
					t.Fatal(err)
				}
				var found []digest.Digest
				for _, d := range got {
					found = append(found, d.Digest)
				}
				if diff := cmp.Diff(row.found, found); diff != "" {
					t.Error(diff)
				}
				if requests := s.asked(); len(requests) != asked {
					t.Errorf("asked %q, want %d requests", requests, asked)
				}
			}
		})
	}
}

func TestAddReferrerAsksNothingAfterOCISubject(t *testing.T) {
	t.Parallel()
	subject, _ := emptyIndex("subject")
	desc, data := referrerOf(subject, "signature")
	s := listen(t, script{"PUT": say(201, "", "OCI-Subject", subject.Digest.String())})
	r := repository(t, clientOf(t, s), s.host()+"/app", hosts.Push)
	if err := r.Put(t.Context(), desc, data, desc.Digest.String()); err != nil {
		t.Fatal(err)
	}
	if err := r.AddReferrer(t.Context(), subject.Digest, desc); err != nil {
		t.Fatal(err)
	}
	want(t, s, "PUT /v2/app/manifests/"+desc.Digest.String())
}

// TestReferrersAreAddedTogether has two clients, each with many referrers at once,
// write the same tag.
func TestReferrersAreAddedTogether(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	store := testregistry.GGCR(t)
	s := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		store.ServeHTTP(w, r)
	}))
	subject, _ := pushed(t, repository(t, clientOf(t, s), s.host()+"/app", hosts.Push), "subject", "v1")
	s.asked()
	var all sync.WaitGroup
	r := repository(t, clientOf(t, s), s.host()+"/app", hosts.Push)
	for i := range 10 {
		all.Go(func() {
			desc, data := referrerOf(subject, fmt.Sprint(i))
			if err := r.Put(t.Context(), desc, data, string(desc.Digest)); err != nil {
				t.Error(err)
			}
			if err := r.AddReferrer(t.Context(), subject.Digest, desc); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got, err := r.Referrers(t.Context(), subject.Digest)
	if err != nil || len(got) != 10 {
		t.Errorf("%d referrers are left, %v", len(got), err)
	}
}

// TestReferrerThatIsOverwritten has others write the tag between our write and the
// look at it.
func TestReferrerThatIsOverwritten(t *testing.T) {
	t.Parallel()
	subject, _ := emptyIndex("subject")
	desc, _ := referrerOf(subject, "ours")
	other := digest.FromString("other")
	for _, row := range []struct {
		name string
		lost int // writes of ours that are lost
		kind error
	}{
		{name: "twice", lost: 2},
		{name: "always", lost: 1000, kind: errdefs.ErrUnavailable},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			kept, writes := indexOf(other), 0
			s := listen(t, script{
				"GET referrers/" + subject.Digest.String(): http.NotFound,
				"GET": func(w http.ResponseWriter, r *http.Request) {
					say(200, kept, "Content-Type", ocispec.MediaTypeImageIndex)(w, r)
				},
				"PUT": func(w http.ResponseWriter, r *http.Request) {
					body := make([]byte, r.ContentLength)
					if _, err := r.Body.Read(body); err != nil && len(body) == 0 {
						t.Error(err)
					}
					if writes++; writes > row.lost {
						kept = string(body)
					}
					w.WriteHeader(http.StatusCreated)
				},
			})
			err := repository(t, clientOf(t, s), s.host()+"/app", hosts.Push).AddReferrer(t.Context(), subject.Digest, desc)
			if row.kind != nil {
				wantKind(t, err, row.kind, "overwritten")
				return
			}
			if err != nil || writes != row.lost+1 || !strings.Contains(kept, string(other)) || !strings.Contains(kept, string(desc.Digest)) {
				t.Errorf("after %d writes there is %s, %v", writes, kept, err)
			}
		})
	}
}

func TestTagThatIsSomethingElseStays(t *testing.T) {
	t.Parallel()
	subject, _ := emptyIndex("subject")
	desc, _ := referrerOf(subject, "ours")
	s := listen(t, script{
		"GET referrers/" + subject.Digest.String(): http.NotFound,
		"GET": say(200, `{"schemaVersion":2}`, "Content-Type", ocispec.MediaTypeImageManifest),
	})
	err := repository(t, clientOf(t, s), s.host()+"/app", hosts.Push).AddReferrer(t.Context(), subject.Digest, desc)
	wantKind(t, err, errdefs.ErrFailedPrecondition, "in use")
	for _, request := range s.asked() {
		if strings.HasPrefix(request, "PUT") {
			t.Errorf("it was written: %s", request)
		}
	}
}
