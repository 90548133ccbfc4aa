package image_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
)

// expand writes out what the tables abbreviate: $a to $z are digests, $M and $D the
// media types of an OCI and a schema 2 manifest, $I and $L those of the lists, $64 is
// "new" in base64.
func expand(s string) string {
	pairs := []string{
		"$M", ocispec.MediaTypeImageManifest, "$I", ocispec.MediaTypeImageIndex,
		"$D", image.MediaTypeDockerManifest, "$L", image.MediaTypeDockerList,
		"$64", base64Of("new"), "$new", digestOf("new").String(),
	}
	for c := 'a'; c <= 'z'; c++ {
		pairs = append(pairs, "$"+string(c), digestOf(string(c)).String())
	}
	return strings.NewReplacer(pairs...).Replace(s)
}

func base64Of(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func digestOf(s string) digest.Digest { return digest.FromString(s) }

// manifestDesc describes the OCI manifest $s of 9 bytes.
func manifestDesc(s string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digestOf(s), Size: 9}
}

func onPlatform(desc ocispec.Descriptor, os, arch, variant string) ocispec.Descriptor {
	desc.Platform = &ocispec.Platform{OS: os, Architecture: arch, Variant: variant}
	return desc
}

func annotated(desc ocispec.Descriptor, annotations map[string]string) ocispec.Descriptor {
	desc.Annotations = annotations
	return desc
}

// sparseIndex has space, unknown members everywhere, and no media type.
const sparseIndex = `{ "z": {"deep": [1.50, "\u00e9"]},
  "schemaVersion": 2,
  "manifests": [
    {"x": 1, "size": 5, "digest": "$a", "mediaType": "$M", "urls": ["https://a.example"], "platform": {"y": null, "os": "linux", "architecture": "amd64"}},
    {"mediaType": "$M", "digest": "$b", "size": 6, "annotations": {"k\u0031": "v1", "k2": "<2>"}},
    {"mediaType": "$M", "digest": "$a", "size": 5}
  ], "annotations": {"l": "v"} }`

// The entries of sparseIndex in compact form.
const (
	sparseHead = `{"z":{"deep":[1.50,"\u00e9"]},"schemaVersion":2,"manifests":[`
	sparse0    = `{"x":1,"size":5,"digest":"$a","mediaType":"$M","urls":["https://a.example"],"platform":{"y":null,"os":"linux","architecture":"amd64"}}`
	sparse1    = `{"mediaType":"$M","digest":"$b","size":6,"annotations":{"k\u0031":"v1","k2":"<2>"}}`
	sparse2    = `{"mediaType":"$M","digest":"$a","size":5}`
	sparseTail = `],"annotations":{"l":"v"}}`
)

const (
	emptyIndex = `{"schemaVersion":2,"mediaType":"$I","manifests":[]}`
	dockerList = `{"schemaVersion":2,"mediaType":"$L","manifests":[` + dockerEntry + `]}`
	dockerHead = `{"schemaVersion":2,"mediaType":"$L","manifests":[`

	dockerEntry = `{"mediaType":"$D","size":5,"digest":"$a","platform":{"architecture":"arm","os":"linux","features":["f"]}}`
)

