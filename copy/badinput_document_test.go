package copy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
)

// badDocuments are the rows on manifests, indexes and configs.
func badDocuments() []badInput {
	return slices.Concat(badJSON(), badTypes(), badGraphs(), oddButGood())
}

func badJSON() []badInput {
	rows := []badInput{
		{
			name: "B23 a manifest of 4 MiB and a byte", kind: errdefs.ErrResourceExhausted, text: []string{"4194305", "4194304"},
			write: func(b *bad) ocispec.Descriptor {
				d := b.image()
				return b.raw(string(b.Get(d.Digest)) + strings.Repeat(" ", 4<<20+1-int(d.Size)))
			},
		},
		{
			name: "B23 a manifest of 4 MiB",
			write: func(b *bad) ocispec.Descriptor {
				d := b.image()
				return b.raw(string(b.Get(d.Digest)) + strings.Repeat(" ", 4<<20-int(d.Size)))
			},
		},
		{
			name: "B25 1.4 million descriptors", kind: errdefs.ErrInvalidArgument, text: []string{"manifests[0]"},
			write: func(b *bad) ocispec.Descriptor {
				return b.rawIndex(`{"schemaVersion":2,"manifests":[{}` + strings.Repeat(",{}", 1_390_000) + `]}`)
			},
		},
		{
			name: "B34 10,001 entries", kind: errdefs.ErrResourceExhausted, text: []string{"10000"},
			write: func(b *bad) ocispec.Descriptor {
				entry := fmt.Sprintf(`{"mediaType":"application/x","size":1,"digest":%q}`, digest.FromString("x"))
				return b.rawIndex(`{"schemaVersion":2,"manifests":[` + entry + strings.Repeat(","+entry, 10_000) + `]}`)
			},
		},
		{
			name:  "B34 no entries",
			write: func(b *bad) ocispec.Descriptor { return b.Index() },
		},
		{
			name: "B34 no entries, and a platform chosen", kind: errdefs.ErrNotFound, text: []string{"linux/amd64"},
			write: func(b *bad) ocispec.Descriptor { return b.Index() },
			opts:  copy.Options{Selection: copy.Selection{Mode: copy.One, Platforms: []ocispec.Platform{linux("amd64", "")}}},
		},
	}
	for _, depth := range []int{65, 9_999, 10_001, 1_000_000} {
		rows = append(rows, badInput{
			name: fmt.Sprintf("B24 %d arrays in one another", depth), kind: errdefs.ErrInvalidArgument, text: []string{"64"},
			write: func(b *bad) ocispec.Descriptor {
				return b.raw(`{"schemaVersion":2,"x":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `}`)
			},
		})
	}
	rows = append(rows, badInput{
		name: "B26 the same key twice", kind: errdefs.ErrInvalidArgument, text: []string{`"layers" twice`},
		write: func(b *bad) ocispec.Descriptor { return b.edited(`"layers":`, `"layers":[],"layers":`) },
	})
	for _, key := range []string{`"Layers"`, `"LAYERS"`, "\"layer\u017f\"", `"layer\u017f"`} {
		rows = append(rows, badInput{
			name: "B26 another key " + key, kind: errdefs.ErrInvalidArgument, text: []string{"ambiguous"},
			write: func(b *bad) ocispec.Descriptor { return b.edited(`"layers":`, key+`:[],"layers":`) },
		})
	}
	for name, pair := range map[string][2]string{
		"size with a long s": {`"size":`, "\"\u017fize\":1,\"size\":"},
		"a Kelvin sign":      {`"schemaVersion":2`, "\"\u212aey\":1,\"key\":2,\"schemaVersion\":2"},
		"SIZE":               {`"size":`, `"SIZE":1,"size":`},
		"Digest alone":       {`"digest":`, `"Digest":`},
	} {
		rows = append(rows, badInput{
			name: "B26 " + name, kind: errdefs.ErrInvalidArgument, text: []string{"ambiguous"},
			write: func(b *bad) ocispec.Descriptor { return b.edited(pair[0], pair[1]) },
		})
	}
	for name, manifest := range map[string]func(good string) string{
		"invalid UTF-8": func(s string) string {
			return strings.Replace(s, `"schemaVersion"`, "\"x\":\"\xff\",\"schemaVersion\"", 1)
		},
		"a lone surrogate":    func(s string) string { return strings.Replace(s, `"schemaVersion"`, `"x":"\ud800","schemaVersion"`, 1) },
		"a byte order mark":   func(s string) string { return "\ufeff" + s },
		"trailing data":       func(s string) string { return s + "x" },
		"a NUL at the end":    func(s string) string { return s + "\x00" },
		"two documents":       func(s string) string { return s + s },
		"nothing":             func(string) string { return "" },
		"an array":            func(s string) string { return "[" + s + "]" },
		"half of a document":  func(s string) string { return s[:len(s)/2] },
		"a comment":           func(s string) string { return "/* */" + s },
		"null":                func(string) string { return "null" },
		"layers of null":      func(s string) string { return strings.Replace(s, `"layers":[`, `"layers":[null,`, 1) },
		"layers in an object": func(s string) string { return strings.Replace(s, `"layers":[`, `"layers":{"x":[`, 1) + "}" },
	} {
		rows = append(rows, badInput{
			name: "B30 " + name, kind: errdefs.ErrInvalidArgument,
			write: func(b *bad) ocispec.Descriptor { return b.raw(manifest(string(b.Get(b.image().Digest)))) },
		})
	}
	return rows
}

func badTypes() []badInput {
	var rows []badInput
	for _, key := range []string{"manifests", "fsLayers", "history", "Manifests"} {
		rows = append(rows, badInput{
			name: "B27 a manifest with " + key, kind: errdefs.ErrInvalidArgument, text: []string{"ambiguous"},
			write: func(b *bad) ocispec.Descriptor { return b.edited(`"schemaVersion"`, `"`+key+`":[{}],"schemaVersion"`) },
		})
	}
	for _, key := range []string{"layers", "config", "fsLayers", "history", "CONFIG"} {
		rows = append(rows, badInput{
			name: "B27 an index with " + key, kind: errdefs.ErrInvalidArgument, text: []string{"ambiguous"},
			write: func(b *bad) ocispec.Descriptor {
				return b.rawIndex(`{"schemaVersion":2,"` + key + `":[{}],"manifests":[]}`)
			},
		})
	}
	rows = append(rows,
		badInput{
			name: "B28 a manifest that says it is an index", kind: errdefs.ErrInvalidArgument,
			text: []string{ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest},
			write: func(b *bad) ocispec.Descriptor {
				return b.edited(ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex)
			},
		},
		badInput{
			name: "B28 an index served as a manifest", kind: errdefs.ErrInvalidArgument,
			text: []string{ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest},
			write: func(b *bad) ocispec.Descriptor {
				d := b.Index(b.image())
				d.MediaType = ocispec.MediaTypeImageManifest
				return d
			},
		},
		badInput{
			name: "B29 schema version 1", kind: errdefs.ErrNotImplemented, text: []string{"schema 1"},
			write: func(b *bad) ocispec.Descriptor { return b.edited(`"schemaVersion":2`, `"schemaVersion":1`) },
		},
		badInput{
			name: "a schema 1 manifest", kind: errdefs.ErrNotImplemented, text: []string{image.MediaTypeDockerSchema1},
			write: func(b *bad) ocispec.Descriptor {
				return b.Store.Put(image.MediaTypeDockerSchema1, []byte(`{"schemaVersion":1,"name":"x","tag":"y","architecture":"amd64",`+
					`"fsLayers":[{"blobSum":"`+digest.FromString("x").String()+`"}],"history":[{"v1Compatibility":"{\"id\":\"`+strings.Repeat("a", 64)+`\"}"}]}`))
			},
		},
	)
	for _, version := range []string{"3", `"2"`, "0", "2.0", "null"} {
		rows = append(rows, badInput{
			name: "B29 schema version " + version, kind: errdefs.ErrInvalidArgument, text: []string{"schemaVersion"},
			write: func(b *bad) ocispec.Descriptor { return b.edited(`"schemaVersion":2`, `"schemaVersion":`+version) },
		})
	}
	return append(rows, badInput{
		name: "B29 no schema version", kind: errdefs.ErrInvalidArgument, text: []string{"schemaVersion"},
		write: func(b *bad) ocispec.Descriptor { return b.edited(`"schemaVersion":2,`, ``) },
	})
}

// nested puts an index into so many others.
func nested(b *bad, depth int) ocispec.Descriptor {
	d := b.image()
	for range depth {
		d = b.Index(d)
	}
	return d
}

func badGraphs() []badInput {
	arm64 := copy.Options{Selection: copy.Selection{Mode: copy.One, Platforms: []ocispec.Platform{linux("arm64", "")}}}
	withPlatform := func(platform string) func(b *bad) ocispec.Descriptor {
		return func(b *bad) ocispec.Descriptor {
			d := b.image()
			return b.rawIndex(fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":%d,"platform":%s}]}`, d.MediaType, d.Digest, d.Size, platform))
		}
	}
	rows := []badInput{
		{name: "B32 8 lists above one another", write: func(b *bad) ocispec.Descriptor { return nested(b, 8) }},
		{
			name: "B32 9 lists above one another", kind: errdefs.ErrResourceExhausted, text: []string{"more than 8 lists"},
			write: func(b *bad) ocispec.Descriptor { return nested(b, 9) },
		},
		{name: "B32 a diamond of 2^40 paths", write: diamondIndex},
		{
			name: "B32 a diamond of 2^40 paths, all of it chosen", write: diamondIndex,
			opts: copy.Options{Selection: some(copy.Strip, linux("amd64", ""))},
		},
		{name: "B33 platform null", write: withPlatform("null")},
		{name: "B33 platform {}", write: withPlatform("{}")},
		{name: "B33 platform of a wrong type", write: withPlatform(`"linux"`), kind: errdefs.ErrInvalidArgument, text: []string{"manifests[0].platform"}},
		{name: "B33 platform unknown/unknown, kept", write: withPlatform(`{"os":"unknown","architecture":"unknown"}`)},
		{name: "B33 platform unknown/unknown, never chosen", write: withPlatform(`{"os":"unknown","architecture":"unknown"}`), opts: arm64, kind: errdefs.ErrNotFound, text: []string{"linux/arm64"}},
		{
			name: "B35 two entries for one platform",
			write: func(b *bad) ocispec.Descriptor {
				return b.Index(b.image(), b.Image(testimage.Image{Platform: linux("amd64", ""), Name: "second"}))
			},
			opts: copy.Options{Selection: copy.Selection{Mode: copy.One, Platforms: []ocispec.Platform{linux("amd64", "")}}},
			check: func(t *testing.T, rec *copy.Receipt) {
				t.Helper()
				if !slices.ContainsFunc(rec.Notes, func(n string) bool { return strings.Contains(n, "more instances for linux/amd64 (1)") }) {
					t.Errorf("notes %q", rec.Notes)
				}
			},
		},
		{
			name: "B37 a layer that is missing", write: (*bad).image, kind: errdefs.ErrUnavailable, text: []string{"layer sha256:", "(0 of sha256:"},
			then: layerOf(func(b *bad, path string) { b.must(removeFile(path)) }),
		},
		{
			name: "B37 an instance that is missing", kind: errdefs.ErrUnavailable, text: []string{"manifest sha256:", "(linux/amd64)", "entry 0 of sha256:"},
			write: func(b *bad) ocispec.Descriptor { return b.Index(b.image()) },
			then:  func(b *bad) { b.must(removeFile(b.path(b.image().Digest))) },
		},
		{
			name: "B42 a config of 8 MiB and a byte", kind: errdefs.ErrResourceExhausted, text: []string{"8388609", "8388608"},
			write: func(b *bad) ocispec.Descriptor {
				return b.changed(func(m *ocispec.Manifest) {
					m.Config = b.Store.Put(ocispec.MediaTypeImageConfig, []byte(`{"x":"`+strings.Repeat("x", 8<<20-7)+`"}`))
				})
			},
		},
	}
	return rows
}

func diamondIndex(b *bad) ocispec.Descriptor {
	below := []ocispec.Descriptor{b.image()}
	for level := range 7 {
		var lists []ocispec.Descriptor
		for i := range 32 {
			entries := slices.Clone(below)
			entries[0].Annotations = map[string]string{"list": fmt.Sprint(level, i)}
			lists = append(lists, b.Index(entries...))
		}
		below = lists
	}
	return b.Index(below...)
}

// oddButGood are the rows that are copied as they are.
func oddButGood() []badInput {
	config := func(content string) func(b *bad) ocispec.Descriptor {
		return func(b *bad) ocispec.Descriptor {
			return b.changed(func(m *ocispec.Manifest) { m.Config = b.Store.Put(ocispec.MediaTypeImageConfig, []byte(content)) })
		}
	}
	good := func(rest string) func(b *bad) ocispec.Descriptor {
		return config(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}` + rest + `}`)
	}
	return []badInput{
		{
			name: "B36 an entry of an unknown type",
			write: func(b *bad) ocispec.Descriptor {
				return b.Index(b.image(), b.Store.Put("application/x-unknown", []byte("\x00opaque")))
			},
		},
		{name: "B38 fewer diff IDs than layers", write: good("")},
		{name: "B38 more history than layers", write: good(`,"history":[{},{},{"empty_layer":true},{}]`)},
		{
			name:  "B39 a diff ID of something else",
			write: config(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["` + digest.FromString("else").String() + `"]}}`),
		},
		{name: "B40 no layers", write: func(b *bad) ocispec.Descriptor {
			return b.changed(func(m *ocispec.Manifest) { m.Layers = []ocispec.Descriptor{} })
		}},
		{name: "B41 a subject that is missing", write: func(b *bad) ocispec.Descriptor {
			return b.changed(func(m *ocispec.Manifest) {
				m.Subject = &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("gone"), Size: 4}
			})
		}},
		{name: "B42 the empty config", write: func(b *bad) ocispec.Descriptor {
			return b.changed(func(m *ocispec.Manifest) { m.Config = b.Store.Put(ocispec.MediaTypeEmptyJSON, []byte("{}")) })
		}},
		{name: "B42 a config that is not JSON", write: config("\x00\x01")},
		{name: "B43 100,000 annotations with control characters", write: func(b *bad) ocispec.Descriptor {
			return b.changed(func(m *ocispec.Manifest) {
				m.Annotations = map[string]string{}
				for i := range 100_000 {
					m.Annotations[fmt.Sprint("\x1b[2J", i)] = "\x07"
				}
			})
		}},
		{name: "B43 an annotation of 1 MiB", write: func(b *bad) ocispec.Descriptor {
			return b.changed(func(m *ocispec.Manifest) { m.Annotations = map[string]string{"x": strings.Repeat("x", 1<<20)} })
		}},
		{name: "B44 created in the year 99999", write: good(`,"created":"99999-01-01T00:00:00Z"`)},
		{name: "B44 created in no time zone", write: good(`,"created":"2024-01-01T00:00:00 Nowhere"`)},
		{
			name: "B45 a config that wants to be acted on",
			write: good(`,"config":{"Env":["NOVALUE","=","A=\u0000"],"User":"` + strings.Repeat("u", 5000) + `","WorkingDir":"../../..","Volumes":{"/../..":{}},` +
				`"Labels":{"containerd.io/gc.root":"1","io.dhow.lease":"x"}}`),
		},
		{name: "B46 encrypted layers", write: func(b *bad) ocispec.Descriptor {
			return b.changed(func(m *ocispec.Manifest) { m.Layers[0].MediaType += "+encrypted" })
		}},
		{
			name: "B46 encrypted layers, to be converted", kind: errdefs.ErrNotImplemented, text: []string{"encrypted"},
			write: func(b *bad) ocispec.Descriptor {
				return b.changed(func(m *ocispec.Manifest) { m.Layers[0].MediaType += "+encrypted" })
			},
			opts: copy.Options{Format: copy.Docker},
		},
	}
}
