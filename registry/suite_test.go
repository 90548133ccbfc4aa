package registry_test

import (
	"errors"
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

// TestRegistries runs the suite against registries that behave differently.
func TestRegistries(t *testing.T) {
	t.Parallel()
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			testRegistry(t, k)
		})
	}
}

func testRegistry(t *testing.T, k kind) {
	t.Helper()
	t.Run("manifests", func(t *testing.T) { testManifests(t, k) })
	t.Run("tags", func(t *testing.T) { testTags(t, k) })
	t.Run("referrers", func(t *testing.T) { testReferrers(t, k) })
	t.Run("deletion", func(t *testing.T) { testDeletion(t, k) })
	t.Run("deletion of referrers", func(t *testing.T) { testReferrersDeletion(t, k) })
	t.Run("refusals", func(t *testing.T) { testRefusals(t, k) })
}

func testManifests(t *testing.T, k kind) {
	t.Helper()
	s := k.open(t)
	c := s.client(t)
	name := s.host() + "/team/app"
	push, pull := repository(t, c, name, hosts.Push), repository(t, c, name, hosts.Pull)

	desc, data := emptyIndex("one")
	if err := push.Put(t.Context(), desc, data, "v1"); err != nil {
		t.Fatal(err)
	}
	if err := push.Put(t.Context(), desc, data, desc.Digest.String()); err != nil {
		t.Fatal(err)
	}
	want(t, s, "PUT /v2/team/app/manifests/v1", "PUT /v2/team/app/manifests/"+desc.Digest.String())

	for _, reference := range []string{"v1", desc.Digest.String()} {
		got, body, err := pull.Get(t.Context(), reference)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(desc, got); diff != "" || string(body) != string(data) {
			t.Errorf("got another document by %s: %s", reference, diff)
		}
		want(t, s, "GET /v2/team/app/manifests/"+reference)
		got, err = pull.Head(t.Context(), reference)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(desc, got); diff != "" {
			t.Errorf("another descriptor by %s: %s", reference, diff)
		}
		want(t, s, "HEAD /v2/team/app/manifests/"+reference)
	}

	absent := digest.FromString("absent")
	_, _, err := pull.Get(t.Context(), "absent")
	wantKind(t, err, errdefs.ErrNotFound, name+":absent", s.host())
	_, _, err = pull.Get(t.Context(), absent.String())
	wantKind(t, err, errdefs.ErrNotFound, name+"@"+absent.String())
	s.asked()
	_, err = push.Head(t.Context(), "absent")
	wantKind(t, err, errdefs.ErrNotFound, name+":absent")
	want(t, s, "HEAD /v2/team/app/manifests/absent")
}

func testTags(t *testing.T, k kind) {
	t.Helper()
	s := k.open(t)
	c := s.client(t)
	r := repository(t, c, s.host()+"/app", hosts.Push)
	pushed(t, r, "one", "b", "a", "c")
	s.asked()
	got := tags(t, r)
	slices.Sort(got)
	if diff := cmp.Diff([]string{"a", "b", "c"}, got); diff != "" {
		t.Error(diff)
	}
	want(t, s, "GET /v2/app/tags/list?n=1000")

	var repos []string
	if err := c.Repositories(t.Context(), s.host(), func(name string) bool {
		repos = append(repos, name)
		return true
	}); err != nil && k.name != "olareg" { // which has no catalogue
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"app"}, repos); diff != "" && k.name != "olareg" {
		t.Error(diff)
	}
	err := repository(t, c, s.host()+"/absent", hosts.List).Tags(t.Context(), func(string) bool { return true })
	if k.name != "olareg" { // for which there is no such thing as a repository
		wantKind(t, err, errdefs.ErrNotFound, s.host()+"/absent")
	}
}

