package image_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
)

// validConfig is a config that both forms have.
const validConfig = `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`

// manifestOf writes an image's manifest with one layer. more is added at its end.
func manifestOf(family, layer, config, more string) string {
	mediaType, configType := ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig
	if family == "docker" {
		mediaType, configType = image.MediaTypeDockerManifest, image.MediaTypeDockerConfig
	}
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[{"mediaType":%q,"digest":%q,"size":7}]%s}`,
		mediaType, configType, digest.FromString(config), len(config), layer, digestOf("l"), more)
}

func TestConvertLayers(t *testing.T) {
	t.Parallel()
	const foreign = "application/vnd.oci.image.layer.nondistributable.v1.tar"
	tests := []struct{ oci, docker string }{
		{ocispec.MediaTypeImageLayer, image.MediaTypeDockerLayer},
		{ocispec.MediaTypeImageLayerGzip, image.MediaTypeDockerLayerGzip},
		{foreign, image.MediaTypeDockerForeignLayer},
		{foreign + "+gzip", image.MediaTypeDockerForeignLayerGzip},
		// One way only: a Docker image has none of these, but for the first.
		{ocispec.MediaTypeImageLayerZstd, ""},
		{foreign + "+zstd", ""},
		{ocispec.MediaTypeImageLayerGzip + "+encrypted", ""},
		{ocispec.MediaTypeImageLayerZstd + "+encrypted", ""},
		{foreign + "+gzip+encrypted", ""},
	}
	for _, tt := range tests {
		for from, family := range map[string]string{tt.oci: "oci", tt.docker: "docker"} {
			if from == "" {
				from = tt.oci // an OCI layer in a Docker manifest
			}
			t.Run(family+" "+from, func(t *testing.T) {
				t.Parallel()
				for target, want := range map[string]string{ocispec.MediaTypeImageManifest: tt.oci, image.MediaTypeDockerManifest: tt.docker} {
					m := decodeAs[*image.Manifest](t, []byte(manifestOf(family, from, validConfig, "")))
					if target == m.MediaType() {
						continue
					}
					converted, err := m.Convert(target, []byte(validConfig))
					if want == "" {
						if !errors.Is(err, errdefs.ErrNotImplemented) {
							t.Errorf("to %s: %v", target, err)
						}
						continue
					}
					if err != nil {
						t.Fatal(err)
					}
					if got := converted.Manifest.Layers()[0].MediaType; got != want {
						t.Errorf("to %s: %s, want %s", target, got, want)
					}
				}
			})
		}
	}
	t.Run("a Docker zstd layer", func(t *testing.T) {
		t.Parallel()
		m := decodeAs[*image.Manifest](t, []byte(manifestOf("docker", image.MediaTypeDockerLayerZstd, validConfig, "")))
		converted, err := m.Convert(ocispec.MediaTypeImageManifest, []byte(validConfig))
		if err != nil {
			t.Fatal(err)
		}
		if got := converted.Manifest.Layers()[0].MediaType; got != ocispec.MediaTypeImageLayerZstd {
			t.Error(got)
		}
	})
}

// TestConvertConfig converts schema 2 manifests with these configs to OCI.
func TestConvertConfig(t *testing.T) {
	t.Parallel()
	for _, tt := range configTests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := decodeAs[*image.Manifest](t, []byte(manifestOf("docker", image.MediaTypeDockerLayerGzip, tt.config, "")))
			converted, err := m.Convert(ocispec.MediaTypeImageManifest, []byte(tt.config))
			if tt.kind != nil {
				refused(t, err, tt.kind, tt.text)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if string(converted.Config) != tt.want || tt.want == "" && converted.Config != nil {
				t.Errorf("config made anew: %s\nwant: %s", converted.Config, tt.want)
			}
			if diff := cmp.Diff(tt.lost, converted.Lost); diff != "" {
				t.Errorf("lost (-want +got):\n%s", diff)
			}
			config := tt.config
			if tt.want != "" {
				config = tt.want
			}
			validOCI(t, ocispec.MediaTypeImageConfig, []byte(config))
			if err := image.VerifyBytes([]byte(config), converted.Manifest.Config()); err != nil {
				t.Error(err)
			}
			wellMade(t, converted.Manifest)
		})
	}
}

// TestConvertConfigAlgorithm shows that a config made anew keeps its algorithm.
func TestConvertConfigAlgorithm(t *testing.T) {
	t.Parallel()
	config := strings.Replace(validConfig, "{", `{"author":null,`, 1)
	in := manifestOf("docker", image.MediaTypeDockerLayer, config, "")
	in = strings.Replace(in, digest.FromString(config).String(), digest.SHA512.FromString(config).String(), 1)
	converted, err := decodeAs[*image.Manifest](t, []byte(in)).Convert(ocispec.MediaTypeImageManifest, []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := converted.Manifest.Config().Digest, digest.SHA512.FromString(validConfig); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}

func TestConvertToTheSame(t *testing.T) {
	t.Parallel()
	m := decodeAs[*image.Manifest](t, []byte(manifestOf("oci", "text/plain", "x", ` , "annotations": {"k":"v"}`)))
	converted, err := m.Convert(ocispec.MediaTypeImageManifest, nil)
	if err != nil || converted.Manifest != m || converted.Config != nil || converted.Lost != nil {
		t.Errorf("manifest: %v, %v", converted, err)
	}
	l := decodeAs[*image.List](t, []byte(expand(sparseIndex)))
	same, lost, err := l.Convert(ocispec.MediaTypeImageIndex)
	if err != nil || same != l || lost != nil {
		t.Errorf("list: %v, %v, %v", same, lost, err)
	}
}

// refused checks an error's kind and that it says text.
func refused(t *testing.T, err, kind error, text string) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), text) {
		t.Errorf("error %q\nwant %q and kind %q", err, text, kind)
	}
	for _, k := range []error{
		errdefs.ErrInvalidArgument, errdefs.ErrNotFound, errdefs.ErrResourceExhausted,
		errdefs.ErrNotImplemented, errdefs.ErrDataLoss, errdefs.ErrAlreadyExists,
	} {
		if k != kind && errors.Is(err, k) { //nolint:errorlint // the kinds are told apart by identity
			t.Errorf("error %q is also of kind %q", err, k)
		}
	}
}
