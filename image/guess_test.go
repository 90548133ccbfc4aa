package image_test

import (
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
)

// TestGuess has a row for each shape of document. What is guessed right can also be
// decoded; invalid marks what is guessed but is no valid document.
func TestGuess(t *testing.T) {
	t.Parallel()
	nomime := func(s string) string {
		for _, m := range []string{"$M", "$I", "$D", "$L"} {
			s = strings.Replace(s, `:2,"mediaType":"`+m+`",`, ":2,", 1)
		}
		return s
	}
	artifact := `{"schemaVersion":2,"mediaType":"$M","config":{"mediaType":"application/vnd.example.config","digest":"$c","size":7},"layers":[` + layerJSON + `]}`
	for _, test := range []struct {
		name, in, want string
		invalid        bool
	}{
		{name: "schema 2", in: dockerManifest, want: "$D"},
		{name: "schema 2 without media type", in: nomime(dockerManifest), want: "$D"},
		{name: "Docker list", in: dockerList, want: "$L"},
		{name: "schema 1", in: unsigned, want: image.MediaTypeDockerSchema1},
		{name: "schema 1, signed", in: signed(unsigned, 1), want: image.MediaTypeDockerSchema1Signed},
		{name: "schema 1, signatures null", in: withSignatures(unsigned, "null"), want: image.MediaTypeDockerSchema1},
		{name: "schema 1, signatures invalid", in: withSignatures(unsigned, "1"), want: image.MediaTypeDockerSchema1Signed, invalid: true},
		{name: "manifest", in: ociManifest, want: "$M"},
		{name: "manifest without media type", in: nomime(ociManifest), want: "$M"},
		{name: "artifact", in: artifact, want: "$M"},
		{name: "artifact without media type", in: nomime(artifact), want: "$M"},
		{name: "index", in: ociIndex, want: "$I"},
		{name: "index without media type", in: nomime(ociIndex), want: "$I"},
		{name: "index without entries", in: `{"schemaVersion":2,"manifests":[]}`, want: "$I"},
		{name: "list without media type", in: nomime(dockerList), want: "$I"},
		{name: "media type of its own", in: `{"schemaVersion":2,"mediaType":"application/vnd.example","manifests":[]}`, want: "$I", invalid: true},
		{name: "media type a number", in: `{"schemaVersion":2,"mediaType":1,"manifests":[]}`, want: "$I", invalid: true},
		{name: "media type alone", in: `{"mediaType":"$L"}`, want: "$L", invalid: true},
		{name: "schema 1 media type alone", in: `{"mediaType":"` + image.MediaTypeDockerSchema1 + `"}`, want: ""},
		{name: "everything at once", in: `{"schemaVersion":2,"config":` + configJSON + `,"layers":[],"manifests":[]}`, want: "$M", invalid: true},
		{name: "config not an object", in: `{"schemaVersion":2,"config":"x","manifests":[]}`, want: "$I", invalid: true},
		{name: "config type not a string", in: `{"schemaVersion":2,"config":{"mediaType":1}}`, want: "$M", invalid: true},
		{name: "version only", in: `{"schemaVersion":2}`, want: "$M", invalid: true},
		{name: "key twice, the last counts", in: `{"schemaVersion":1,"schemaVersion":2,"manifests":{},"manifests":[]}`, want: "$I", invalid: true},
		{name: "version unknown", in: `{"schemaVersion":99999,"name":"x"}`, want: ""},
		{name: "version in quotes", in: `{"schemaVersion":"2","manifests":[]}`, want: ""},
		{name: "version 2.0", in: `{"schemaVersion":2.0,"manifests":[]}`, want: ""},
		{name: "no version", in: `{"manifests":[]}`, want: ""},
		{name: "an image config", in: `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{}}`, want: ""},
		{name: "an array", in: `[{"schemaVersion":2}]`, want: ""},
		{name: "a string", in: `"schemaVersion"`, want: ""},
		{name: "not JSON", in: "\xa3\x00", want: ""},
		{name: "nothing", in: "", want: ""},
		{name: "cut short", in: `{"schemaVersion":2,"manifests":[]`, want: ""},
		{name: "trailing data", in: `{"schemaVersion":2,"manifests":[]}x`, want: ""},
		{name: "deep", in: `{"schemaVersion":2,"manifests":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}", want: "$I", invalid: true},
		{name: "4 MiB and a byte", in: `{"schemaVersion":2,"manifests":[]}` + strings.Repeat(" ", 4<<20-33), want: ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			data := []byte(expand(test.in))
			got := image.Guess(data)
			if got != expand(test.want) {
				t.Errorf("guessed %q, want %q", got, expand(test.want))
			}
			doc, err := image.Decode(data, image.Declared{}, image.Limits{})
			switch valid := test.want != "" && !test.invalid; {
			case (err == nil) != valid:
				t.Errorf("decoding: %v", err)
			case valid && doc.MediaType() != got:
				t.Errorf("decoded as %s", doc.MediaType())
			}
		})
	}
}

func TestNormalizeContentType(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		ocispec.MediaTypeImageIndex:                           ocispec.MediaTypeImageIndex,
		ocispec.MediaTypeImageManifest:                        ocispec.MediaTypeImageManifest,
		image.MediaTypeDockerList:                             image.MediaTypeDockerList,
		image.MediaTypeDockerManifest:                         image.MediaTypeDockerManifest,
		image.MediaTypeDockerSchema1:                          image.MediaTypeDockerSchema1,
		image.MediaTypeDockerSchema1Signed:                    image.MediaTypeDockerSchema1Signed,
		ocispec.MediaTypeImageIndex + "; charset=utf-8":       ocispec.MediaTypeImageIndex,
		" " + strings.ToUpper(ocispec.MediaTypeImageIndex):    ocispec.MediaTypeImageIndex,
		ocispec.MediaTypeImageIndex + ";;; what=ever; \"\x00": ocispec.MediaTypeImageIndex,
		ocispec.MediaTypeImageConfig:                          "",
		"application/json":                                    "",
		"application/json; charset=utf-8":                     "",
		"text/plain":                                          "",
		"text/html":                                           "",
		"application/octet-stream":                            "",
		"":                                                    "",
		";":                                                   "",
	} {
		if got := image.NormalizeContentType(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
