package image_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
)

// The IDs of the images in unsigned.
var (
	idA = strings.Repeat("a", 64)
	idB = strings.Repeat("b", 64)
	idC = strings.Repeat("c", 64)
)

// unsigned is a schema 1 manifest as Docker wrote them: the newest layer first, the
// empty layer twice.
var unsigned = schema1(
	[]string{"$e", "$e", "$l"},
	[]string{`{"id":"` + idC + `","parent":"` + idB + `","os":"linux","throwaway":true}`, `{"id":"` + idB + `","parent":"` + idA + `"}`, `{"id":"` + idA + `"}`},
)

// schema1 returns a manifest with these layers and lines of history.
func schema1(layers, history []string) string {
	layers, history = slices.Clone(layers), slices.Clone(history)
	for i, layer := range layers {
		layers[i] = fmt.Sprintf("      {\n         \"blobSum\": %q\n      }", expand(layer))
	}
	for i, line := range history {
		history[i] = fmt.Sprintf("      {\n         \"v1Compatibility\": %q\n      }", line)
	}
	return "{\n   \"schemaVersion\": 1,\n   \"name\": \"library/example\",\n   \"tag\": \"latest\",\n   \"architecture\": \"amd64\",\n" +
		"   \"fsLayers\": [\n" + strings.Join(layers, ",\n") + "\n   ],\n" +
		"   \"history\": [\n" + strings.Join(history, ",\n") + "\n   ]\n}"
}

// jws returns a signature that says to sign so many bytes and the tail.
func jws(length any, tail string) string {
	protected := fmt.Sprintf(`{"formatLength":%v,"formatTail":%q,"time":"2016-04-18T20:54:42Z"}`, length, base64.RawURLEncoding.EncodeToString([]byte(tail)))
	return fmt.Sprintf(`{"header":{"jwk":{"kty":"EC"},"alg":"ES256"},"signature":"c2ln","protected":%q}`,
		base64.RawURLEncoding.EncodeToString([]byte(protected)))
}

// withSignatures returns a manifest with signatures as its last member.
func withSignatures(manifest, signatures string) string {
	return strings.TrimSuffix(manifest, "\n}") + ",\n   \"signatures\": " + signatures + "\n}"
}

// signed returns a manifest with so many signatures.
func signed(manifest string, n int) string {
	one := jws(len(manifest)-len("\n}"), "\n}")
	return withSignatures(manifest, "["+strings.TrimSuffix(strings.Repeat(one+",", n), ",")+"]")
}

func TestDecodeSchema1(t *testing.T) {
	t.Parallel()
	layer := func(s string, i int) image.Edge {
		return image.Edge{Desc: ocispec.Descriptor{MediaType: image.MediaTypeDockerLayerGzip, Digest: digestOf(s), Size: -1}, Role: image.RoleLayer, Index: i}
	}
	want := []image.Edge{layer("l", 0), layer("e", 1), layer("e", 2)}
	for in, mediaType := range map[string]string{
		unsigned:            image.MediaTypeDockerSchema1,
		signed(unsigned, 1): image.MediaTypeDockerSchema1Signed,
		signed(unsigned, 3): image.MediaTypeDockerSchema1Signed,
		signed(strings.ReplaceAll(unsigned, "\n}", " \n}"), 1):                                         image.MediaTypeDockerSchema1Signed,
		withSignatures(unsigned, "null"):                                                               image.MediaTypeDockerSchema1,
		strings.Replace(unsigned, "{", `{"mediaType":"`+image.MediaTypeDockerSchema1+`","x":null,`, 1): image.MediaTypeDockerSchema1,
	} {
		for _, declared := range []image.Declared{{}, {Descriptor: mediaType}, {Served: mediaType}} {
			doc, err := image.Decode([]byte(in), declared, image.Limits{})
			if err != nil {
				t.Errorf("%+v: %v", declared, err)
				continue
			}
			s := doc.(*image.Schema1)
			if diff := cmp.Diff(want, s.Edges()); diff != "" {
				t.Error(diff)
			}
			if s.MediaType() != mediaType || string(s.Bytes()) != in || s.Name() != "library/example" || s.Tag() != "latest" || s.Architecture() != "amd64" {
				t.Errorf("%s %s:%s for %s", s.MediaType(), s.Name(), s.Tag(), s.Architecture())
			}
			if s.Subject() != nil || s.ArtifactType() != "" || s.Annotations() == nil || len(s.Annotations()) > 0 {
				t.Errorf("subject %v, artifact type %q, annotations %v", s.Subject(), s.ArtifactType(), s.Annotations())
			}
		}
	}
}

