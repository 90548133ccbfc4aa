package image_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
)

// field is a member of a descriptor, as raw JSON.
type field struct{ name, value string }

// descriptorJSON returns a valid descriptor in which some fields are others, more,
// or, with an empty value, gone.
func descriptorJSON(fields ...field) string {
	all := []field{{"mediaType", `"application/vnd.example.blob"`}, {"digest", `"$new"`}, {"size", "3"}}
next:
	for _, f := range fields {
		for i := range all {
			if all[i].name == f.name {
				all[i] = f
				continue next
			}
		}
		all = append(all, f)
	}
	var members []string
	for _, f := range all {
		if f.value != "" {
			members = append(members, `"`+f.name+`":`+f.value)
		}
	}
	return expand("{" + strings.Join(members, ",") + "}")
}

// quoted returns text as JSON.
func quoted[T ~string](s T) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // text can always be written
	}
	return string(text)
}

// places are where descriptors stand in documents: the path, and the document
// around it by its type.
var places = []struct{ path, mediaType, before, after string }{
	{"manifests[1]", "$I", `{"schemaVersion":2,"manifests":[{"mediaType":"$M","digest":"$a","size":5},`, `]}`},
	{"manifests[0]", "$L", `{"schemaVersion":2,"manifests":[`, `]}`},
	{"subject", "$I", `{"schemaVersion":2,"subject":`, `}`},
	{"subject", "$M", `{"schemaVersion":2,"config":` + configJSON + `,"subject":`, `}`},
	{"config", "$M", `{"schemaVersion":2,"config":`, `}`},
	{"config", "$D", `{"schemaVersion":2,"config":`, `}`},
	{"layers[0]", "$M", `{"schemaVersion":2,"config":` + configJSON + `,"layers":[`, `]}`},
	{"layers[1]", "$D", `{"schemaVersion":2,"config":` + configJSON + `,"layers":[` + layerJSON + `,`, `]}`},
}

