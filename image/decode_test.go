package image_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
)

// Documents of each type, by the abbreviations of expand.
const (
	configJSON = `{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"$c","size":7}`
	layerJSON  = `{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"$l","size":8}`

	ociIndex       = `{"schemaVersion":2,"mediaType":"$I","manifests":[{"mediaType":"$M","digest":"$a","size":5}]}`
	ociManifest    = `{"schemaVersion":2,"mediaType":"$M","config":` + configJSON + `,"layers":[` + layerJSON + `]}`
	dockerManifest = `{"schemaVersion":2,"mediaType":"$D","config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"$c","size":7},` +
		`"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","digest":"$l","size":8}]}`
)

// as declares the media type in a descriptor.
func as(mediaType string) image.Declared { return image.Declared{Descriptor: expand(mediaType)} }

// TestDecodeRefuses shows what is no document, but for what concerns its
// descriptors one by one.
func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	const invalid, ambiguous = "invalid", "ambiguous manifest"
	for _, test := range []struct {
		name, in string
		declared image.Declared
		kind     error // nil is ErrInvalidArgument
		says     string
	}{
		{name: "B24 depth bomb", in: `{"schemaVersion":2,"x":` + strings.Repeat("[", 10_001), declared: as("$I"), says: "nests deeper than 64 levels"},
		{name: "B24 depth bomb, type not known", in: strings.Repeat("[", 1e6), says: "nests deeper than 64 levels"},
		{name: "B26 key twice", in: `{"schemaVersion":2,"manifests":[],"manifests":[]}`, declared: as("$I"), says: `document: has the key "manifests" twice`},
		{name: "B26 key twice, type not known", in: `{"schemaVersion":2,"manifests":[],"manifests":[]}`, says: `has the key "manifests" twice`},
		{name: "B26 upper case", in: `{"schemaVersion":2,"MANIFESTS":[]}`, declared: as("$I"), says: `ambiguous key "MANIFESTS"`},
		{name: "B26 long s", in: `{"schemaVersion":2,"config":` + configJSON + `,"layerſ":[]}`, declared: as("$M"), says: `ambiguous key "layer\u017f", which can be taken for "layers"`},
		{name: "B26 key of another type", in: `{"schemaVersion":2,"FSLayers":null}`, declared: as("$I"), says: `ambiguous key "FSLayers"`},
		{name: "B26 unknown key in two cases", in: `{"schemaVersion":2,"Foo":1,"foo":2}`, declared: as("$I"), says: `ambiguous key "foo" twice`},
		{name: "B26 annotation twice", in: `{"schemaVersion":2,"annotations":{"a":"1","a":"2"}}`, declared: as("$I"), says: `annotations: has the key "a" twice`},
		{name: "annotation not a string", in: `{"schemaVersion":2,"annotations":{"a":1}}`, declared: as("$I"), says: "annotations.a: is a number"},
		{name: "annotation null", in: `{"schemaVersion":2,"annotations":{"a":null}}`, declared: as("$I"), says: "annotations.a: is null"},
		{name: "B27 layers in an index", in: `{"schemaVersion":2,"manifests":[],"layers":[]}`, declared: as("$I"), says: "layers: makes this an " + ambiguous},
		{name: "B27 config in an index", in: `{"schemaVersion":2,"manifests":[],"config":{}}`, declared: as("$I"), says: "config: makes this an " + ambiguous},
		{name: "B27 config in a list", in: `{"schemaVersion":2,"manifests":[],"config":{}}`, declared: as("$L"), says: "config: makes this an " + ambiguous},
		{name: "B27 manifests in a manifest", in: `{"schemaVersion":2,"manifests":[],"config":` + configJSON + `}`, declared: as("$M"), says: "manifests: makes this an " + ambiguous},
		{name: "B27 manifests in schema 2", in: `{"schemaVersion":2,"manifests":[],"config":` + configJSON + `}`, declared: as("$D"), says: "manifests: makes this an " + ambiguous},
		{name: "B27 fsLayers in a manifest", in: `{"schemaVersion":2,"fsLayers":[]}`, declared: as("$M"), says: "fsLayers: makes this an " + ambiguous},
		{name: "B27 history in a manifest", in: `{"schemaVersion":2,"history":[]}`, declared: as("$M"), says: "history: makes this an " + ambiguous},
		{name: "B28 body against descriptor", in: ociIndex, declared: as("$M"), says: `its descriptor says "$M", the document itself says "$I"`},
		{name: "B28 body last", in: `{"schemaVersion":2,"manifests":[],"mediaType":"$L"}`, declared: as("$I"), says: `its descriptor says "$I", the document itself says "$L"`},
		{name: "B28 body against server", in: ociIndex, declared: image.Declared{Served: expand("$L")}, says: `the server says "$L", the document itself says "$I"`},
		{
			name: "B28 all three", in: ociIndex, declared: image.Declared{Served: expand("$L"), Descriptor: expand("$M")},
			says: `its descriptor says "$M", the server says "$L", the document itself says "$I"`,
		},
		{
			name: "B28 descriptor against server", in: `{`, declared: image.Declared{Served: expand("$L"), Descriptor: expand("$M")},
			says: `its descriptor says "$M", the server says "$L": `,
		},
		{name: "B28 schema 2 under another type", in: strings.Replace(dockerManifest, "$D", "application/json", 1), declared: as("$D"), says: `the document itself says "application/json"`},
		{name: "media type not a string", in: `{"schemaVersion":2,"mediaType":1}`, declared: as("$I"), says: "mediaType: is a number"},
		{name: "media type of no document", in: `{}`, declared: as("application/vnd.oci.image.config.v1+json"), kind: errdefs.ErrNotImplemented, says: "not that of a manifest or list"},
		{name: "B29 schema version missing", in: `{"manifests":[]}`, declared: as("$I"), says: "schemaVersion: is missing"},
		{name: "B29 schema version null", in: `{"schemaVersion":null,"manifests":[]}`, declared: as("$I"), says: "schemaVersion: is missing or null"},
		{name: "B29 schema version 1", in: `{"schemaVersion":1}`, declared: as("$M"), kind: errdefs.ErrNotImplemented, says: "schemaVersion: is 1: a schema 1 manifest is not supported"},
		{name: "B29 schema version 3", in: `{"schemaVersion":3}`, declared: as("$M"), says: "schemaVersion: is 3 where 2 is wanted"},
		{name: "B29 schema version in quotes", in: `{"schemaVersion":"2"}`, declared: as("$L"), says: "schemaVersion: is a string"},
		{name: "B29 schema version 2.0", in: `{"schemaVersion":2.0}`, declared: as("$D"), says: `schemaVersion: is "2.0"`},
		{name: "B29 no type known, version 3", in: `{"schemaVersion":3}`, says: "no manifest or list of a known type"},
		{name: "B30 invalid UTF-8", in: "{\"schemaVersion\":2,\"x\":\"\xff\"}", declared: as("$I"), says: invalid},
		{name: "B30 byte order mark", in: "\xef\xbb\xbf" + ociIndex, declared: as("$I"), says: "byte order mark"},
		{name: "B30 trailing data", in: ociIndex + "x", declared: as("$I"), says: "data after its end"},
		{name: "B30 two documents", in: ociIndex + ociIndex, declared: as("$I"), says: "data after its end"},
		{name: "B30 two documents, type not known", in: ociIndex + ociIndex, says: "data after its end"},
		{name: "B30 NUL", in: ociIndex + "\x00", declared: as("$I"), says: "data after its end"},
		{name: "B30 not JSON", in: "<!doctype html>", says: "is not JSON"},
		{name: "B30 nothing", in: "", says: "ends too early"},
		{name: "not an object", in: `[]`, declared: as("$I"), says: "document: is an array where an object is wanted"},
		{name: "manifests not an array", in: `{"schemaVersion":2,"manifests":{}}`, declared: as("$I"), says: "manifests: is an object"},
		{name: "layers not an array", in: `{"schemaVersion":2,"layers":"x"}`, declared: as("$M"), says: "layers: is a string"},
		{name: "no config", in: `{"schemaVersion":2,"layers":[]}`, declared: as("$M"), says: "config: is missing or null"},
		{name: "config null", in: `{"schemaVersion":2,"config":null}`, declared: as("$D"), says: "config: is missing or null"},
		{name: "artifact type malformed", in: `{"schemaVersion":2,"artifactType":"x"}`, declared: as("$I"), says: `artifactType: is "x", which is not a media type`},
		{
			name: "B14 config as a layer", declared: as("$M"), says: "layers[1]: is the config $c under the media type of an image layer",
			in: `{"schemaVersion":2,"config":` + configJSON + `,"layers":[` + layerJSON + `,{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"$c","size":7}]}`,
		},
		{
			name: "B14 config as a schema 2 layer", declared: as("$D"), says: "layers[0]: is the config $c",
			in: `{"schemaVersion":2,"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","digest":"$c","size":7}],"config":` + configJSON + `}`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			doc, err := image.Decode([]byte(expand(test.in)), test.declared, image.Limits{})
			if doc != nil {
				t.Errorf("decoded a %T", doc)
			}
			if test.kind == nil {
				test.kind = errdefs.ErrInvalidArgument
			}
			refused(t, err, test.kind, expand(test.says))
			if len(err.Error()) > 1500 {
				t.Errorf("error of %d bytes", len(err.Error()))
			}
		})
	}
}

