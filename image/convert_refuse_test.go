package image_test

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
)

func TestConvertManifestRefuses(t *testing.T) {
	t.Parallel()
	const gzip, docker = ocispec.MediaTypeImageLayerGzip, image.MediaTypeDockerLayerGzip
	toDocker, toOCI := image.MediaTypeDockerManifest, ocispec.MediaTypeImageManifest
	tests := []struct {
		name, in, to string
		config       string // validConfig if empty
		kind         error
		text         string
	}{
		{
			name: "an artifact", to: toDocker, in: strings.Replace(manifestOf("oci", gzip, validConfig, ""), ocispec.MediaTypeImageConfig, ocispec.MediaTypeEmptyJSON, 1),
			kind: errdefs.ErrNotImplemented, text: `it is an artifact, not an image: its config has media type "application/vnd.oci.empty.v1+json"`,
		},
		{
			name: "a Docker plugin", to: toOCI, in: strings.Replace(manifestOf("docker", docker, validConfig, ""), image.MediaTypeDockerConfig, "application/vnd.docker.plugin.v1+json", 1),
			kind: errdefs.ErrNotImplemented, text: `its config has media type "application/vnd.docker.plugin.v1+json"`,
		},
		{
			name: "a subject", to: toDocker, in: manifestOf("oci", gzip, validConfig, expand(`,"subject":{"mediaType":"$M","digest":"$s","size":3}`)),
			kind: errdefs.ErrNotImplemented, text: expand("it has the subject $s, and a Docker manifest cannot refer to one"),
		},
		{
			name: "an artifact type", to: toDocker, in: manifestOf("oci", gzip, validConfig, `,"artifactType":"text/x"`),
			kind: errdefs.ErrNotImplemented, text: `it has the artifact type "text/x"`,
		},
		{
			name: "zstd", to: toDocker, in: manifestOf("oci", ocispec.MediaTypeImageLayerZstd, validConfig, ""),
			kind: errdefs.ErrNotImplemented, text: expand(`layer 0 ($l): zstd layers ("application/vnd.oci.image.layer.v1.tar+zstd") are not supported for Docker images`),
		},
		{
			name: "encrypted", to: toDocker, in: manifestOf("oci", gzip+"+encrypted", validConfig, ""),
			kind: errdefs.ErrNotImplemented, text: expand(`layer 0 ($l): encrypted layers ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted") are not supported for Docker images`),
		},
		{
			name: "an attestation", to: toDocker, in: manifestOf("oci", "application/vnd.in-toto+json", validConfig, ""),
			kind: errdefs.ErrNotImplemented, text: expand(`layer 0 ($l): layers of media type "application/vnd.in-toto+json" are not supported`),
		},
		{
			name: "an unknown layer in a Docker image", to: toOCI, in: manifestOf("docker", "application/vnd.docker.image.rootfs.diff.tar.xz", validConfig, ""),
			kind: errdefs.ErrNotImplemented, text: `"application/vnd.docker.image.rootfs.diff.tar.xz" are not supported`,
		},
		{
			name: "no layers to OCI", to: toOCI, in: strings.Replace(manifestOf("docker", docker, validConfig, `,"layers":[]`), expand(`"layers":[{"mediaType":"`+docker+`","digest":"$l","size":7}],`), "", 1),
			kind: errdefs.ErrNotImplemented, text: `the manifest has an unfit "layers": it has 0 items where at least 1 are wanted`,
		},
		{
			name: "another config of that size", to: toDocker, in: manifestOf("oci", gzip, validConfig, ""), config: strings.Replace(validConfig, "amd64", "arm64", 1),
			kind: errdefs.ErrDataLoss, text: "config: content of sha256:",
		},
		{
			name: "a config of another size", to: toOCI, in: manifestOf("docker", docker, validConfig, ""), config: validConfig + " ",
			kind: errdefs.ErrDataLoss, text: "79 bytes where its descriptor says 78",
		},
		{
			name: "schema 1", to: image.MediaTypeDockerSchema1Signed, in: manifestOf("docker", docker, validConfig, ""),
			kind: errdefs.ErrNotImplemented, text: "to schema 1",
		},
		{
			name: "to a list", to: ocispec.MediaTypeImageIndex, in: manifestOf("docker", docker, validConfig, ""),
			kind: errdefs.ErrInvalidArgument, text: `"application/vnd.oci.image.index.v1+json" is not the media type of a manifest`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.config == "" {
				tt.config = validConfig
			}
			_, err := decodeAs[*image.Manifest](t, []byte(tt.in)).Convert(tt.to, []byte(tt.config))
			refused(t, err, tt.kind, tt.text)
		})
	}
}

