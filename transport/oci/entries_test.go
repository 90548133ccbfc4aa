package oci

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/transporttest"
)

// entry is one of index.json, as a test writes it down.
type entry struct {
	Name   string
	Digest digest.Digest
}

func entriesOf(list *image.List) []entry {
	all := []entry{}
	for _, e := range list.Instances() {
		all = append(all, entry{refName(e), e.Digest})
	}
	return all
}

func TestSetEntries(t *testing.T) {
	t.Parallel()
	a, b, c := digest.FromString("a"), digest.FromString("b"), digest.FromString("c")
	for name, tc := range map[string]struct {
		before []entry
		set    []entry
		after  []entry
	}{
		"first":                          {nil, []entry{{"x", a}}, []entry{{"x", a}}},
		"another name":                   {[]entry{{"x", a}}, []entry{{"y", b}}, []entry{{"x", a}, {"y", b}}},
		"same name moves":                {[]entry{{"x", a}, {"y", b}}, []entry{{"x", c}}, []entry{{"y", b}, {"x", c}}},
		"same name and content stay":     {[]entry{{"x", a}, {"y", b}}, []entry{{"x", a}}, []entry{{"x", a}, {"y", b}}},
		"name for what had none":         {[]entry{{"", a}, {"", b}}, []entry{{"x", a}}, []entry{{"", b}, {"x", a}}},
		"second name for one content":    {[]entry{{"x", a}}, []entry{{"y", a}}, []entry{{"x", a}, {"y", a}}},
		"no name":                        {[]entry{{"x", a}}, []entry{{"", b}}, []entry{{"x", a}, {"", b}}},
		"no name again":                  {[]entry{{"", b}}, []entry{{"", b}, {"", b}}, []entry{{"", b}}},
		"no name, there with one":        {[]entry{{"x", b}}, []entry{{"", b}}, []entry{{"x", b}}},
		"a name that was there twice":    {[]entry{{"x", a}, {"x", b}}, []entry{{"x", c}}, []entry{{"x", c}}},
		"twice, and one is right":        {[]entry{{"x", a}, {"x", b}, {"x", b}}, []entry{{"x", b}}, []entry{{"x", b}}},
		"several at once":                {[]entry{{"x", a}}, []entry{{"x", b}, {"y", c}, {"", a}}, []entry{{"x", b}, {"y", c}, {"", a}}},
		"name moves away, none stays":    {[]entry{{"x", a}}, []entry{{"", a}, {"x", b}}, []entry{{"", a}, {"x", b}}},
		"one content, with and without":  {nil, []entry{{"", a}, {"x", a}, {"", a}, {"x", a}}, []entry{{"x", a}}},
		"names move between two, at one": {[]entry{{"x", a}, {"y", b}}, []entry{{"x", b}, {"y", a}}, []entry{{"x", b}, {"y", a}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list, err := image.NewList(ocispec.MediaTypeImageIndex)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range tc.before {
				if list, err = list.Add(e.descriptor()); err != nil {
					t.Fatal(err)
				}
			}
			var set []ocispec.Descriptor
			for _, e := range tc.set {
				set = append(set, e.descriptor())
			}
			if list, err = setEntries(t.Context(), list, set); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.after, entriesOf(list)); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
		})
	}
}

func (e entry) descriptor() ocispec.Descriptor {
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: e.Digest, Size: 1}
	if e.Name != "" {
		desc.Annotations = map[string]string{ocispec.AnnotationRefName: e.Name}
	}
	return desc
}

func TestCommitRefusesOneNameForTwo(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	im := s.Image(testimage.Image{Platform: linux("amd64")})
	tag, signature := s.CosignTag(im, "sig")
	for name, tc := range map[string]struct {
		ref   string
		names []transport.Naming
	}{
		"its own name is a digest tag": {":" + tag, []transport.Naming{{Desc: im}, {Name: tag, Desc: signature}}},
		"two of one name":              {"", []transport.Naming{{Name: tag, Desc: im}, {Desc: im}, {Name: tag, Desc: signature}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "layout")
			d := openDestination(t, dir+tc.ref)
			_, err := d.Commit(t.Context(), tc.names)
			if !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), tag) || !strings.Contains(err.Error(), signature.Digest.String()) {
				t.Errorf("Commit: %v; want an invalid argument that names the name and both", err)
			}
			if found := tree(t, dir); len(found) > 0 {
				t.Errorf("Commit made %q", found)
			}
		})
	}
	d := openDestination(t, filepath.Join(t.TempDir(), "layout")+":a")
	put(t, d, s, im)
	transporttest.Commit(t, d, transport.Naming{Desc: im}, transport.Naming{Name: "a", Desc: im})
	if got := entries(t, d.ref.Path); len(got) != 1 {
		t.Errorf("entries: %v; want one", got)
	}
}

// oneImage returns a destination that has one image, and that many names for it.
func oneImage(t testing.TB, n int) (*Destination, []transport.Naming) {
	t.Helper()
	s := &testimage.Store{}
	im := s.Image(testimage.Image{Platform: linux("amd64")})
	d := openDestination(t, filepath.Join(t.TempDir(), "layout"))
	put(t, d, s, im)
	var names []transport.Naming
	for i := range n {
		names = append(names, transport.Naming{Name: fmt.Sprintf("name-%d", i), Desc: im})
	}
	return d, names
}

func TestCommitOfManyNames(t *testing.T) { // not parallel: it measures time
	const n, tries = 2000, 3
	d, names := oneImage(t, tries*n)
	var took time.Duration
	for i, part := range slices.Collect(slices.Chunk(names, n)) {
		began := time.Now()
		transporttest.Commit(t, d, part...)
		took = time.Since(began)
		if got := len(entries(t, d.ref.Path)); got != (i+1)*n {
			t.Errorf("%d entries after commit %d, want %d", got, i, (i+1)*n)
		}
		if took <= manyNamesTime {
			return
		}
	}
	t.Errorf("%d commits of %d names took more than %v each, the last one %v", tries, n, manyNamesTime, took)
}

func TestCommitTellsOfJoinedImages(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	amd, arm := s.Image(testimage.Image{Platform: linux("amd64")}), s.Image(testimage.Image{Platform: linux("arm64")})
	s390x := s.Image(testimage.Image{Platform: linux("s390x")})
	other := s.Image(testimage.Image{Platform: linux("amd64"), Name: "other"})
	index := s.Index(amd, arm)
	referrer := s.Referrer(amd, "application/x.test", "x")
	tag, signature := s.CosignTag(amd, "sig")
	dir := filepath.Join(t.TempDir(), "layout")
	for i, step := range []struct {
		naming transport.Naming
		want   string // in the note
	}{
		{transport.Naming{Desc: amd}, ""},
		{transport.Naming{Desc: referrer, Subject: amd.Digest}, ""},
		{transport.Naming{Name: tag, Desc: signature}, ""},
		{transport.Naming{Desc: arm}, "has 2 images without a name"},
		{transport.Naming{Desc: arm}, ""}, // changes nothing
		{transport.Naming{Desc: s390x}, "has 3 images without a name"},
		{transport.Naming{Desc: referrer, Name: "a"}, ""},
		{transport.Naming{Desc: other}, ""}, // is no part of one image
		{transport.Naming{Desc: index}, ""},
	} {
		d := openDestination(t, dir)
		put(t, d, s, step.naming.Desc)
		notes := transporttest.Commit(t, d, step.naming)
		if got := strings.Join(notes, "; "); (got == "") != (step.want == "") || !strings.Contains(got, step.want) {
			t.Errorf("notes of commit %d: %q; want one with %q", i, notes, step.want)
		}
	}
}