// TestDecodeTakes shows what is odd, but a document.
func TestDecodeTakes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, in, mediaType string
		declared            image.Declared
	}{
		{name: "index by its own word", in: ociIndex, mediaType: "$I"},
		{name: "list by its own word", in: dockerList, mediaType: "$L"},
		{name: "manifest by its own word", in: ociManifest, mediaType: "$M"},
		{name: "schema 2 by its own word", in: dockerManifest, mediaType: "$D"},
		{name: "all three agree", in: ociIndex, declared: image.Declared{Descriptor: expand("$I"), Served: expand("$I")}, mediaType: "$I"},
		{name: "server only", in: strings.Replace(ociManifest, `"mediaType":"$M",`, "", 1), declared: image.Declared{Served: expand("$M")}, mediaType: "$M"},
		{name: "schema 2 that does not say so", in: strings.Replace(dockerManifest, `"mediaType":"$D",`, "", 1), declared: as("$D"), mediaType: "$D"},
		{name: "list that does not say so", in: `{"schemaVersion":2,"manifests":[]}`, declared: as("$L"), mediaType: "$L"},
		{name: "empty media type", in: `{"schemaVersion":2,"mediaType":"","manifests":[]}`, declared: as("$I"), mediaType: "$I"},
		{name: "null for all that is optional", mediaType: "$M", declared: as("$M"), in: `{"schemaVersion":2,"config":` + configJSON +
			`,"layers":null,"subject":null,"annotations":null,"artifactType":null,"mediaType":null}`},
		{name: "B27 null of another type", in: `{"schemaVersion":2,"manifests":[],"layers":null,"config":null,"fsLayers":null,"history":null}`, declared: as("$I"), mediaType: "$I"},
		{name: "B34 index without entries", in: `{"schemaVersion":2,"manifests":[]}`, mediaType: "$I"},
		{name: "index without manifests", in: `{"schemaVersion":2}`, declared: as("$I"), mediaType: "$I"},
		{name: "B40 no layers", in: `{"schemaVersion":2,"config":` + configJSON + `,"layers":[]}`, mediaType: "$M"},
		{name: "layers absent", in: `{"schemaVersion":2,"config":` + configJSON + `}`, mediaType: "$M"},
		{name: "unknown members", in: `{"schemaVersion":2,"manifests":[],"x":{"a":1,"A":[null]},"":true}`, mediaType: "$I"},
		{name: "OCI's members in a list mean nothing", in: `{"schemaVersion":2,"manifests":[],"subject":1,"annotations":[],"artifactType":{}}`, declared: as("$L"), mediaType: "$L"},
		{
			name: "B14 config as an artifact's blob", mediaType: "$M",
			in: `{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"$c","size":2},` +
				`"layers":[{"mediaType":"application/vnd.oci.empty.v1+json","digest":"$c","size":2}]}`,
		},
		{name: "B13 layer twice", in: `{"schemaVersion":2,"config":` + configJSON + `,"layers":[` + layerJSON + "," + layerJSON + `]}`, mediaType: "$M"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			data := []byte(expand(test.in))
			doc, err := image.Decode(data, test.declared, image.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if doc.MediaType() != expand(test.mediaType) {
				t.Errorf("media type %s, want %s", doc.MediaType(), expand(test.mediaType))
			}
			if !bytes.Equal(doc.Bytes(), data) {
				t.Errorf("bytes %s", doc.Bytes())
			}
		})
	}
}

