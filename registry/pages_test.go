package registry_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/registry/hosts"
)

// many is a registry with so many tags, which it lists as it is asked to.
func many(n int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		size, _ := strconv.Atoi(r.URL.Query().Get("n"))
		from, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Query().Get("last"), "v"))
		var page []string
		for i := from + 1; i <= n && len(page) < size; i++ {
			page = append(page, fmt.Sprintf("v%06d", i))
		}
		if from+len(page) < n {
			w.Header().Set("Link", fmt.Sprintf(`</v2/app/tags/list?n=%d&last=%s>; rel="next"`, size, page[len(page)-1]))
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"name": "app", "tags": page})
	}
}

func TestManyTagsInLittleMemory(t *testing.T) {
	s := listen(t, many(100_000))
	r := repository(t, clientOf(t, s), s.host()+"/app", hosts.List)
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n, most := 0, uint64(0)
	err := r.Tags(t.Context(), func(string) bool {
		if n++; n%10_000 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
		}
		return true
	})
	if err != nil || n != 100_000 {
		t.Errorf("%d tags, %v", n, err)
	}
	if more := int64(most) - int64(before.HeapAlloc); more > 4<<20 {
		t.Errorf("%d bytes more are held on the way", more)
	}
	if asked := len(s.asked()); asked != 100 {
		t.Errorf("%d requests", asked)
	}
}

func TestTagsEndEarly(t *testing.T) {
	t.Parallel()
	s := listen(t, many(5000))
	n := 0
	err := repository(t, clientOf(t, s), s.host()+"/app", hosts.List).Tags(t.Context(), func(string) bool {
		n++
		return n < 1001
	})
	if asked := len(s.asked()); err != nil || n != 1001 || asked != 2 {
		t.Errorf("%d tags by %d requests, %v", n, asked, err)
	}
}

func TestTagLists(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		pages  []http.HandlerFunc // the last one again and again
		tags   []string
		kind   error
		text   string
		logged string
		asked  int
	}{
		{name: "null", pages: []http.HandlerFunc{say(200, `{"name":"app","tags":null}`)}, asked: 1},
		{name: "no list", pages: []http.HandlerFunc{say(200, `{"name":"app"}`)}, asked: 1},
		{
			name: "B19 tags that are none", asked: 1, tags: []string{"a", "b"}, logged: `count=5 first="\"../x\""`,
			pages: []http.HandlerFunc{say(200, `{"tags":["a","../x","",null,7,"b","`+strings.Repeat("x", 129)+`"]}`)},
		},
		{
			name: "B19 the same tags, on the seam of pages too", asked: 2, tags: []string{"a", "b", "c"},
			pages: []http.HandlerFunc{say(200, `{"tags":["a","a","b"]}`, "Link", `</v2/app/tags/list?last=b>; rel=next`), say(200, `{"tags":["b","c"]}`)},
		},
		{name: "a page instead", pages: []http.HandlerFunc{say(200, page, "Content-Type", "text/html")}, kind: errdefs.ErrUnavailable, text: "Please log in", asked: 1},
		{name: "no JSON", pages: []http.HandlerFunc{say(200, "tags")}, kind: errdefs.ErrUnavailable, text: "begins", asked: 1},
		{name: "a list in the wrong place", pages: []http.HandlerFunc{say(200, `["a"]`)}, kind: errdefs.ErrUnavailable, text: "not a list of tags", asked: 1},
		{
			name: "B91 a page that leads to itself", kind: errdefs.ErrUnavailable, text: "back", asked: 2, tags: []string{"a"},
			pages: []http.HandlerFunc{say(200, `{"tags":["a"]}`, "Link", `</v2/app/tags/list?last=a>; rel="next"`)},
		},
		{
			name: "B91 two pages that lead to each other", kind: errdefs.ErrUnavailable, text: "back", asked: 3, tags: []string{"a", "b", "a"},
			pages: []http.HandlerFunc{
				say(200, `{"tags":["a"]}`, "Link", `</v2/app/tags/list?last=a>; rel="next"`),
				say(200, `{"tags":["b"]}`, "Link", `</v2/app/tags/list?last=b>; rel="next"`),
				say(200, `{"tags":["a"]}`, "Link", `</v2/app/tags/list?last=a>; rel="next"`),
			},
		},
		{
			name: "B91 the rest is elsewhere", kind: errdefs.ErrPermissionDenied, text: "allowed-hosts", asked: 1, tags: []string{"a"},
			pages: []http.HandlerFunc{say(200, `{"tags":["a"]}`, "Link", `<http://127.0.0.1:1/v2/app/tags/list>; rel="next"`)},
		},
		{
			name: "B91 a link that is none", kind: errdefs.ErrUnavailable, text: "next page", asked: 1, tags: []string{"a"},
			pages: []http.HandlerFunc{say(200, `{"tags":["a"]}`, "Link", `</x>; rel="next"; title="`)},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			n := 0
			s := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				row.pages[min(n, len(row.pages)-1)](w, r)
				n++
			}))
			var log logged
			c := newClient(t, registry.Options{Hosts: configure(t, insecure(s.host())), Logger: log.logger()})
			var got []string
			err := repository(t, c, s.host()+"/app", hosts.List).Tags(t.Context(), func(tag string) bool {
				got = append(got, tag)
				return true
			})
			if row.kind != nil {
				wantKind(t, err, row.kind, s.host()+"/app", row.text)
			} else if err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(row.tags, got); diff != "" {
				t.Error(diff)
			}
			if asked := len(s.asked()); asked != row.asked {
				t.Errorf("%d requests, want %d", asked, row.asked)
			}
			if row.logged != "" && strings.Count(log.String(), row.logged) != 1 {
				t.Errorf("%q is not logged once: %s", row.logged, log.String())
			}
		})
	}
}