// TestDescriptorRefused shows what no descriptor may be, in each place where there
// can be one.
func TestDescriptorRefused(t *testing.T) {
	t.Parallel()
	long := base64.StdEncoding.EncodeToString(make([]byte, 2<<20))
	for _, test := range []struct {
		name string
		in   string
		kind error  // nil is ErrInvalidArgument
		says string // behind the path
	}{
		{name: "B06 size missing", in: descriptorJSON(field{"size", ""}), says: ".size: is missing"},
		{name: "B06 size null", in: descriptorJSON(field{"size", "null"}), says: ".size: is missing or null"},
		{name: "B06 size 0, digest of something", in: descriptorJSON(field{"size", "0"}), says: ": has size 0 and digest $new"},
		{name: "size of something, digest of nothing", in: descriptorJSON(field{"digest", quoted(digestOf(""))}), says: ": has size 3"},
		{name: "B07 size negative", in: descriptorJSON(field{"size", "-1"}), says: `.size: is "-1"`},
		{name: "B07 size 2^63", in: descriptorJSON(field{"size", "9223372036854775808"}), says: ".size: is"},
		{name: "B07 size 1e3", in: descriptorJSON(field{"size", "1e3"}), says: `.size: is "1e3"`},
		{name: "B07 size 1.5", in: descriptorJSON(field{"size", "1.5"}), says: `.size: is "1.5"`},
		{name: "B07 size in quotes", in: descriptorJSON(field{"size", `"5"`}), says: ".size: is a string"},
		{name: "B09 digest missing", in: descriptorJSON(field{"digest", ""}), says: ".digest: is missing"},
		{name: "B09 digest null", in: descriptorJSON(field{"digest", "null"}), says: ".digest: is missing or null"},
		{name: "B09 digest empty", in: descriptorJSON(field{"digest", `""`}), says: `.digest: is "", which is not a digest`},
		{name: "B09 digest without hex", in: descriptorJSON(field{"digest", `"sha256:"`}), says: `.digest: is "sha256:"`},
		{name: "B09 digest upper case", in: descriptorJSON(field{"digest", quoted("sha256:" + strings.Repeat("A", 64))}), says: ".digest: is"},
		{name: "B10 digest as a path", in: descriptorJSON(field{"digest", `"sha256:../../../etc/passwd"`}), says: `.digest: is "sha256:../../../etc/passwd"`},
		{name: "B10 digest with a NUL", in: descriptorJSON(field{"digest", quoted("sha256:\x00" + strings.Repeat("a", 63))}), says: `.digest: is "sha256:\x00`},
		{name: "B11 digest md5", in: descriptorJSON(field{"digest", `"md5:d41d8cd98f00b204e9800998ecf8427e"`}), kind: errdefs.ErrNotImplemented, says: `.digest: is "md5:`},
		{name: "B11 digest multihash", in: descriptorJSON(field{"digest", `"multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8"`}), kind: errdefs.ErrNotImplemented, says: ".digest: is"},
		{name: "digest a number", in: descriptorJSON(field{"digest", "1"}), says: ".digest: is a number"},
		{name: "B15 data not base64", in: descriptorJSON(field{"data", `"n*w="`}), kind: errdefs.ErrDataLoss, says: ": has embedded data that is not base64"},
		{name: "B15 data too short", in: descriptorJSON(field{"data", `"bmU="`}), kind: errdefs.ErrDataLoss, says: ".data: content of $new: 2 bytes where its descriptor says 3"},
		{name: "B15 data too long", in: descriptorJSON(field{"data", `"bmV3cw=="`}), kind: errdefs.ErrDataLoss, says: ".data: content of $new: 4 bytes"},
		{name: "B15 data empty", in: descriptorJSON(field{"data", `""`}), kind: errdefs.ErrDataLoss, says: ".data: content of $new: 0 bytes"},
		{name: "B15 other data", in: descriptorJSON(field{"data", `"b2xk"`}), kind: errdefs.ErrDataLoss, says: ".data: content of $new: it has digest sha256:"},
		{name: "B15 data of 2 MiB", in: descriptorJSON(field{"data", quoted(long)}), kind: errdefs.ErrResourceExhausted, says: ": has more embedded data than the 1048576 bytes allowed"},
		{
			name: "B15 data of 1 MiB and a byte", in: descriptorJSON(field{"data", `"$64"`}, field{"size", "1048577"}),
			kind: errdefs.ErrResourceExhausted, says: ": has more embedded data than the 1048576 bytes allowed",
		},
		{name: "data a number", in: descriptorJSON(field{"data", "1"}), says: ".data: is a number"},
		{name: "B26 key twice", in: `{"size":1,"size":2}`, says: `: has the key "size" twice`},
		{name: "B26 ſize", in: descriptorJSON(field{"ſize", "1"}), says: `: has the ambiguous key "\u017fize", which can be taken for "size"`},
		{name: "B26 Digest", in: descriptorJSON(field{"Digest", `"$a"`}), says: `: has the ambiguous key "Digest"`},
		{name: "B26 unknown, folding Kelvin", in: descriptorJSON(field{"k", "1"}, field{"\u212a", "1"}), says: `: has the ambiguous key "\u212a" twice`},
		{name: "B33 platform wrong type", in: descriptorJSON(field{"platform", `"linux/amd64"`}), says: ".platform: is a string"},
		{name: "B33 os wrong type", in: descriptorJSON(field{"platform", `{"os":1}`}), says: ".platform.os: is a number"},
		{name: "os.features wrong type", in: descriptorJSON(field{"platform", `{"os.features":"x"}`}), says: `.platform["os.features"]: is a string`},
		{name: "OS in upper case", in: descriptorJSON(field{"platform", `{"OS":"linux"}`}), says: `.platform: has the ambiguous key "OS"`},
		{name: "media type missing", in: descriptorJSON(field{"mediaType", ""}), says: ".mediaType: is missing"},
		{name: "media type empty", in: descriptorJSON(field{"mediaType", `""`}), says: `.mediaType: is "", which is not a media type`},
		{name: "media type without a slash", in: descriptorJSON(field{"mediaType", `"json"`}), says: ".mediaType: is"},
		{name: "media type without a subtype", in: descriptorJSON(field{"mediaType", `"application/"`}), says: ".mediaType: is"},
		{name: "media type without a type", in: descriptorJSON(field{"mediaType", `"/json"`}), says: ".mediaType: is"},
		{name: "media type with a control character", in: descriptorJSON(field{"mediaType", `"a/b\u001b[31m"`}), says: `.mediaType: is "a/b\x1b[31m"`},
		{name: "media type with a newline", in: descriptorJSON(field{"mediaType", `"a/b\nc"`}), says: ".mediaType: is"},
		{name: "media type beyond ASCII", in: descriptorJSON(field{"mediaType", `"a/é"`}), says: ".mediaType: is"},
		{name: "media type of 256 bytes", in: descriptorJSON(field{"mediaType", quoted("a/" + strings.Repeat("b", 254))}), says: ".mediaType: is"},
		{name: "artifact type malformed", in: descriptorJSON(field{"artifactType", `"x"`}), says: `.artifactType: is "x"`},
		{name: "urls a string", in: descriptorJSON(field{"urls", `"https://a.example"`}), says: ".urls: is a string"},
		{name: "url a number", in: descriptorJSON(field{"urls", `["",1]`}), says: ".urls[1]: is a number"},
		{name: "10,001 urls", in: descriptorJSON(field{"urls", "[" + strings.Repeat(`"",`, 10_000) + `""]`}), kind: errdefs.ErrResourceExhausted, says: ".urls[10000]: is one more than the 10000 allowed"},
		{name: "annotation null", in: descriptorJSON(field{"annotations", `{"a":null}`}), says: ".annotations.a: is null"},
		{name: "null", in: "null", says: ""},
		{name: "a string", in: `"x"`, says: ": is a string where an object is wanted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, place := range places {
				if test.in == "null" && !strings.HasSuffix(place.path, "]") {
					continue // is as if absent
				}
				_, err := image.Decode([]byte(expand(place.before)+test.in+expand(place.after)), as(place.mediaType), image.Limits{})
				if test.kind == nil {
					test.kind = errdefs.ErrInvalidArgument
				}
				refused(t, err, test.kind, expand("decode "+place.mediaType+": "+place.path+test.says))
			}
		})
	}
}

