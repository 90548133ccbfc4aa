package image_test

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/platform"
)

func TestListEditRefuses(t *testing.T) {
	t.Parallel()
	linux := onPlatform(manifestDesc("c"), "linux", "amd64", "")
	with := func(change func(d *ocispec.Descriptor)) ocispec.Descriptor {
		d := onPlatform(manifestDesc("c"), "linux", "amd64", "")
		change(&d)
		return d
	}
	add := func(d ocispec.Descriptor) func(*image.List) (*image.List, error) {
		return func(l *image.List) (*image.List, error) { return l.Add(linux, d) }
	}
	update := func(d ocispec.Descriptor) func(*image.List) (*image.List, error) {
		return func(l *image.List) (*image.List, error) { return l.Update(digestOf("a"), d) }
	}
	clone := func(d string, to ocispec.Descriptor, c image.Compression) func(*image.List) (*image.List, error) {
		return func(l *image.List) (*image.List, error) { return l.CloneInstance(digestOf(d), to, c) }
	}
	annotate := func(d digest.Digest, key, value string) func(*image.List) (*image.List, error) {
		return func(l *image.List) (*image.List, error) {
			return l.Annotate(d, map[string]string{key: value})
		}
	}
	tests := []struct {
		name string
		in   string // sparseIndex if empty
		edit func(l *image.List) (*image.List, error)
		kind error
		text string
	}{
		{
			name: "update of what is not there", edit: func(l *image.List) (*image.List, error) { return l.Update(digestOf("n"), linux) },
			kind: errdefs.ErrNotFound, text: `updating a list: list has no instance "$n"`,
		},
		{
			name: "update of what is no digest", edit: func(l *image.List) (*image.List, error) { return l.Update("x\x1b[2J", linux) },
			kind: errdefs.ErrNotFound, text: `list has no instance "x\x1b[2J"`,
		},
		{
			name: "one of many updates is of what is not there",
			edit: func(l *image.List) (*image.List, error) {
				return l.UpdateAll(map[digest.Digest]ocispec.Descriptor{digestOf("a"): linux, digestOf("n"): linux})
			},
			kind: errdefs.ErrNotFound, text: `list has no instance "$n"`,
		},
		{name: "a malformed digest", edit: add(with(func(d *ocispec.Descriptor) { d.Digest = "sha256:../.." })), kind: errdefs.ErrInvalidArgument, text: `adding entry 1 ("sha256:../..") to a list: digest`},
		{name: "an unknown algorithm", edit: update(with(func(d *ocispec.Descriptor) { d.Digest = "md5:00" })), kind: errdefs.ErrNotImplemented, text: `digest "md5:00" has an unknown algorithm`},
		{name: "a negative size", edit: update(with(func(d *ocispec.Descriptor) { d.Size = -1 })), kind: errdefs.ErrInvalidArgument, text: "updating entry $a of a list: size -1 is negative"},
		{name: "no size, but a digest of something", edit: add(with(func(d *ocispec.Descriptor) { d.Size = 0 })), kind: errdefs.ErrInvalidArgument, text: "manifests[4]: has size 0"},
		{name: "another size for a digest that is there", edit: add(with(func(d *ocispec.Descriptor) { d.Digest = digestOf("b") })), kind: errdefs.ErrInvalidArgument, text: "manifests[4]: has digest $b with size 9, but before with size 6"},
		{name: "no media type", edit: update(with(func(d *ocispec.Descriptor) { d.MediaType = "" })), kind: errdefs.ErrInvalidArgument, text: `"" is not a media type`},
		{name: "no artifact type", edit: add(with(func(d *ocispec.Descriptor) { d.ArtifactType = "x" })), kind: errdefs.ErrInvalidArgument, text: "manifests[4].artifactType"},
		{name: "a platform without architecture", edit: update(with(func(d *ocispec.Descriptor) { d.Platform.Architecture = "" })), kind: errdefs.ErrInvalidArgument, text: "platform without OS or architecture"},
		{name: "a platform that is not UTF-8", edit: add(with(func(d *ocispec.Descriptor) { d.Platform.OSFeatures = []string{"\xff"} })), kind: errdefs.ErrInvalidArgument, text: `platform has "\xff", which is not UTF-8`},
		{name: "a URL that is not UTF-8", edit: update(with(func(d *ocispec.Descriptor) { d.URLs = []string{"\xff"} })), kind: errdefs.ErrInvalidArgument, text: `URL "\xff" is not UTF-8`},
		{name: "an annotation that is not UTF-8", edit: add(annotated(linux, map[string]string{"k": "\xff"})), kind: errdefs.ErrInvalidArgument, text: `annotation "k" is not UTF-8`},
		{name: "data of another digest", edit: update(with(func(d *ocispec.Descriptor) { d.Data = []byte("123456789") })), kind: errdefs.ErrDataLoss, text: "manifests[0].data"},
		{
			name: "too many entries", edit: func(l *image.List) (*image.List, error) { return l.Add(make10000()...) },
			kind: errdefs.ErrResourceExhausted, text: "manifests[10000]: is one descriptor more than the 10000 allowed",
		},
		{
			name: "too large", edit: annotate("", "k", strings.Repeat("v", 4<<20)),
			kind: errdefs.ErrResourceExhausted, text: "annotating a list: ",
		},
		{name: "annotate what is not there", edit: annotate(digestOf("n"), "k", "v"), kind: errdefs.ErrNotFound, text: `annotating a list: list has no instance "$n"`},
		{name: "annotate without a key", edit: annotate("", "", "v"), kind: errdefs.ErrInvalidArgument, text: "annotation without a key"},
		{name: "annotate with what is not UTF-8", edit: annotate(digestOf("a"), "\xff", "v"), kind: errdefs.ErrInvalidArgument, text: `annotation "\xff" is not UTF-8`},
		{name: "clone of what is not there", edit: clone("n", linux, image.Zstd), kind: errdefs.ErrNotFound, text: `cloning an entry of a list: list has no instance "$n"`},
		{name: "clone to what is there", edit: clone("a", manifestDesc("b"), image.Zstd), kind: errdefs.ErrAlreadyExists, text: "the list has an entry $b"},
		{name: "clone to what is malformed", edit: clone("a", ocispec.Descriptor{}, image.Zstd), kind: errdefs.ErrInvalidArgument, text: `digest "" has no algorithm`},
		{name: "clone to an unknown compression", edit: clone("a", linux, "xz"), kind: errdefs.ErrInvalidArgument, text: `compression "xz" is unknown`},

		{name: "annotate a Docker list", in: dockerList, edit: annotate("", "k", "v"), kind: errdefs.ErrNotImplemented, text: "a Docker list has no annotations"},
		{name: "annotate an entry of a Docker list", in: dockerList, edit: annotate(digestOf("a"), "k", ""), kind: errdefs.ErrNotImplemented, text: "a Docker list has no annotations"},
		{name: "zstd in a Docker list", in: dockerList, edit: clone("a", linux, image.Zstd), kind: errdefs.ErrNotImplemented, text: "zstd is not supported for Docker images"},
		{name: "a Docker entry without platform", in: dockerList, edit: add(manifestDesc("d")), kind: errdefs.ErrNotImplemented, text: `adding entry 1 ("$d") to a list: an entry of a Docker list must have a platform`},
		{name: "an index in a Docker list", in: dockerList, edit: update(with(func(d *ocispec.Descriptor) { d.MediaType = ocispec.MediaTypeImageIndex })), kind: errdefs.ErrNotImplemented, text: `a Docker list cannot point at media type "$I"`},
		{
			name: "what a Docker list cannot say", in: dockerList,
			edit: update(with(func(d *ocispec.Descriptor) {
				d.Annotations, d.ArtifactType, d.Data, d.URLs = map[string]string{"k": "v"}, "text/x", []byte("c"), []string{"https://u.example"}
			})),
			kind: errdefs.ErrNotImplemented, text: "an entry of a Docker list cannot have URLs, an artifact type, annotations, data",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.in == "" {
				tt.in = sparseIndex
			}
			l := decodeAs[*image.List](t, []byte(expand(tt.in)))
			edited, err := tt.edit(l)
			refused(t, err, tt.kind, expand(tt.text))
			if edited != nil {
				t.Errorf("there is a list beside the error: %s", edited.Bytes())
			}
		})
	}
}