func testReferrers(t *testing.T, k kind) {
	t.Helper()
	s := k.open(t)
	c := s.client(t)
	r := repository(t, c, s.host()+"/app", hosts.Push)
	subject, _ := pushed(t, r, "subject", "v1")
	none, err := r.Referrers(t.Context(), subject.Digest)
	if err != nil || none == nil || len(none) != 0 {
		t.Fatalf("got %v, %v", none, err)
	}
	var expected []ocispec.Descriptor
	for _, note := range []string{"signature", "bill"} {
		desc, data := referrerOf(subject, note)
		if err := r.Put(t.Context(), desc, data, desc.Digest.String()); err != nil {
			t.Fatal(err)
		}
		desc.ArtifactType, desc.Annotations = "application/vnd.example.note", map[string]string{"note": note}
		expected = append(expected, desc)
		for range 2 { // the second time changes nothing
			if err := r.AddReferrer(t.Context(), subject.Digest, desc); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.asked()
	got, err := r.Referrers(t.Context(), subject.Digest)
	if err != nil {
		t.Fatal(err)
	}
	byDigest := func(a, b ocispec.Descriptor) int { return strings.Compare(string(a.Digest), string(b.Digest)) }
	slices.SortFunc(got, byDigest)
	slices.SortFunc(expected, byDigest)
	if diff := cmp.Diff(expected, got, cmpopts(k)); diff != "" {
		t.Error(diff)
	}
	if k.api {
		want(t, s, "GET /v2/app/referrers/"+subject.Digest.String())
	} else {
		want(t, s, "GET /v2/app/manifests/"+strings.Replace(subject.Digest.String(), ":", "-", 1))
	}
}

// cmpopts leaves out what one registry does not tell of an index.
func cmpopts(k kind) cmp.Option {
	return cmp.FilterPath(func(p cmp.Path) bool {
		return p.Last().String() == ".ArtifactType" && k.name == "ggcr with referrers"
	}, cmp.Ignore())
}

// referrerOf returns an index that refers to a subject.
func referrerOf(subject ocispec.Descriptor, note string) (ocispec.Descriptor, []byte) {
	data := []byte(`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","artifactType":"application/vnd.example.note",` +
		`"manifests":[],"subject":{"mediaType":"` + subject.MediaType + `","digest":"` + subject.Digest.String() + `","size":` +
		strconv.FormatInt(subject.Size, 10) + `},"annotations":{"note":"` + note + `"}}`)
	return descriptor(ocispec.MediaTypeImageIndex, data), data
}

func testDeletion(t *testing.T, k kind) {
	t.Helper()
	s := k.open(t)
	c := s.client(t)
	name := s.host() + "/app"
	push, del := repository(t, c, name, hosts.Push), repository(t, c, name, hosts.Delete)
	desc, _ := pushed(t, push, "one", "v1", "v2", desc1())
	s.asked()
	if err := del.DeleteTag(t.Context(), "v1"); err != nil {
		t.Fatal(err)
	}
	want(t, s, "HEAD /v2/app/manifests/v1", "DELETE /v2/app/manifests/v1", "HEAD /v2/app/manifests/"+desc.Digest.String())
	if got := tags(t, push); !slices.Equal(got, []string{"v2"}) {
		t.Errorf("tags that are left: %q", got)
	}
	wantKind(t, del.DeleteTag(t.Context(), "v1"), errdefs.ErrNotFound, name+":v1")
	if err := del.DeleteManifest(t.Context(), desc.Digest); err != nil {
		t.Fatal(err)
	}
	_, err := push.Head(t.Context(), desc.Digest.String())
	wantKind(t, err, errdefs.ErrNotFound)
	wantKind(t, del.DeleteManifest(t.Context(), desc.Digest), errdefs.ErrNotFound, desc.Digest.String())
}

// testReferrersDeletion deletes referrers one by one: they leave the list, wherever
// that is, and the others stay in it.
func testReferrersDeletion(t *testing.T, k kind) {
	t.Helper()
	s := k.open(t)
	c := s.client(t)
	push, del := repository(t, c, s.host()+"/app", hosts.Push), repository(t, c, s.host()+"/app", hosts.Delete)
	subject, _ := pushed(t, push, "subject", "v1")
	var left []digest.Digest
	for _, note := range []string{"signature", "bill"} {
		desc, data := referrerOf(subject, note)
		if err := push.Put(t.Context(), desc, data, desc.Digest.String()); err != nil {
			t.Fatal(err)
		}
		if err := push.AddReferrer(t.Context(), subject.Digest, desc); err != nil {
			t.Fatal(err)
		}
		left = append(left, desc.Digest)
	}
	tag := "/v2/app/manifests/" + strings.Replace(subject.Digest.String(), ":", "-", 1)
	for len(left) > 0 {
		gone := "/v2/app/manifests/" + left[0].String()
		s.asked()
		if err := del.DeleteManifest(t.Context(), left[0]); err != nil {
			t.Fatal(err)
		}
		if k.api {
			want(t, s, "DELETE "+gone)
		} else { // the list is looked at until the change is seen there
			want(t, s, "GET "+gone, "DELETE "+gone, "GET "+tag, "PUT "+tag, "GET "+tag)
		}
		left = left[1:]
		got, err := push.Referrers(t.Context(), subject.Digest)
		if err != nil || len(got) != len(left) || len(left) > 0 && got[0].Digest != left[0] {
			t.Errorf("%v, %v; want %v", got, err, left)
		}
	}
}

// desc1 is the digest of the index with the note "one".
func desc1() string {
	desc, _ := emptyIndex("one")
	return desc.Digest.String()
}

func testRefusals(t *testing.T, k kind) {
	t.Helper()
	s := k.open(t)
	r := repository(t, s.client(t), s.host()+"/app", hosts.Push)
	data := []byte(`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageManifest + `","config":{"mediaType":"` + ocispec.MediaTypeImageConfig +
		`","digest":"` + digest.FromString("absent").String() + `","size":6},"layers":[]}`)
	if err := r.Put(t.Context(), descriptor(ocispec.MediaTypeImageManifest, data), data, "v1"); k.children {
		wantKind(t, err, errdefs.ErrFailedPrecondition, ":v1")
		if !errors.Is(err, registry.ErrBlobUnknown) {
			t.Errorf("not ErrBlobUnknown: %v", err)
		}
	} else if err != nil {
		t.Error(err)
	}
	odd := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.example.unheard.of"}`)
	err := r.Put(t.Context(), descriptor("application/vnd.example.unheard.of", odd), odd, "v2")
	if k.children && !errors.Is(err, registry.ErrTypeRefused) {
		t.Errorf("not ErrTypeRefused: %v", err)
	}
}

// tags returns all tags.
func tags(t *testing.T, r *registry.Repository) []string {
	t.Helper()
	var all []string
	if err := r.Tags(t.Context(), func(tag string) bool {
		all = append(all, tag)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// want checks what a registry was asked since it was last looked at.
func want(t *testing.T, s server, requests ...string) {
	t.Helper()
	if diff := cmp.Diff(requests, s.asked()); diff != "" {
		t.Errorf("asked for something else (-want +got): %s", diff)
	}
}

// wantKind checks the kind of an error, and what its text names.
func wantKind(t *testing.T, err, kind error, texts ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("not of the kind %q: %v", kind, err)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("does not name %q: %v", text, err)
		}
	}
}