// TestDecodeSchema1Refuses shows what is wrong with a schema 1 manifest as such.
func TestDecodeSchema1Refuses(t *testing.T) {
	t.Parallel()
	line := func(id, parent string) string { return fmt.Sprintf(`{"id":%q,"parent":%q}`, id, parent) }
	one := []string{"$e"}
	two := []string{"$e", "$l"}
	replaced := func(old, with string) string { return strings.Replace(unsigned, old, with, 1) }
	for _, test := range []struct {
		name, in string
		kind     error
		says     string
	}{
		{name: "B29 version 2", in: replaced(": 1", ": 2"), says: "schemaVersion: is 2 where 1 is wanted"},
		{name: "B29 version missing", in: replaced(`"schemaVersion": 1,`, ""), says: "schemaVersion: is missing or null"},
		{name: "B27 layers", in: replaced("{", `{"layers":[],`), says: "layers: makes this an ambiguous manifest"},
		{name: "B27 config", in: replaced("{", `{"config":{},`), says: "config: makes this an ambiguous manifest"},
		{name: "B27 manifests", in: replaced("{", `{"manifests":[],`), says: "manifests: makes this an ambiguous manifest"},
		{name: "B26 fslayers", in: replaced("{", `{"fslayers":[],`), says: `ambiguous key "fslayers"`},
		{name: "B28 media type", in: replaced("{", `{"mediaType":"a/b",`), says: `the document itself says "a/b"`},
		{name: "B09 layer digest", in: schema1([]string{"sha256:../../x"}, []string{line(idA, "")}), says: `fsLayers[0].blobSum: is "sha256:../../x"`},
		{name: "layer without digest", in: replaced("blobSum", "x"), says: "fsLayers[0].blobSum: is missing"},
		{name: "line without image", in: replaced("v1Compatibility", "x"), says: "history[0].v1Compatibility: is missing"},
		{name: "line that is no JSON", in: schema1(one, []string{"x"}), says: "history[0].v1Compatibility: document: is not JSON"},
		{name: "line with a key twice", in: schema1(one, []string{`{"id":"","id":""}`}), says: `history[0].v1Compatibility: document: has the key "id" twice`},
		{name: "no ID", in: schema1(one, []string{`{"parent":""}`}), says: "history[0].v1Compatibility: id: is missing"},
		{name: "ID short", in: schema1(one, []string{line("abc", "")}), says: `v1Compatibility: id: is "abc", which is not 64`},
		{name: "ID upper case", in: schema1(one, []string{line(strings.ToUpper(idA), "")}), says: "v1Compatibility: id: is"},
		{name: "parent as a path", in: schema1(one, []string{line(idA, "../x")}), says: `v1Compatibility: parent: is "../x"`},
		{name: "fewer lines than layers", in: schema1(two, []string{line(idA, "")}), says: "history: has 1 lines for 2 fsLayers"},
		{name: "more lines than layers", in: schema1(one, []string{line(idB, idA), line(idA, "")}), says: "history: has 2 lines for 1 fsLayers"},
		{name: "nothing", in: schema1(nil, nil), says: "history: has 0 lines for 0 fsLayers"},
		{name: "base with a parent", in: schema1(one, []string{line(idA, idB)}), says: "history[0]: has the parent " + idB + ", but is the base"},
		{name: "broken chain", in: schema1(two, []string{line(idB, idC), line(idA, "")}), says: "history[0]: has the parent \"" + idC + "\" where the next line is " + idA},
		{name: "no parent", in: schema1(two, []string{line(idB, ""), line(idA, "")}), says: `history[0]: has the parent "" where`},
		{
			name: "ID twice, not adjacent", says: "history[2]: has the ID " + idA + " of an earlier line",
			in: schema1([]string{"$e", "$e", "$e"}, []string{line(idA, idB), line(idB, idA), line(idA, "")}),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := image.Decode([]byte(test.in), as(image.MediaTypeDockerSchema1), image.Limits{})
			refused(t, err, errdefs.ErrInvalidArgument, test.says)
		})
	}
	_, err := image.Decode([]byte(unsigned), image.Declared{}, image.Limits{Descriptors: 2})
	refused(t, err, errdefs.ErrResourceExhausted, "fsLayers[2]: is one more than the 2 allowed")
}