// TestDescriptorTaken shows what descriptors may be, odd or not, and that all of it
// is kept.
func TestDescriptorTaken(t *testing.T) {
	t.Parallel()
	base := ocispec.Descriptor{MediaType: "application/vnd.example.blob", Digest: digestOf("new"), Size: 3}
	with := func(change func(d *ocispec.Descriptor)) ocispec.Descriptor {
		d := base
		change(&d)
		return d
	}
	long := "a/" + strings.Repeat("b", 253)
	for _, test := range []struct {
		name string
		in   string
		want ocispec.Descriptor
	}{
		{"plain", descriptorJSON(), base},
		{"B05 nothing at all", descriptorJSON(field{"size", "0"}, field{"digest", quoted(digestOf(""))}),
			with(func(d *ocispec.Descriptor) { d.Size, d.Digest = 0, digestOf("") })},
		{"B05 nothing, by sha512", descriptorJSON(field{"size", "0"}, field{"digest", quoted(sha512Of(""))}),
			with(func(d *ocispec.Descriptor) { d.Size, d.Digest = 0, sha512Of("") })},
		{"B05 nothing, by sha384", descriptorJSON(field{"size", "0"}, field{"digest", quoted(digest.SHA384.FromString(""))}),
			with(func(d *ocispec.Descriptor) { d.Size, d.Digest = 0, digest.SHA384.FromString("") })},
		{"B08 size 1 PiB", descriptorJSON(field{"size", "1125899906842624"}), with(func(d *ocispec.Descriptor) { d.Size = 1 << 50 })},
		{"size 2^63-1", descriptorJSON(field{"size", "9223372036854775807"}), with(func(d *ocispec.Descriptor) { d.Size = 1<<63 - 1 })},
		{"B12 sha512", descriptorJSON(field{"digest", quoted(sha512Of("new"))}), with(func(d *ocispec.Descriptor) { d.Digest = sha512Of("new") })},
		{"B15 data", descriptorJSON(field{"data", `"$64"`}), with(func(d *ocispec.Descriptor) { d.Data = []byte("new") })},
		{"urls", descriptorJSON(field{"urls", `["https://a.example/x","not a URL"]`}), with(func(d *ocispec.Descriptor) { d.URLs = []string{"https://a.example/x", "not a URL"} })},
		{"annotations", descriptorJSON(field{"annotations", `{"a":"1","A":"\u001b"}`}), with(func(d *ocispec.Descriptor) { d.Annotations = map[string]string{"a": "1", "A": "\x1b"} })},
		{"artifact type", descriptorJSON(field{"artifactType", `"a/b"`}), with(func(d *ocispec.Descriptor) { d.ArtifactType = "a/b" })},
		{"null for all that is optional", descriptorJSON(field{"urls", "null"}, field{"annotations", "null"}, field{"data", "null"},
			field{"platform", "null"}, field{"artifactType", "null"}), base},
		{"B33 platform empty", descriptorJSON(field{"platform", "{}"}), with(func(d *ocispec.Descriptor) { d.Platform = &ocispec.Platform{} })},
		{"B33 platform unknown/unknown", descriptorJSON(field{"platform", `{"architecture":"unknown","os":"unknown"}`}),
			with(func(d *ocispec.Descriptor) { d.Platform = &ocispec.Platform{Architecture: "unknown", OS: "unknown"} })},
		{"platform with all", descriptorJSON(field{"platform", `{"architecture":"a","os":"o","os.version":"v","os.features":["f","g"],"variant":"w","features":["x"],"y":1}`}),
			with(func(d *ocispec.Descriptor) {
				d.Platform = &ocispec.Platform{Architecture: "a", OS: "o", OSVersion: "v", OSFeatures: []string{"f", "g"}, Variant: "w"}
			})},
		{"media type of 255 bytes", descriptorJSON(field{"mediaType", quoted(long)}), with(func(d *ocispec.Descriptor) { d.MediaType = long })},
		{"media type with a parameter", descriptorJSON(field{"mediaType", `"text/plain; charset=utf-8"`}), with(func(d *ocispec.Descriptor) { d.MediaType = "text/plain; charset=utf-8" })},
		{"unknown fields", descriptorJSON(field{"x", "[1]"}, field{"sizes", "null"}), base},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, place := range places {
				if place.path == "subject" {
					continue // is no edge
				}
				doc, err := image.Decode([]byte(expand(place.before)+test.in+expand(place.after)), as(place.mediaType), image.Limits{})
				if err != nil {
					t.Fatal(err)
				}
				edges := doc.Edges()
				if place.path == "config" {
					edges = edges[:1]
				}
				if diff := cmp.Diff(test.want, edges[len(edges)-1].Desc); diff != "" {
					t.Errorf("%s of %s: %s", place.path, place.mediaType, diff)
				}
			}
		})
	}
}