// TestConvertManifestLosses tells what goes on the way to schema 2 beside
// annotations, of which the golden files tell.
func TestConvertManifestLosses(t *testing.T) {
	t.Parallel()
	in := expand(`{"schemaVersion":2,"config":{"mediaType":"` + ocispec.MediaTypeImageConfig + `","digest":"` + digestOf(validConfig).String() + `","size":78,` +
		`"data":"` + base64Of(validConfig) + `","artifactType":"text/x"},` +
		`"layers":null,"annotations":null,"artifactType":"","subject":null}`)
	converted, err := decodeAs[*image.Manifest](t, []byte(in)).Convert(image.MediaTypeDockerManifest, []byte(validConfig))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"schemaVersion":2,"mediaType":"` + image.MediaTypeDockerManifest + `","config":{"mediaType":"` + image.MediaTypeDockerConfig + `","digest":"` +
		digestOf(validConfig).String() + `","size":78},"layers":[]}`
	if diff := cmp.Diff(want, string(converted.Manifest.Bytes())); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"the config's descriptor lost its artifactType, data"}, converted.Lost); diff != "" {
		t.Errorf("lost (-want +got):\n%s", diff)
	}
	wellMade(t, converted.Manifest)
}

func TestConvertList(t *testing.T) {
	t.Parallel()
	const head = `{"schemaVersion":2,"mediaType":"$I","manifests":[`
	entry := func(more string) string { return `{"mediaType":"$M","digest":"$a","size":5` + more + `}` }
	const linux = `,"platform":{"architecture":"amd64","os":"linux"}`
	tests := []struct {
		name, in string
		want     string
		lost     []string
		kind     error
		text     string
	}{
		{
			name: "null members go, and the type is named", in: `{"annotations":null,"schemaVersion":2,"subject":null,"manifests":[` + entry(linux+`,"data":null`) + `]}`,
			want: dockerHead + entry(linux) + "]}",
		},
		{
			name: "all that a Docker list cannot say", in: `{"schemaVersion":2,"mediaType":"$I","artifactType":"text/x","manifests":[` +
				`{"mediaType":"$M","digest":"$new","size":3,"artifactType":"text/y","data":"$64","urls":["https://u.example"],"annotations":{"k\n":"v"}` + linux + `}` +
				`],"subject":{"mediaType":"$M","digest":"$s","size":9},"annotations":{"k":"v"}}`,
			want: dockerHead + `{"mediaType":"$M","digest":"$new","size":3` + linux + `}]}`,
			lost: []string{
				`the list lost its artifactType, subject, annotations ("k")`,
				`entry 0 ($new) lost its annotations ("k\n"), artifactType, urls, data`,
			},
		},
		{
			name: "entries of the types of any manifest or Docker list", in: head + strings.Join([]string{
				`{"mediaType":"$D","digest":"$a","size":5` + linux + `}`,
				`{"mediaType":"application/vnd.docker.distribution.manifest.v1+json","digest":"$b","size":5` + linux + `}`,
				`{"mediaType":"$L","digest":"$c","size":5` + linux + `}`,
			}, ",") + "]}",
			want: dockerHead + strings.Join([]string{
				`{"mediaType":"$D","digest":"$a","size":5` + linux + `}`,
				`{"mediaType":"application/vnd.docker.distribution.manifest.v1+json","digest":"$b","size":5` + linux + `}`,
				`{"mediaType":"$L","digest":"$c","size":5` + linux + `}`,
			}, ",") + "]}",
		},
		{
			name: "an attestation of nothing in particular", in: head + entry(linux+`,"annotations":{"vnd.docker.reference.type":"attestation-manifest"}`) + "]}",
			want: dockerHead + entry(linux) + "]}",
			lost: []string{`entry 0 ($a) lost the mark of an attestation of ""`, `entry 0 ($a) lost its annotations ("vnd.docker.reference.type")`},
		},
		{
			name: "an entry without a platform", in: head + entry(linux) + "," + entry("") + "]}",
			kind: errdefs.ErrNotImplemented, text: "entry 1 ($a): an entry of a Docker list must have a platform with OS and architecture",
		},
		{
			name: "a platform of null", in: head + entry(`,"platform":null`) + "]}",
			kind: errdefs.ErrNotImplemented, text: "entry 0 ($a): an entry of a Docker list must have a platform",
		},
		{
			name: "a platform without OS", in: head + entry(`,"platform":{"architecture":"amd64"}`) + "]}",
			kind: errdefs.ErrNotImplemented, text: "entry 0 ($a): an entry of a Docker list must have a platform",
		},
		{
			name: "a nested index", in: head + `{"mediaType":"$I","digest":"$a","size":5` + linux + `}]}`,
			kind: errdefs.ErrNotImplemented, text: `entry 0 ($a): a Docker list cannot point at media type "$I"`,
		},
		{
			name: "an entry that is no manifest", in: head + `{"mediaType":"text/plain","digest":"$a","size":5` + linux + `}]}`,
			kind: errdefs.ErrNotImplemented, text: `a Docker list cannot point at media type "text/plain"`,
		},
		{
			name: "to an index: what Docker does not know is not given a meaning",
			in:   `{"schemaVersion":2,"mediaType":"$L","subject":{"mediaType":"$M","digest":"$s","size":9},"manifests":[],"annotations":7}`,
			want: head + `]}`, lost: []string{"the list lost its subject, annotations"},
		},
		{
			name: "to an index: entries need no platform", in: dockerHead + entry("") + `]}`, want: head + entry("") + `]}`,
		},
		{
			name: "to an index: URLs that are none", in: dockerHead + entry(`,"urls":["//h/p"]`) + `]}`, want: head + entry("") + `]}`,
			lost: []string{`the list lost manifests[0].urls: it has an unfit item 0: it is "//h/p", not a URI`},
		},
		{
			name: "to an index: a platform without OS", in: dockerHead + entry(`,"platform":{"architecture":"amd64"}`) + "]}",
			kind: errdefs.ErrNotImplemented, text: `the list has an unfit "manifests": it has an unfit item 0: it has an unfit "platform": it has no "os"`,
		},
		{
			name: "to an index: a media type with parameters", in: dockerHead + `{"mediaType":"text/plain; x=y","digest":"$a","size":5}]}`,
			kind: errdefs.ErrNotImplemented, text: `it is "text/plain; x=y", not a media type as of RFC 6838`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := decodeAs[*image.List](t, []byte(expand(tt.in)))
			to, _ := other(t, l.MediaType())
			converted, lost, err := l.Convert(to)
			if tt.kind != nil {
				refused(t, err, tt.kind, expand(tt.text))
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(expand(tt.want), string(converted.Bytes())); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(expand(strings.Join(tt.lost, "\n")), strings.Join(lost, "\n")); diff != "" {
				t.Errorf("lost (-want +got):\n%s", diff)
			}
			if converted.MediaType() != to {
				t.Errorf("converted to %s", converted.MediaType())
			}
			wellMade(t, converted)
		})
	}
	t.Run("to what is no list", func(t *testing.T) {
		t.Parallel()
		_, _, err := decodeAs[*image.List](t, []byte(expand(emptyIndex))).Convert(ocispec.MediaTypeImageManifest)
		refused(t, err, errdefs.ErrInvalidArgument, `"application/vnd.oci.image.manifest.v1+json" is not the media type of a list`)
	})
}
