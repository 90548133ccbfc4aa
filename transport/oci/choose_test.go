package oci

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
)

func TestRoot(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	amd := s.Image(testimage.Image{Platform: linux("amd64")})
	arm := s.Image(testimage.Image{Platform: linux("arm64")})
	old := s.Image(testimage.Image{Platform: linux("amd64"), Name: "old"})
	docker := s.Image(testimage.Image{Platform: linux("s390x"), Family: testimage.Docker})
	index := s.Index(amd, arm)
	plain := func(d ocispec.Descriptor) ocispec.Descriptor { d.Platform = nil; return d }
	referrer := s.Referrer(index, "application/x.test", "x")
	tag, signature := s.CosignTag(index, "sig")
	fallback := s.Index(referrer)
	attestation := s.Attestation(amd)
	opaque := s.Put("application/x.opaque", []byte("opaque"))
	gone := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: s.Put("x", []byte("gone")).Digest, Size: 4}
	s.Delete(gone.Digest)

	const self = -1 // index.json
	type named struct {
		name string
		desc ocispec.Descriptor
	}
	for name, tc := range map[string]struct {
		ref     string
		entries []named
		want    int // the entry that is meant
		kind    error
		text    string
		opts    Options
	}{
		"by name":                    {ref: ":b", entries: []named{{"a", amd}, {"b", arm}}, want: 1},
		"Docker type by name":        {ref: ":b", entries: []named{{"b", docker}}},
		"names are exact":            {ref: ":B", entries: []named{{"b", arm}}, kind: errdefs.ErrNotFound, text: `no descriptor found for reference "B"; there are "b"`},
		"names of many are cut":      {ref: ":x", entries: slices.Repeat([]named{{"a", amd}}, 30), kind: errdefs.ErrNotFound, text: "10 more"},
		"name in an empty layout":    {ref: ":x", kind: errdefs.ErrNotFound, text: "there are none"},
		"name of an opaque entry":    {ref: ":x", entries: []named{{"x", opaque}}, kind: errdefs.ErrNotImplemented, text: `"application/x.opaque"`},
		"B21 name twice":             {ref: ":x", entries: []named{{"x", amd}, {"x", arm}}, kind: errdefs.ErrInvalidArgument, text: "is claimed by @0 (" + amd.Digest.String() + ") and by @1 (" + arm.Digest.String() + "); choose one by its position, or let the last one win"},
		"B21 name twice, last wins":  {ref: ":x", entries: []named{{"x", amd}, {"x", arm}}, want: 1, opts: Options{LastWins: true}},
		"B21 name twice, equal":      {ref: ":x", entries: []named{{"x", amd}, {"x", amd}}},
		"position":                   {ref: ":@1", entries: []named{{"a", amd}, {"b", arm}}, want: 1},
		"position beyond the end":    {ref: ":@2", entries: []named{{"a", amd}, {"b", arm}}, kind: errdefs.ErrNotFound, text: "has 2"},
		"position of an opaque one":  {ref: ":@0", entries: []named{{"", opaque}}, kind: errdefs.ErrNotImplemented},
		"only image, with a name":    {entries: []named{{"a", amd}}},
		"only image, under 2 names":  {entries: []named{{"a", index}, {"b", index}}},
		"only image, and referrer":   {entries: []named{{"", referrer}, {"", index}}, want: 1},
		"only image, and tagged":     {entries: []named{{tag, signature}, {"a", index}, {strings.TrimSuffix(tag, ".sig"), fallback}}, want: 1},
		"only image, and opaque":     {entries: []named{{"", opaque}, {"a", index}}, want: 1},
		"only a referrer":            {entries: []named{{"", referrer}}},
		"only a tagged one":          {entries: []named{{tag, signature}}},
		"empty layout":               {kind: errdefs.ErrNotFound, text: "no images"},
		"several images":             {entries: []named{{"a", index}, {"b", old}}, kind: errdefs.ErrInvalidArgument, text: `more than one image in oci, choose an image: "a", "b"`},
		"several without a name":     {entries: []named{{"", index}, {"", plain(old)}}, kind: errdefs.ErrInvalidArgument, text: "@1 (" + old.Digest.String() + ")"},
		"one cannot be read":         {entries: []named{{"a", gone}, {"b", index}}, kind: errdefs.ErrInvalidArgument, text: "more than one"},
		"flat":                       {entries: []named{{"", amd}, {"", arm}, {"", docker}}, want: self},
		"flat, with attestation":     {entries: []named{{"", amd}, {"", arm}, {"", attestation}}, want: self},
		"flat, one platform twice":   {entries: []named{{"", amd}, {"", arm}, {"", old}}, kind: errdefs.ErrInvalidArgument},
		"not flat, one has a name":   {entries: []named{{"", amd}, {"arm", arm}}, kind: errdefs.ErrInvalidArgument},
		"not flat, no platform":      {entries: []named{{"", amd}, {"", plain(arm)}}, kind: errdefs.ErrInvalidArgument},
		"not flat, one is a list":    {entries: []named{{"", amd}, {"", index}}, kind: errdefs.ErrInvalidArgument},
		"flat, but a position named": {ref: ":@1", entries: []named{{"", amd}, {"", arm}}, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var layout []testimage.Named
			for _, e := range tc.entries {
				layout = append(layout, testimage.Named{Name: e.name, Desc: e.desc})
			}
			src := openSource(t, writeLayout(t, s, layout...)+tc.ref, tc.opts)
			got, err := src.Root(t.Context())
			if tc.kind != nil {
				if !errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.text) {
					t.Errorf("Root: %s, %v; want %v with %q", got.Digest, err, tc.kind, tc.text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if tc.want == self {
				checkSelf(t, src, got, readFile(t, src.ref.Path, ocispec.ImageIndexFile))
				return
			}
			want := tc.entries[tc.want].desc
			if got.Digest != want.Digest || got.Annotations[ocispec.AnnotationRefName] != "" || (got.Platform == nil) != (want.Platform == nil) {
				t.Errorf("Root: %+v, want %+v", got, want)
			}
		})
	}
}

