package oci

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
)

func digests(descs []ocispec.Descriptor) (all []digest.Digest) {
	for _, d := range descs {
		all = append(all, d.Digest)
	}
	return all
}

func TestReferrers(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	root := s.Image(testimage.Image{Platform: linux("amd64")})
	one := s.Referrer(root, "application/x.one", "1")
	two := s.Referrer(root, "application/x.two", "2")
	tagged := s.Referrer(root, "application/x.tagged", "3")
	index := s.JSON(ocispec.MediaTypeImageIndex, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": []any{}, "artifactType": "application/x.index",
		"subject": ocispec.Descriptor{MediaType: root.MediaType, Digest: root.Digest, Size: root.Size},
	})
	gone := s.Referrer(root, "application/x.gone", "4")
	s.Delete(gone.Digest)
	broken := s.Put(ocispec.MediaTypeImageManifest, []byte(`{"schemaVersion":2`))
	damaged := s.Referrer(root, "application/x.damaged", "5")
	s.Set(damaged.Digest, []byte(strings.Repeat(" ", int(damaged.Size))))
	opaque := s.Put("application/x.opaque", []byte("x"))
	fallback := s.Index(tagged, two)
	tag := "sha256-" + root.Digest.Encoded()

	oneBare := one
	oneBare.ArtifactType = ""
	dir := writeLayout(t, s,
		testimage.Named{Desc: gone}, testimage.Named{Desc: broken}, testimage.Named{Desc: damaged}, testimage.Named{Desc: opaque},
		testimage.Named{Name: "a", Desc: root}, testimage.Named{Desc: two}, testimage.Named{Desc: two},
		testimage.Named{Name: tag, Desc: fallback}, testimage.Named{Name: "named", Desc: oneBare}, testimage.Named{Desc: index})
	var log strings.Builder
	src := openSource(t, dir, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for range 2 {
		got, err := src.Referrers(t.Context(), root.Digest)
		if want := []digest.Digest{two.Digest, tagged.Digest, one.Digest, index.Digest}; err != nil || !slices.Equal(digests(got), want) {
			t.Fatalf("Referrers: %v, %v; want %v", digests(got), err, want)
		}
		if got[2].ArtifactType != "application/x.one" || got[2].Annotations != nil {
			t.Errorf("descriptor %+v: want its artifact type and no name", got[2])
		}
	}
	if got, err := src.Referrers(t.Context(), one.Digest); err != nil || got == nil || len(got) > 0 {
		t.Errorf("Referrers of a referrer: %v, %v; want an empty slice", got, err)
	}
	for _, d := range []ocispec.Descriptor{gone, broken, damaged} {
		if n := strings.Count(log.String(), d.Digest.String()); n == 0 {
			t.Errorf("%s was passed over without a word", d.Digest)
		}
	}
}

func TestReferrersBesideOthers(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	root := s.Image(testimage.Image{Platform: linux("amd64")})
	one := s.Referrer(root, "application/x", "1")
	two := s.Referrer(root, "application/x", "2")
	huge := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("huge"), Size: 1 << 40}
	hugeTag := "sha256-" + root.Digest.Encoded()
	const missing = "referrers may be missing"
	for name, tc := range map[string]struct {
		entries []testimage.Named
		limits  image.Limits
		want    []digest.Digest
		log     string
	}{
		"2^40 bytes that are not there": {
			entries: []testimage.Named{{Desc: huge}, {Desc: one}, {Name: "a", Desc: root}},
			want:    []digest.Digest{one.Digest}, log: huge.Digest.String(),
		},
		"2^40 bytes as a list of referrers": {
			entries: []testimage.Named{{Name: hugeTag, Desc: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: root.Digest, Size: 1 << 40}}, {Desc: one}},
			want:    []digest.Digest{one.Digest}, log: root.Digest.String(),
		},
		"more than a graph may have": {
			entries: []testimage.Named{{Name: "a", Desc: root}, {Desc: one}, {Desc: two}},
			limits:  image.Limits{GraphBytes: 1}, want: []digest.Digest{one.Digest, two.Digest},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log strings.Builder
			src := openSource(t, writeLayout(t, s, tc.entries...), Options{Limits: tc.limits, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			got, err := src.Referrers(t.Context(), root.Digest)
			if err != nil || !slices.Equal(digests(got), tc.want) {
				t.Errorf("Referrers: %v, %v; want %v", digests(got), err, tc.want)
			}
			if !strings.Contains(log.String(), tc.log) || strings.Contains(log.String(), missing) {
				t.Errorf("log: %s; want %q", log.String(), tc.log)
			}
		})
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	a, b := s.Image(testimage.Image{Platform: linux("amd64")}), s.Image(testimage.Image{Platform: linux("arm64")})
	dir := writeLayout(t, s, testimage.Named{Name: "z", Desc: a}, testimage.Named{Desc: b}, testimage.Named{Name: "a/b:c", Desc: b},
		testimage.Named{Name: "z", Desc: a}, testimage.Named{Name: "\x1b[31m", Desc: a}, testimage.Named{Name: "two", Desc: a}, testimage.Named{Name: "two", Desc: b})
	src := openSource(t, dir, Options{})
	var got []string
	if err := src.Names(t.Context(), func(name string) bool { got = append(got, name); return true }); err != nil {
		t.Fatal(err)
	}
	if want := []string{"z", "a/b:c", "\x1b[31m", "two"}; !slices.Equal(got, want) {
		t.Errorf("Names: %q, want %q", got, want)
	}
	if desc, err := src.Resolve(t.Context(), "a/b:c"); err != nil || desc.Digest != b.Digest {
		t.Errorf("Resolve: %v, %v", desc, err)
	}
	if _, err := src.Resolve(t.Context(), "two"); !errdefs.IsInvalidArgument(err) {
		t.Errorf("Resolve of a name that two entries claim: %v", err)
	}
	if _, err := src.Resolve(t.Context(), "\x1b[32m"); !errdefs.IsNotFound(err) || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("Resolve of an odd name: %v", err)
	}
}