func make10000() []ocispec.Descriptor {
	all := make([]ocispec.Descriptor, 10_000)
	for i := range all {
		all[i] = manifestDesc("c")
	}
	return all
}

func TestListRefuses(t *testing.T) {
	t.Parallel()
	_, err := image.NewList(ocispec.MediaTypeImageManifest)
	refused(t, err, errdefs.ErrInvalidArgument, `new list: "application/vnd.oci.image.manifest.v1+json" is not the media type of a list`)
	l := decodeAs[*image.List](t, []byte(expand(sparseIndex)))
	_, err = l.WithAlgorithm("md5")
	refused(t, err, errdefs.ErrNotImplemented, `digest algorithm "md5" is unknown`)
	l = decodeAs[*image.List](t, readFile(t, "testdata/convert/oci-index/in.json"))
	_, err = l.Choose(platform.CopyOne, &ocispec.Platform{OS: "linux", Architecture: "s390x"}, platform.Options{})
	if err == nil || !strings.HasPrefix(err.Error(), "choosing from a list: ") {
		t.Errorf("error %v", err)
	}
}

func TestListChoose(t *testing.T) {
	t.Parallel()
	l := decodeAs[*image.List](t, readFile(t, "testdata/convert/oci-index/in.json"))
	for _, tt := range []struct {
		asked ocispec.Platform
		want  string // the content that the digest is made of
	}{
		{ocispec.Platform{OS: "linux", Architecture: "amd64"}, "amd64"},
		{ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}, "armv7"},
		{ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v6"}, "armv6"},
		{ocispec.Platform{OS: "linux", Architecture: "arm64"}, "arm64"},
	} {
		got, err := l.Choose(platform.CopyOne, &tt.asked, platform.Options{})
		if err != nil {
			t.Errorf("%v: %v", tt.asked, err)
			continue
		}
		want, err := l.Instance(digestOf(tt.want))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v: %v (-want +got):\n%s", tt.asked, err, diff)
		}
	}
}