// TestDecodeLimits shows each limit from both sides.
func TestDecodeLimits(t *testing.T) {
	t.Parallel()
	size := int64(len(expand(ociManifest)))
	nested := `{"schemaVersion":2,"manifests":[],"x":[[[]]]}`
	for _, test := range []struct {
		name, in    string
		lim, beyond image.Limits
		kind        error
		says        string
	}{
		{
			name: "B23 bytes", in: ociManifest, lim: image.Limits{DocumentBytes: size}, beyond: image.Limits{DocumentBytes: size - 1},
			kind: errdefs.ErrResourceExhausted, says: "at most",
		},
		{
			name: "B34 descriptors", in: ociManifest, lim: image.Limits{Descriptors: 2}, beyond: image.Limits{Descriptors: 1},
			kind: errdefs.ErrResourceExhausted, says: "layers[0]: is one descriptor more than the 1 allowed",
		},
		{
			name: "B24 depth", in: nested, lim: image.Limits{JSONDepth: 4}, beyond: image.Limits{JSONDepth: 3},
			kind: errdefs.ErrInvalidArgument, says: "x[0][0]: nests deeper than 3 levels",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if _, err := image.Decode([]byte(expand(test.in)), image.Declared{}, test.lim); err != nil {
				t.Errorf("at the limit: %v", err)
			}
			_, err := image.Decode([]byte(expand(test.in)), image.Declared{}, test.beyond)
			refused(t, err, test.kind, test.says)
		})
	}
}