// TestLargestData shows the largest content that a descriptor may embed.
func TestLargestData(t *testing.T) {
	t.Parallel()
	content := make([]byte, 1<<20)
	entry := descriptorJSON(field{"data", quoted(base64.StdEncoding.EncodeToString(content))}, field{"size", "1048576"},
		field{"digest", quoted(digestOf(string(content)))})
	got := decodeAs[*image.List](t, []byte(`{"schemaVersion":2,"manifests":[`+entry+`]}`)).Instances()[0].Data
	if !bytes.Equal(got, content) {
		t.Errorf("%d bytes, want %d", len(got), len(content))
	}
}

// TestOneDigestHasOneSize shows that two descriptors of a document cannot differ in
// the size of the same digest, wherever they stand.
func TestOneDigestHasOneSize(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, in, path string }{
		{"B04 two entries", `{"schemaVersion":2,"manifests":[%,#]}`, "manifests[1]"},
		{"B04 two layers", `{"schemaVersion":2,"config":` + configJSON + `,"layers":[%,%,#]}`, "layers[2]"},
		{"B04 config and blob", `{"schemaVersion":2,"config":%,"layers":[#]}`, "layers[0]"},
		{"B04 subject and config", `{"schemaVersion":2,"subject":%,"config":#}`, "config"},
	} {
		write := strings.NewReplacer("%", descriptorJSON(), "#", descriptorJSON(field{"size", "4"}))
		_, err := image.Decode([]byte(expand(write.Replace(test.in))), image.Declared{}, image.Limits{})
		refused(t, err, errdefs.ErrInvalidArgument, test.path+": has digest "+digestOf("new").String()+" with size 4, but before with size 3")
	}
}