func TestListEdit(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		in   string
		edit func(l *image.List) (*image.List, error)
		want string // empty: the list itself
	}{
		{
			name: "update replaces the media type, digest and size of every entry, and drops what tells of the old content", in: sparseIndex,
			edit: func(l *image.List) (*image.List, error) { return l.Update(digestOf("a"), manifestDesc("c")) },
			want: sparseHead + `{"x":1,"size":9,"digest":"$c","mediaType":"$M","platform":{"y":null,"os":"linux","architecture":"amd64"}},` +
				sparse1 + `,{"mediaType":"$M","digest":"$c","size":9}` + sparseTail,
		},
		{
			name: "update to what is there changes nothing", in: sparseIndex,
			edit: func(l *image.List) (*image.List, error) {
				to := manifestDesc("b")
				to.Size = 6
				return l.Update(digestOf("b"), annotated(to, map[string]string{"k1": "v1", "k2": "<2>"}))
			},
		},
		{
			name: "update of the size alone keeps URLs", in: sparseIndex,
			edit: func(l *image.List) (*image.List, error) { return l.Update(digestOf("a"), manifestDesc("a")) },
			want: sparseHead + strings.Replace(sparse0, `"size":5`, `"size":9`, 1) + "," + sparse1 + "," +
				strings.Replace(sparse2, `"size":5`, `"size":9`, 1) + sparseTail,
		},
		{
			name: "update sets all that is set, in the order of the specification", in: `{"schemaVersion":2,"manifests":[` + sparse2 + `]}`,
			edit: func(l *image.List) (*image.List, error) {
				to := annotated(onPlatform(manifestDesc("new"), "linux", "arm", "v7"), map[string]string{"b": "2", "a": "1"})
				to.Size, to.Data, to.URLs, to.ArtifactType = 3, []byte("new"), []string{"https://n.example"}, "text/plain"
				return l.Update(digestOf("a"), to)
			},
			want: `{"schemaVersion":2,"manifests":[{"mediaType":"$M","digest":"$new","size":3,"urls":["https://n.example"],"annotations":{"a":"1","b":"2"},` +
				`"data":"$64","platform":{"architecture":"arm","os":"linux","variant":"v7"},"artifactType":"text/plain"}]}`,
		},
		{
			name: "update of the platform keeps what it has beyond OCI", in: dockerList,
			edit: func(l *image.List) (*image.List, error) {
				to := onPlatform(manifestDesc("a"), "linux", "arm64", "v8")
				to.MediaType, to.Size = image.MediaTypeDockerManifest, 5
				return l.Update(digestOf("a"), to)
			},
			want: dockerHead + `{"mediaType":"$D","size":5,"digest":"$a","platform":{"architecture":"arm64","os":"linux","features":["f"],"variant":"v8"}}]}`,
		},
		{
			name: "update takes away what is empty: URLs, OS version and features, variant",
			in: `{"schemaVersion":2,"manifests":[{"mediaType":"$M","digest":"$a","size":9,"urls":["https://u.example"],` +
				`"platform":{"os.version":"1","os.features":["f"],"variant":"v1","os":"linux","architecture":"arm"}}]}`,
			edit: func(l *image.List) (*image.List, error) {
				to := onPlatform(manifestDesc("a"), "linux", "arm", "")
				to.URLs = []string{}
				return l.Update(digestOf("a"), to)
			},
			want: `{"schemaVersion":2,"manifests":[{"mediaType":"$M","digest":"$a","size":9,"platform":{"os":"linux","architecture":"arm"}}]}`,
		},
		{
			name: "update replaces annotations, in their order", in: sparseIndex,
			edit: func(l *image.List) (*image.List, error) {
				to := manifestDesc("b")
				to.Size = 6
				return l.Update(digestOf("b"), annotated(to, map[string]string{"k2": "<3>", "k0": ""}))
			},
			want: sparseHead + sparse0 + `,{"mediaType":"$M","digest":"$b","size":6,"annotations":{"k2":"<3>","k0":""}},` + sparse2 + sparseTail,
		},
		{
			name: "update to no annotations removes them", in: sparseIndex,
			edit: func(l *image.List) (*image.List, error) {
				return l.Update(digestOf("b"), annotated(manifestDesc("b"), map[string]string{}))
			},
			want: sparseHead + sparse0 + `,{"mediaType":"$M","digest":"$b","size":9},` + sparse2 + sparseTail,
		},
		{
			name: "update of all can swap digests", in: sparseIndex,
			edit: func(l *image.List) (*image.List, error) {
				return l.UpdateAll(map[digest.Digest]ocispec.Descriptor{digestOf("a"): manifestDesc("b"), digestOf("b"): manifestDesc("a")})
			},
			want: sparseHead + `{"x":1,"size":9,"digest":"$b","mediaType":"$M","platform":{"y":null,"os":"linux","architecture":"amd64"}},` +
				strings.NewReplacer("$b", "$a", `"size":6`, `"size":9`).Replace(sparse1) + `,{"mediaType":"$M","digest":"$b","size":9}` + sparseTail,
		},
		{
			name: "add appends", in: sparseIndex,
			edit: func(l *image.List) (*image.List, error) {
				return l.Add(onPlatform(manifestDesc("c"), "linux", "arm", "v6"), annotated(manifestDesc("d"), map[string]string{"<": "&"}))
			},
			want: sparseHead + sparse0 + "," + sparse1 + "," + sparse2 +
				`,{"mediaType":"$M","digest":"$c","size":9,"platform":{"architecture":"arm","os":"linux","variant":"v6"}}` +
				`,{"mediaType":"$M","digest":"$d","size":9,"annotations":{"<":"&"}}` + sparseTail,
		},
		{
			name: "add of nothing changes nothing", in: sparseIndex,
			edit: func(l *image.List) (*image.List, error) { return l.Add() },
		},
		{
			name: "add to an index whose entries are null", in: `{"manifests":null,"schemaVersion":2,"mediaType":"$I"}`,
			edit: func(l *image.List) (*image.List, error) { return l.Add(manifestDesc("c")) },
			want: `{"manifests":[{"mediaType":"$M","digest":"$c","size":9}],"schemaVersion":2,"mediaType":"$I"}`,
		},
		{
			name: "add to a Docker list", in: dockerList,
			edit: func(l *image.List) (*image.List, error) {
				return l.Add(onPlatform(manifestDesc("c"), "unknown", "unknown", ""))
			},
			want: dockerHead + dockerEntry + `,{"mediaType":"$M","digest":"$c","size":9,"platform":{"architecture":"unknown","os":"unknown"}}]}`,
		},
		{
			name: "keep some", in: sparseIndex,
			edit: func(l *image.List) (*image.List, error) {
				return l.Keep(func(e ocispec.Descriptor) bool { return e.Digest == digestOf("b") })
			},
			want: sparseHead + sparse1 + sparseTail,
		},
		{
			name: "keep none", in: sparseIndex,
			edit: func(l *image.List) (*image.List, error) {
				return l.Keep(func(ocispec.Descriptor) bool { return false })
			},
			want: sparseHead + sparseTail,
		},
		{
			name: "keep all", in: sparseIndex,
			edit: func(l *image.List) (*image.List, error) {
				return l.Keep(func(ocispec.Descriptor) bool { return true })
			},
		},
		{
			name: "annotate every entry of a digest", in: sparseIndex,
			edit: func(l *image.List) (*image.List, error) {
				return l.Annotate(digestOf("a"), map[string]string{"n": "1", "m": "2"})
			},
			want: sparseHead + strings.TrimSuffix(sparse0, "}") + `,"annotations":{"m":"2","n":"1"}},` + sparse1 + "," +
				strings.TrimSuffix(sparse2, "}") + `,"annotations":{"m":"2","n":"1"}}` + sparseTail,
		},
		{
			name: "annotate changes, adds and removes", in: sparseIndex,
			edit: func(l *image.List) (*image.List, error) {
				return l.Annotate(digestOf("b"), map[string]string{"k1": "", "k2": "new", "k3": "3", "absent": ""})
			},
			want: sparseHead + sparse0 + `,{"mediaType":"$M","digest":"$b","size":6,"annotations":{"k2":"new","k3":"3"}},` + sparse2 + sparseTail,
		},
		{
			name: "annotate with what is there changes nothing", in: sparseIndex,
			edit: func(l *image.List) (*image.List, error) {
				return l.Annotate(digestOf("b"), map[string]string{"k1": "v1", "absent": ""})
			},
		},
		{
			name: "annotate the list", in: sparseIndex,
			edit: func(l *image.List) (*image.List, error) {
				return l.Annotate("", map[string]string{"m": "\u2028", "l": "w"})
			},
			want: sparseHead + sparse0 + "," + sparse1 + "," + sparse2 + `],"annotations":{"l":"w","m":"\u2028"}}`,
		},
		{
			name: "annotate away the last annotation", in: sparseIndex,
			edit: func(l *image.List) (*image.List, error) { return l.Annotate("", map[string]string{"l": ""}) },
			want: sparseHead + sparse0 + "," + sparse1 + "," + sparse2 + `]}`,
		},
		{
			name: "annotate a list without annotations", in: emptyIndex,
			edit: func(l *image.List) (*image.List, error) { return l.Annotate("", map[string]string{"k": "v"}) },
			want: strings.TrimSuffix(emptyIndex, "}") + `,"annotations":{"k":"v"}}`,
		},
		{
			name: "annotate a Docker list with nothing", in: dockerList,
			edit: func(l *image.List) (*image.List, error) { return l.Annotate("", nil) },
		},
		{
			name: "clone to zstd copies every entry of the digest, marked and at the end", in: sparseIndex,
			edit: func(l *image.List) (*image.List, error) {
				return l.CloneInstance(digestOf("a"), manifestDesc("c"), image.Zstd)
			},
			want: sparseHead + sparse0 + "," + sparse1 + "," + sparse2 +
				`,{"x":1,"size":9,"digest":"$c","mediaType":"$M","platform":{"y":null,"os":"linux","architecture":"amd64"},"annotations":{"io.github.containers.compression.zstd":"true"}}` +
				`,{"mediaType":"$M","digest":"$c","size":9,"annotations":{"io.github.containers.compression.zstd":"true"}}` + sparseTail,
		},
		{
			name: "clone keeps annotations, and may get another platform", in: sparseIndex,
			edit: func(l *image.List) (*image.List, error) {
				return l.CloneInstance(digestOf("b"), onPlatform(manifestDesc("c"), "linux", "amd64", "v3"), image.Zstd)
			},
			want: sparseHead + sparse0 + "," + sparse1 + "," + sparse2 +
				`,{"mediaType":"$M","digest":"$c","size":9,"annotations":{"k1":"v1","k2":"<2>","io.github.containers.compression.zstd":"true"},` +
				`"platform":{"architecture":"amd64","os":"linux","variant":"v3"}}` + sparseTail,
		},
		{
			name: "clone to gzip comes before all zstd entries, and is not marked",
			in: `{"schemaVersion":2,"manifests":[{"mediaType":"$M","digest":"$a","size":5,"annotations":{"io.github.containers.compression.zstd":"true","k":"v"}},` +
				`{"mediaType":"$M","digest":"$b","size":5}]}`,
			edit: func(l *image.List) (*image.List, error) {
				return l.CloneInstance(digestOf("a"), manifestDesc("c"), image.Gzip)
			},
			want: `{"schemaVersion":2,"manifests":[{"mediaType":"$M","digest":"$b","size":5},{"mediaType":"$M","digest":"$c","size":9,"annotations":{"k":"v"}},` +
				`{"mediaType":"$M","digest":"$a","size":5,"annotations":{"io.github.containers.compression.zstd":"true","k":"v"}}]}`,
		},
		{
			name: "clone to gzip in a Docker list", in: dockerList,
			edit: func(l *image.List) (*image.List, error) {
				return l.CloneInstance(digestOf("a"), manifestDesc("c"), image.Gzip)
			},
			want: dockerHead + dockerEntry + `,{"mediaType":"$M","size":9,"digest":"$c","platform":{"architecture":"arm","os":"linux","features":["f"]}}]}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := expand(tt.in)
			l := decodeAs[*image.List](t, []byte(in))
			edited, err := tt.edit(l)
			if err != nil {
				t.Fatal(err)
			}
			if string(l.Bytes()) != in {
				t.Errorf("the list that was edited has changed: %s", l.Bytes())
			}
			if tt.want == "" {
				if edited != l {
					t.Errorf("made anew, but nothing changed: %s", edited.Bytes())
				}
				return
			}
			if diff := cmp.Diff(expand(tt.want), string(edited.Bytes())); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if edited.MediaType() != l.MediaType() {
				t.Errorf("%s became %s", l.MediaType(), edited.MediaType())
			}
			wellMade(t, edited)
		})
	}
}

// TestListEditBig shows that lists beyond the default limits, which their reader has
// raised, can be edited.
func TestListEditBig(t *testing.T) {
	t.Parallel()
	const n = 10_001
	var b bytes.Buffer
	b.WriteString(expand(`{"schemaVersion":2,"mediaType":"$I","manifests":[`))
	entry := expand(`{"mediaType":"$M","digest":"$a","size":5,"annotations":{"k":"`) + strings.Repeat("v", 400) + `"}},`
	for range n {
		b.WriteString(entry)
	}
	b.Truncate(b.Len() - 1)
	b.WriteString("]}")
	doc, err := image.Decode(b.Bytes(), image.Declared{}, image.Limits{DocumentBytes: 8 << 20, Descriptors: n})
	if err != nil {
		t.Fatal(err)
	}
	edited, err := doc.(*image.List).Update(digestOf("a"), manifestDesc("b"))
	if err != nil {
		t.Fatal(err)
	}
	if got := len(edited.Instances()); got != n {
		t.Errorf("%d entries, want %d", got, n)
	}
}

func TestNewList(t *testing.T) {
	t.Parallel()
	for _, mediaType := range []string{ocispec.MediaTypeImageIndex, image.MediaTypeDockerList} {
		l, err := image.NewList(mediaType)
		if err != nil {
			t.Fatal(err)
		}
		want := `{"schemaVersion":2,"mediaType":"` + mediaType + `","manifests":[]}`
		if l.MediaType() != mediaType || string(l.Bytes()) != want {
			t.Errorf("new list of type %s: %s", l.MediaType(), l.Bytes())
		}
		wellMade(t, l)
	}
}

func TestListDescriptor(t *testing.T) {
	t.Parallel()
	l := decodeAs[*image.List](t, []byte(expand(emptyIndex)))
	sha512, err := l.WithAlgorithm(digest.SHA512)
	if err != nil {
		t.Fatal(err)
	}
	edited, err := sha512.Add(onPlatform(manifestDesc("a"), "linux", "amd64", ""))
	if err != nil {
		t.Fatal(err)
	}
	converted, _, err := edited.Convert(image.MediaTypeDockerList)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		list *image.List
		alg  digest.Algorithm
	}{
		{"sha256 by default", l, digest.SHA256},
		{"another algorithm", sha512, digest.SHA512},
		{"it is kept by an edit", edited, digest.SHA512},
		{"it is kept by a conversion", converted, digest.SHA512},
	} {
		want := ocispec.Descriptor{
			MediaType: tt.list.MediaType(), Digest: tt.alg.FromBytes(tt.list.Bytes()), Size: int64(len(tt.list.Bytes())),
		}
		if diff := cmp.Diff(want, tt.list.Descriptor()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestListIsImmutable edits with what the caller holds, and changes that afterwards.
func TestListIsImmutable(t *testing.T) {
	t.Parallel()
	l := decodeAs[*image.List](t, []byte(expand(sparseIndex)))
	entry := annotated(onPlatform(manifestDesc("c"), "linux", "arm", "v7"), map[string]string{"k": "v"})
	added, err := l.Add(entry)
	if err != nil {
		t.Fatal(err)
	}
	entry.Annotations["k"], entry.Platform.OS = "changed", "changed"
	_, err = added.Keep(func(e ocispec.Descriptor) bool {
		if e.Platform != nil {
			e.Platform.OS = "changed"
		}
		for k := range e.Annotations {
			e.Annotations[k] = "changed"
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range added.Instances() {
		if strings.Contains(string(added.Bytes()), "changed") || e.Platform != nil && e.Platform.OS == "changed" || e.Annotations["k"] == "changed" {
			t.Errorf("the list changed: %v", e)
		}
	}
}