// TestListWithoutEnd has each page lead to a new one.
func TestListWithoutEnd(t *testing.T) {
	t.Parallel()
	n := 0
	s := listen(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n++
		w.Header().Set("Link", fmt.Sprintf(`</v2/app/tags/list?last=%d>; rel="next"`, n))
		_, _ = fmt.Fprint(w, `{"tags":["a"]}`)
	}))
	c := clientOf(t, s)
	c.SetMaxPages(50)
	err := repository(t, c, s.host()+"/app", hosts.List).Tags(t.Context(), func(string) bool { return true })
	wantKind(t, err, errdefs.ErrResourceExhausted, "50 pages")
	if asked := len(s.asked()); asked != 50 {
		t.Errorf("%d requests", asked)
	}
}

func TestCatalogue(t *testing.T) {
	t.Parallel()
	s := listen(t, script{"*": func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("last") == "" {
			w.Header().Set("Link", `</v2/_catalog?last=b&n=1000>; rel="next"`)
			_, _ = fmt.Fprint(w, `{"repositories":["a","A/..","team/b"]}`)
			return
		}
		_, _ = fmt.Fprint(w, `{"repositories":["c"]}`)
	}})
	var got []string
	err := clientOf(t, s).Repositories(t.Context(), s.host(), func(name string) bool {
		got = append(got, name)
		return true
	})
	if err != nil || !slices.Equal(got, []string{"a", "team/b", "c"}) {
		t.Errorf("got %q, %v", got, err)
	}
	want(t, s, "GET /v2/_catalog?n=1000", "GET /v2/_catalog?last=b&n=1000")
}

// indexOf is an index with entries.
func indexOf(digests ...digest.Digest) string {
	var entries []string
	for _, d := range digests {
		entries = append(entries, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":2}`, ocispec.MediaTypeImageManifest, d))
	}
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, ocispec.MediaTypeImageIndex, strings.Join(entries, ","))
}
