package image_test

import (
	"bytes"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
)

// FuzzConvert converts a list or manifest there and back. In a manifest, $C stands for
// the digest of the config and $S for its size. What can be converted leads to the
// same content afterwards, and is valid by OCI's schema where it is OCI's.
func FuzzConvert(f *testing.F) {
	for _, dir := range []string{"oci-manifest", "schema2-manifest", "schema2-old-config", "schema2-windows"} {
		config := readFile(f, filepath.Join("testdata", "convert", dir, "config.json"))
		in := string(readFile(f, filepath.Join("testdata", "convert", dir, "in.json")))
		in = strings.Replace(in, digest.FromBytes(config).String(), "$C", 1)
		f.Add([]byte(strings.Replace(in, `"size": `+strconv.Itoa(len(config)), `"size": $S`, 1)), config)
	}
	for _, in := range []string{"oci-index", "docker-list"} {
		f.Add(readFile(f, filepath.Join("testdata", "convert", in, "in.json")), []byte{})
	}
	f.Add([]byte(expand(sparseIndex)), []byte{})
	f.Fuzz(func(t *testing.T, data, config []byte) {
		data = bytes.ReplaceAll(data, []byte("$C"), []byte(digest.FromBytes(config)))
		data = bytes.ReplaceAll(data, []byte("$S"), []byte(strconv.Itoa(len(config))))
		doc, err := image.Decode(data, image.Declared{}, image.Limits{})
		if err != nil {
			return
		}
		for range 2 {
			before := doc
			doc, config, err = convertAny(t, doc, config)
			if err != nil {
				known(t, err)
				return
			}
			if doc == nil {
				return
			}
			wellMade(t, doc)
			sameContent(t, before, doc)
		}
	})
}

// FuzzConvertConfig converts a schema 2 manifest with this config to OCI.
func FuzzConvertConfig(f *testing.F) {
	for _, tt := range configTests {
		f.Add([]byte(tt.config))
	}
	for _, config := range testdata(f, "config.json") {
		f.Add(config)
	}
	f.Fuzz(func(t *testing.T, config []byte) {
		doc, err := image.Decode([]byte(manifestOf("docker", image.MediaTypeDockerLayerGzip, string(config), "")), image.Declared{}, image.Limits{})
		if err != nil {
			return // the config is the layer
		}
		converted, made, err := convertAny(t, doc, config)
		if err != nil {
			known(t, err)
			return
		}
		wellMade(t, converted)
		if _, err := image.DecodeConfig(made, image.Limits{}); err != nil {
			t.Errorf("decoding the config of what was made: %v", err)
		}
	})
}

// convertAny converts a document, and checks the config. It returns nil for what has
// no other form.
func convertAny(t *testing.T, doc image.Document, config []byte) (image.Document, []byte, error) {
	t.Helper()
	switch doc := doc.(type) {
	case *image.List:
		to, _ := other(t, doc.MediaType())
		converted, _, err := doc.Convert(to)
		if err != nil {
			return nil, nil, err
		}
		return converted, nil, nil
	case *image.Manifest:
		to, _ := other(t, doc.MediaType())
		converted, err := doc.Convert(to, config)
		if err != nil {
			return nil, nil, err
		}
		if converted.Config != nil {
			config = converted.Config
		} else if converted.Manifest.Config().Digest != doc.Config().Digest {
			t.Error("another config, which is not there")
		}
		if err := image.VerifyBytes(config, converted.Manifest.Config()); err != nil {
			t.Error(err)
		}
		if to == ocispec.MediaTypeImageManifest {
			validOCI(t, ocispec.MediaTypeImageConfig, config)
		}
		return converted.Manifest, config, nil
	}
	return nil, nil, nil
}