// TestAdjacentDuplicates shows that an image that follows itself is one image.
func TestAdjacentDuplicates(t *testing.T) {
	t.Parallel()
	b := fmt.Sprintf(`{"id":%q,"parent":%q}`, idB, idA)
	in := schema1([]string{"$e", "$e", "$l"}, []string{b, b, fmt.Sprintf(`{"id":%q}`, idA)})
	if edges := decodeAs[*image.Schema1](t, []byte(in)).Edges(); len(edges) != 3 {
		t.Errorf("%d layers, want 3", len(edges))
	}
}

// TestSignatures shows what the signatures of a manifest cannot say. The digest is
// of what they sign, so each is refused for the digest, too.
func TestSignatures(t *testing.T) {
	t.Parallel()
	right := len(unsigned) - len("\n}")
	elsewhere := `{"schemaVersion":1,"evil":true}`
	for _, test := range []struct{ name, in, says string }{
		{"absent", unsigned, "a signed manifest has at least one"},
		{"null", withSignatures(unsigned, "null"), "a signed manifest has at least one"},
		{"none", withSignatures(unsigned, "[]"), "a signed manifest has at least one"},
		{"a number", withSignatures(unsigned, "1"), "signatures: is a number where an array is wanted"},
		{"empty", withSignatures(unsigned, "[{}]"), "signatures[0].protected: is missing"},
		{"not base64", withSignatures(unsigned, `[{"protected":"*"}]`), "signatures[0].protected: is not base64"},
		{"not JSON", withSignatures(unsigned, `[{"protected":"eA"}]`), "signatures[0].protected: document: is not JSON"},
		{"no length", withSignatures(unsigned, `[{"protected":"e30"}]`), "signatures[0].protected: formatLength: is missing"},
		{"tail not base64", withSignatures(unsigned, `[{"protected":"`+base64.RawURLEncoding.EncodeToString([]byte(`{"formatLength":1,"formatTail":"*"}`))+`"}]`), `formatTail "*" is not base64`},
		{"length negative", withSignatures(unsigned, "["+jws(-1, "\n}")+"]"), `formatLength: is "-1"`},
		{"length 0, and all in the tail", withSignatures(unsigned, "["+jws(0, elsewhere)+"]"), "is not this manifest, whose members end at byte"},
		{"length short by one", withSignatures(unsigned, "["+jws(right-1, "]}")+"]"), "is not this manifest"},
		{"length into the signatures", withSignatures(unsigned, "["+jws(right+1, "}")+"]"), "is not this manifest"},
		{"length of the whole", withSignatures(unsigned, "["+jws(1000, "}")+"]"), "is not this manifest"},
		{"length beyond the end", withSignatures(unsigned, "["+jws(1<<40, "}")+"]"), "is not this manifest"},
		{"tail with more", withSignatures(unsigned, "["+jws(right, `,"tag":"evil"}`)+"]"), `is not this manifest`},
		{"tail with other space", withSignatures(unsigned, "["+jws(right, "\v}")+"]"), "is not this manifest"},
		{"tail empty", withSignatures(unsigned, "["+jws(right, "")+"]"), "is not this manifest"},
		{"two that differ", withSignatures(unsigned, "["+jws(right, "\n}")+","+jws(right, "}")+"]"), "signatures[1]: signs another payload"},
		{"member after them", strings.TrimSuffix(signed(unsigned, 1), "}") + `,"tag2":"evil"}`, "tag2: comes after the signatures"},
		{"member twice", strings.TrimSuffix(signed(unsigned, 1), "}") + `,"tag":"evil"}`, `has the key "tag" twice`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := image.Decode([]byte(test.in), as(image.MediaTypeDockerSchema1Signed), image.Limits{})
			refused(t, err, errdefs.ErrInvalidArgument, test.says)
			_, err = image.DigestOf([]byte(test.in), image.MediaTypeDockerSchema1Signed, "")
			refused(t, err, errdefs.ErrInvalidArgument, test.says)
		})
	}
	_, err := image.Decode([]byte(signed(unsigned, 1)), as(image.MediaTypeDockerSchema1), image.Limits{})
	refused(t, err, errdefs.ErrInvalidArgument, "signatures: a manifest of this type has none")
}
