package ocilayout_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/ocilayout"
)

// entry is one of index.json, as a test writes it down.
type entry struct {
	Name   string
	Digest digest.Digest
}

func entriesOf(list *image.List) []entry {
	all := []entry{}
	for _, e := range list.Instances() {
		all = append(all, entry{ocilayout.RefName(e), e.Digest})
	}
	return all
}

func TestSet(t *testing.T) {
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
			if list, err = ocilayout.Set(t.Context(), list, set, nil); err != nil {
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