// TestDefaultLimits shows the limits where the caller sets none.
func TestDefaultLimits(t *testing.T) {
	t.Parallel()
	space := strings.Repeat(" ", 4<<20-len(expand(ociIndex)))
	if _, err := image.Decode([]byte(expand(ociIndex)+space), image.Declared{}, image.Limits{}); err != nil {
		t.Errorf("B23 4 MiB: %v", err)
	}
	_, err := image.Decode([]byte(expand(ociIndex)+space+" "), as("$I"), image.Limits{})
	refused(t, err, errdefs.ErrResourceExhausted, "is 4194305 bytes, at most 4194304 are allowed")

	entry := expand(`{"mediaType":"$M","digest":"$a","size":5},`)
	index := func(n int) []byte {
		return []byte(`{"schemaVersion":2,"manifests":[` + strings.TrimSuffix(strings.Repeat(entry, n), ",") + `]}`)
	}
	if _, err := image.Decode(index(10_000), image.Declared{}, image.Limits{}); err != nil {
		t.Errorf("B34 10,000 entries: %v", err)
	}
	_, err = image.Decode(index(10_001), image.Declared{}, image.Limits{})
	refused(t, err, errdefs.ErrResourceExhausted, "manifests[10000]: is one descriptor more than the 10000 allowed")

	want := image.Limits{
		DocumentBytes: 4 << 20, ConfigBytes: 8 << 20, Descriptors: 10_000, JSONDepth: 64,
		GraphDepth: 8, GraphNodes: 100_000, GraphBytes: 64 << 20,
	}
	if got := (image.Limits{GraphDepth: -1}).WithDefaults(); got != want {
		t.Errorf("defaults %+v, want %+v", got, want)
	}
	if got := (image.Limits{GraphDepth: 3}).WithDefaults().GraphDepth; got != 3 {
		t.Errorf("a limit of 3 became %d", got)
	}
}

// TestDecodedDescriptorsAreOwned shows that what a document returns can be changed
// without changing the document.
func TestDecodedDescriptorsAreOwned(t *testing.T) {
	t.Parallel()
	full := `{"mediaType":"$M","digest":"$new","size":3,"urls":["u"],"data":"$64","annotations":{"a":"1"},` +
		`"platform":{"architecture":"arm","os":"linux","os.features":["f"]}}`
	index := decodeAs[*image.List](t, []byte(expand(`{"schemaVersion":2,"manifests":[`+full+`],"subject":`+full+`,"annotations":{"a":"1"}}`)))
	manifest := decodeAs[*image.Manifest](t, []byte(expand(`{"schemaVersion":2,"config":`+full+`,"layers":[`+full+`],"annotations":{"a":"1"}}`)))
	instance := func() ocispec.Descriptor {
		d, err := index.Instance(digestOf("new"))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for name, get := range map[string]func() ocispec.Descriptor{
		"edge":      func() ocispec.Descriptor { return index.Edges()[0].Desc },
		"instance":  instance,
		"instances": func() ocispec.Descriptor { return index.Instances()[0] },
		"subject":   func() ocispec.Descriptor { return *index.Subject() },
		"config":    manifest.Config,
		"layers":    func() ocispec.Descriptor { return manifest.Layers()[0] },
		"edges":     func() ocispec.Descriptor { return manifest.Edges()[1].Desc },
	} {
		got := get()
		got.URLs[0], got.Data[0], got.Annotations["a"] = "x", 'x', "x"
		got.Platform.OS, got.Platform.OSFeatures[0] = "x", "x"
		got = get()
		if got.URLs[0] != "u" || string(got.Data) != "new" || got.Annotations["a"] != "1" ||
			got.Platform.OS != "linux" || got.Platform.OSFeatures[0] != "f" {
			t.Errorf("%s: the document was changed: %v", name, got)
		}
	}
	for _, doc := range []image.Document{index, manifest} {
		doc.Annotations()["a"] = "x"
		if doc.Annotations()["a"] != "1" {
			t.Errorf("annotations of %T were changed", doc)
		}
	}
}
