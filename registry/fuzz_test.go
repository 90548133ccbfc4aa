package registry

import (
	"errors"
	"slices"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/ref"
)

// FuzzTagPage reads what could be a page of tags: only valid tags come out, no two
// neighbours are the same, and what is wrong is the registry's fault.
func FuzzTagPage(f *testing.F) {
	for _, seed := range []string{
		`{"name":"app","tags":["a","b"]}`, `{"tags":null}`, `{"tags":["a","a",null,7,"../x","",{"tags":["b"]}]}`,
		`{}`, `[]`, `null`, `{"tags":{"a":1}}`, `{"tags":["a"],"Tags":["b"]}`, `{"tags":["a"]} x`, "<html>", `{"tags":["\ud800"]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got []string
		l := &names{field: "tags", valid: ref.ValidTag, yield: func(tag string) bool {
			got = append(got, tag)
			return len(got) < 100
		}}
		err := l.page(data)
		for i, tag := range got {
			if ref.ValidTag(tag) != nil || i > 0 && tag == got[i-1] {
				t.Fatalf("%q came out", got)
			}
		}
		if err != nil && !errors.Is(err, errdefs.ErrUnavailable) && !errors.Is(err, errStop) {
			t.Fatalf("of no kind: %v", err)
		}
	})
}

// FuzzReferrersPage reads what could be a page of referrers.
func FuzzReferrersPage(f *testing.F) {
	const subject = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	entry := `{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","size":2}`
	f.Add("application/vnd.oci.image.index.v1+json", []byte(`{"schemaVersion":2,"manifests":[`+entry+`,`+entry+`]}`))
	f.Add("application/json", []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`))
	f.Add("text/html", []byte("<html>"))
	f.Add("", []byte(`{"manifests":[{"digest":"sha256:../../x"}]}`))
	f.Fuzz(func(t *testing.T, contentType string, data []byte) {
		l := &referrerList{subject: subject, seen: map[digest.Digest]bool{}}
		err := l.page(contentType, data, image.Limits{}.WithDefaults())
		if err != nil && !errors.Is(err, errdefs.ErrUnavailable) && !errors.Is(err, errNoAPI) && !errors.Is(err, errdefs.ErrResourceExhausted) {
			t.Fatalf("of no kind: %v", err)
		}
		for i, d := range l.found {
			if _, err := image.ParseDigest(string(d.Digest)); err != nil || d.Digest == subject || len(l.found) > maxReferrers {
				t.Fatalf("entry %d: %v", i, d)
			}
		}
	})
}

func TestCovers(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		have, want string
		covers     bool
	}{
		{"repository:a:pull,push", "repository:a:pull", true},
		{"repository:a:pull", "repository:a:pull,push", false},
		{"repository:a:*", "repository:a:delete,pull", true},
		{"repository:a:pull", "repository:b:pull", false},
		{"repository:a:pull,push repository:b:pull", "repository:a:pull repository:b:pull", true},
		{"repository:a:pull repository:b:pull", "repository:b:pull,push", false},
		{"registry:catalog:*", "registry:catalog:*", true},
		{"repository:host:5000/a:pull", "repository:host:5000/a:pull", true},
		{"odd", "odd", true},
		{"odd", "other", false},
		{"repository:a:pull", "", false},
		{"", "repository:a:pull", false},
	} {
		if got := covers(row.have, row.want); got != row.covers {
			t.Errorf("a token for %q serves for %q: %t", row.have, row.want, got)
		}
	}
}

func TestFallbackTag(t *testing.T) {
	t.Parallel()
	tags := []string{
		fallbackTag(digest.SHA256.FromString("")),
		fallbackTag(digest.SHA512.FromString("")),
	}
	if diff := cmp.Diff([]string{
		"sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"sha512-cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce",
	}, tags); diff != "" {
		t.Error(diff)
	}
	if i := slices.IndexFunc(tags, func(tag string) bool { return ref.ValidTag(tag) != nil }); i >= 0 {
		t.Errorf("%s is no tag", tags[i])
	}
}
