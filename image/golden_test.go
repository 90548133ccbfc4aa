package image_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/image-spec/schema"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares got with the file, or writes it.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(readFile(t, path)), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func readFile(tb testing.TB, path string) []byte {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// decodeAs decodes a document whose media type nobody declares.
func decodeAs[D image.Document](tb testing.TB, data []byte) D {
	tb.Helper()
	doc, err := image.Decode(data, image.Declared{}, image.Limits{})
	if err != nil {
		tb.Fatalf("decoding %s: %v", data, err)
	}
	d, ok := doc.(D)
	if !ok {
		tb.Fatalf("decoded a %T", doc)
	}
	return d
}

// wellMade checks what holds for everything that this package makes: it is compact,
// names its media type if it did before or was converted, can be decoded as that,
// and is valid by OCI's schema if it is OCI's.
func wellMade(tb testing.TB, doc image.Document) {
	tb.Helper()
	data := doc.Bytes()
	again, err := image.Decode(data, image.Declared{Descriptor: doc.MediaType(), Served: doc.MediaType()}, image.Limits{})
	if err != nil {
		tb.Fatalf("decoding what was made: %v\n%s", err, data)
	}
	if diff := cmp.Diff(doc.Edges(), again.Edges()); diff != "" {
		tb.Fatalf("edges before and after decoding again (-before +after):\n%s", diff)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil || !bytes.Equal(compact.Bytes(), data) {
		tb.Errorf("not compact JSON (%v): %s", err, data)
	}
	if doc.MediaType() == ocispec.MediaTypeImageIndex || doc.MediaType() == ocispec.MediaTypeImageManifest {
		validOCI(tb, doc.MediaType(), data)
	}
}

// validOCI checks a document or config against OCI's JSON schema.
func validOCI(tb testing.TB, mediaType string, data []byte) {
	tb.Helper()
	err := schema.Validator(mediaType).Validate(bytes.NewReader(data))
	// The validator asks for NAME=VALUE beside the schema: that is not ours to mend.
	if err != nil && !strings.HasPrefix(err.Error(), "unexpected env: ") {
		tb.Errorf("not valid %s: %v\n%s", mediaType, err, data)
	}
}

// other returns the media type in the other family, and a name for files.
func other(tb testing.TB, mediaType string) (string, string) {
	tb.Helper()
	switch mediaType {
	case ocispec.MediaTypeImageIndex:
		return image.MediaTypeDockerList, "list"
	case image.MediaTypeDockerList:
		return ocispec.MediaTypeImageIndex, "index"
	case ocispec.MediaTypeImageManifest:
		return image.MediaTypeDockerManifest, "v2s2"
	case image.MediaTypeDockerManifest:
		return ocispec.MediaTypeImageManifest, "oci"
	}
	tb.Fatalf("%s has no other form", mediaType)
	return "", ""
}

// TestConvertGolden converts each document there and back.
func TestConvertGolden(t *testing.T) {
	t.Parallel()
	dirs, err := filepath.Glob(filepath.Join("testdata", "convert", "*"))
	if err != nil || len(dirs) == 0 {
		t.Fatal("no documents:", err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			in := readFile(t, filepath.Join(dir, "in.json"))
			doc := decodeAs[image.Document](t, in)
			var config []byte
			if image.IsManifest(doc.MediaType()) {
				config = readFile(t, filepath.Join(dir, "config.json"))
			}
			for _, step := range []string{"1", "2"} {
				to, name := other(t, doc.MediaType())
				before := doc
				var lost []string
				doc, config, lost = convert(t, dir, step+"."+name, doc, to, config)
				wellMade(t, doc)
				if doc.MediaType() != to || !strings.Contains(string(doc.Bytes()), `"mediaType":"`+to+`"`) {
					t.Errorf("converted to %s, but is %s: %s", to, doc.MediaType(), doc.Bytes())
				}
				sameContent(t, before, doc)
				golden(t, filepath.Join(dir, step+"."+name+".json"), doc.Bytes())
				golden(t, filepath.Join(dir, step+"."+name+".lost.txt"), []byte(strings.Join(append(lost, ""), "\n")))
			}
		})
	}
}

// convert converts a document, and its config if it has one.
func convert(t *testing.T, dir, step string, doc image.Document, to string, config []byte) (image.Document, []byte, []string) {
	t.Helper()
	if list, ok := doc.(*image.List); ok {
		converted, lost, err := list.Convert(to)
		if err != nil {
			t.Fatal(err)
		}
		return converted, nil, lost
	}
	converted, err := decodeAs[*image.Manifest](t, doc.Bytes()).Convert(to, config)
	if err != nil {
		t.Fatal(err)
	}
	if converted.Config != nil {
		config = converted.Config
		golden(t, filepath.Join(dir, step+".config.json"), config)
	}
	if err := image.VerifyBytes(config, converted.Manifest.Config()); err != nil {
		t.Errorf("config: %v", err)
	}
	if to == ocispec.MediaTypeImageManifest {
		validOCI(t, ocispec.MediaTypeImageConfig, config)
	}
	return converted.Manifest, config, converted.Lost
}

// sameContent checks that two documents lead to the same content, but for a config
// made anew.
func sameContent(t *testing.T, before, after image.Document) {
	t.Helper()
	was, is := before.Edges(), after.Edges()
	if len(was) != len(is) {
		t.Fatalf("%d edges became %d", len(was), len(is))
	}
	for i := range was {
		if was[i].Role != image.RoleConfig && (was[i].Desc.Digest != is[i].Desc.Digest || was[i].Desc.Size != is[i].Desc.Size) {
			t.Errorf("edge %d was to %v and is to %v", i, was[i].Desc, is[i].Desc)
		}
	}
}