// What belongs to a flat index.json changes nothing in the image that it is.
func TestRootOfAFlatIndexWithMore(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	amd, arm := s.Image(testimage.Image{Platform: linux("amd64")}), s.Image(testimage.Image{Platform: linux("arm64")})
	signed := s.Attestation(amd)
	referring := s.Referrer(amd, "application/vnd.in-toto+json", "an attestation with a subject")
	referring.Platform, referring.Annotations = signed.Platform, signed.Annotations
	referrer := s.Referrer(amd, "application/x.test", "x")
	platformed := referrer
	platformed.Platform = &ocispec.Platform{OS: "linux", Architecture: "riscv64"}
	tag, signature := s.CosignTag(amd, "sig")
	whole := []testimage.Named{{Desc: amd}, {Desc: arm}}
	for name, tc := range map[string]struct{ image, more []testimage.Named }{
		"a referrer":                  {whole, []testimage.Named{{Desc: referrer}}},
		"a referrer with a name":      {whole, []testimage.Named{{Name: "r", Desc: referrer}}},
		"a referrer with a platform":  {whole, []testimage.Named{{Desc: platformed}}},
		"a tag of cosign":             {whole, []testimage.Named{{Name: tag, Desc: signature}}},
		"no manifest":                 {whole, []testimage.Named{{Desc: s.Put("application/x.opaque", []byte("opaque"))}}},
		"an attestation that refers":  {append(whole, testimage.Named{Desc: referring}), nil},
		"that, and one that does not": {append(whole, testimage.Named{Desc: referring}, testimage.Named{Desc: signed}), []testimage.Named{{Desc: referrer}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := readFile(t, writeLayout(t, s, tc.image...), ocispec.ImageIndexFile)
			src := openSource(t, writeLayout(t, s, slices.Concat(tc.image[:1], tc.more, tc.image[1:])...), Options{})
			got, err := src.Root(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			checkSelf(t, src, got, want)
		})
	}
}

// checkSelf checks that the root is an index of these bytes, and that they can be read.
func checkSelf(t *testing.T, src *Source, root ocispec.Descriptor, want []byte) {
	t.Helper()
	r, err := src.Open(t.Context(), root, 5)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil || string(got) != string(want[5:]) {
		t.Errorf("read %q, %v; want %q", got, err, want[5:])
	}
	if err := image.VerifyBytes(want, root); err != nil || root.MediaType != ocispec.MediaTypeImageIndex {
		t.Errorf("root %+v: %v", root, err)
	}
	if _, err := src.Open(t.Context(), root, root.Size+1); !errdefs.IsOutOfRange(err) {
		t.Errorf("Open beyond the end: %v", err)
	}
}

func TestRootKeepsOtherAnnotations(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	desc := s.Image(testimage.Image{Platform: linux("amd64")})
	desc.Annotations = map[string]string{"org.example": "kept"}
	got, err := openSource(t, writeLayout(t, s, testimage.Named{Name: "a", Desc: desc})+":a", Options{}).Root(t.Context())
	if err != nil || len(got.Annotations) != 1 || got.Annotations["org.example"] != "kept" {
		t.Errorf("Root: %+v, %v", got, err)
	}
}
