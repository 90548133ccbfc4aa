package copy_test

import (
	"encoding/base64"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/internal/testimage"
)

// badDescriptors are the rows on digests, descriptors and references.
func badDescriptors() []badInput {
	return slices.Concat(badBlobs(), badSizes(), badDigests(), badReferences())
}

// layerOf damages the file of an image's first layer.
func layerOf(damage func(b *bad, path string)) func(b *bad) {
	return func(b *bad) {
		damage(b, b.path(b.manifest(b.image()).Layers[0].Digest))
	}
}

func badBlobs() []badInput {
	image := (*bad).image
	data := func(m *ocispec.Manifest, b []byte) { m.Layers[0].Data = b }
	return []badInput{
		{
			name: "B01 a blob shorter than its descriptor", write: image, kind: errdefs.ErrDataLoss, text: []string{"sha256:"},
			then: layerOf(func(b *bad, path string) { b.must(os.Truncate(path, 100)) }),
		},
		{
			name: "B02 a blob longer than its descriptor", write: image, kind: errdefs.ErrDataLoss, text: []string{"sha256:"},
			then: layerOf(func(b *bad, path string) { b.must(os.Truncate(path, 100000)) }),
		},
		{
			name: "B03 the right size and other bytes", write: image, kind: errdefs.ErrDataLoss, text: []string{"sha256:"},
			then: layerOf(func(b *bad, path string) {
				was, err := os.ReadFile(path)
				b.must(err)
				was[len(was)/2] ^= 1
				b.must(os.WriteFile(path, was, 0o644))
			}),
		},
		{
			name: "B04 a descriptor that lies about the size", kind: errdefs.ErrDataLoss, text: []string{"sha256:"},
			write: func(b *bad) ocispec.Descriptor {
				return b.changed(func(m *ocispec.Manifest) { m.Layers[0].Size += 3 })
			},
		},
		{
			name: "B04 two sizes for one digest", kind: errdefs.ErrInvalidArgument, text: []string{"size"},
			write: func(b *bad) ocispec.Descriptor {
				return b.changed(func(m *ocispec.Manifest) {
					again := m.Layers[0]
					again.Size++
					m.Layers = append(m.Layers, again)
				})
			},
		},
		{
			name: "B05 the empty blob",
			write: func(b *bad) ocispec.Descriptor {
				return b.changed(func(m *ocispec.Manifest) {
					m.Layers = append(m.Layers, b.Store.Put("application/x-empty", nil))
				})
			},
		},
		{
			name: "B13 one layer twice",
			write: func(b *bad) ocispec.Descriptor {
				return b.changed(func(m *ocispec.Manifest) { m.Layers = append(m.Layers, m.Layers[0]) })
			},
			check: func(t *testing.T, rec *copy.Receipt) {
				t.Helper()
				if n := len(rec.Entries); n != 4 {
					t.Errorf("%d descriptors, want 4", n)
				}
			},
		},
		{
			name: "B14 config and layer are one blob, of an artifact",
			write: func(b *bad) ocispec.Descriptor {
				empty := b.Store.Put(ocispec.MediaTypeEmptyJSON, []byte("{}"))
				return b.changed(func(m *ocispec.Manifest) {
					m.ArtifactType, m.Config, m.Layers = "application/x-thing", empty, []ocispec.Descriptor{empty}
				})
			},
		},
		{
			name: "B14 an image layer that is the config", kind: errdefs.ErrInvalidArgument, text: []string{"layers[0]"},
			write: func(b *bad) ocispec.Descriptor {
				return b.changed(func(m *ocispec.Manifest) { m.Layers[0].Digest, m.Layers[0].Size = m.Config.Digest, m.Config.Size })
			},
		},
		{
			name: "B15 embedded data of another length", kind: errdefs.ErrDataLoss, text: []string{"layers[0]"},
			write: func(b *bad) ocispec.Descriptor {
				return b.changed(func(m *ocispec.Manifest) { data(m, []byte("short")) })
			},
		},
		{
			name: "B15 embedded data with another hash", kind: errdefs.ErrDataLoss, text: []string{"layers[0]"},
			write: func(b *bad) ocispec.Descriptor {
				return b.changed(func(m *ocispec.Manifest) { data(m, make([]byte, m.Layers[0].Size)) })
			},
		},
		{
			name: "B15 embedded data that is not base64", kind: errdefs.ErrDataLoss, text: []string{"data"},
			write: func(b *bad) ocispec.Descriptor { return b.edited(`"size":`, `"data":"%%%","size":`) },
		},
		{
			name: "B15 3 MiB of embedded data", kind: errdefs.ErrResourceExhausted, text: []string{"data"},
			write: func(b *bad) ocispec.Descriptor {
				much := base64.StdEncoding.EncodeToString(make([]byte, 2<<20))
				return b.edited(`"size":`, `"data":"`+much+`","size":`)
			},
		},
	}
}

func badSizes() []badInput {
	rows := []badInput{{
		name: "B08 a size of 1 PiB", kind: errdefs.ErrDataLoss, text: []string{"1125899906842624"},
		write: func(b *bad) ocispec.Descriptor {
			return b.changed(func(m *ocispec.Manifest) { m.Layers[0].Size = 1 << 50 })
		},
	}}
	for _, size := range []string{
		"B06 null", "B06 0", "B07 -1", "B07 9223372036854775808", "B07 1e3", "B07 1.5", `B07 "5"`, "B07 [5]", "B07 true",
	} {
		row, value, _ := strings.Cut(size, " ")
		rows = append(rows, badInput{
			name: row + " size " + value, kind: errdefs.ErrInvalidArgument, text: []string{"layers[0]"},
			write: func(b *bad) ocispec.Descriptor {
				return b.raw(`{"schemaVersion":2,"config":` + emptyConfig(b) + `,"layers":[{"mediaType":"application/x",` +
					`"digest":"` + digest.FromString("x").String() + `","size":` + value + `}]}`)
			},
		})
	}
	return append(rows, badInput{
		name: "B06 no size", kind: errdefs.ErrInvalidArgument, text: []string{"layers[0]", "size"},
		write: func(b *bad) ocispec.Descriptor {
			return b.raw(`{"schemaVersion":2,"config":` + emptyConfig(b) + `,"layers":[{"mediaType":"application/x","digest":"` +
				digest.FromString("x").String() + `"}]}`)
		},
	})
}

// emptyConfig is the descriptor of the empty JSON object, as JSON.
func emptyConfig(b *bad) string {
	d := b.Store.Put(ocispec.MediaTypeEmptyJSON, []byte("{}"))
	return `{"mediaType":"` + d.MediaType + `","digest":"` + d.Digest.String() + `","size":2}`
}

func badDigests() []badInput {
	hex := digest.FromString("x").Encoded()
	type bogus struct {
		row, digest string
		kind        error
	}
	all := []bogus{
		{"B09 no colon", hex, errdefs.ErrInvalidArgument},
		{"B09 empty", "", errdefs.ErrInvalidArgument},
		{"B09 no hex", "sha256:", errdefs.ErrInvalidArgument},
		{"B09 63 hex characters", "sha256:" + hex[1:], errdefs.ErrInvalidArgument},
		{"B09 65 hex characters", "sha256:" + hex + "0", errdefs.ErrInvalidArgument},
		{"B09 upper-case hex", "sha256:" + strings.ToUpper(hex), errdefs.ErrInvalidArgument},
		{"B09 no hex characters", "sha256:" + strings.Repeat("g", 64), errdefs.ErrInvalidArgument},
		{"B09 digits of another script", "sha256:" + strings.Repeat("\u0661", 64), errdefs.ErrInvalidArgument},
		{"B10 a path", "sha256:../../../../etc/passwd", errdefs.ErrInvalidArgument},
		{"B10 a path of the right length", "sha256:" + strings.Repeat("../", 21) + "a", errdefs.ErrInvalidArgument},
		{"B10 NUL", `sha256:\u0000` + hex[1:], errdefs.ErrInvalidArgument},
		{"B10 an escaped slash", "sha256:%2f" + hex[3:], errdefs.ErrInvalidArgument},
		{"B10 a line break", `sha256:\n` + hex[1:], errdefs.ErrInvalidArgument},
		{"B10 a format", "sha256:%s%s%s%n", errdefs.ErrInvalidArgument},
		{"B11 md5", "md5:d41d8cd98f00b204e9800998ecf8427e", errdefs.ErrNotImplemented},
		{"B11 sha1", "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709", errdefs.ErrNotImplemented},
		{"B11 blake3", "blake3:" + hex, errdefs.ErrNotImplemented},
		{"B11 multihash", "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8", errdefs.ErrNotImplemented},
	}
	var rows []badInput
	for _, d := range all {
		for role, document := range map[string]func(b *bad) ocispec.Descriptor{
			"layer": func(b *bad) ocispec.Descriptor {
				return b.raw(`{"schemaVersion":2,"config":` + emptyConfig(b) + `,"layers":[{"mediaType":"application/x","size":1,"digest":"` + d.digest + `"}]}`)
			},
			"config": func(b *bad) ocispec.Descriptor {
				return b.raw(`{"schemaVersion":2,"config":{"mediaType":"application/x","size":1,"digest":"` + d.digest + `"},"layers":[]}`)
			},
			"index entry": func(b *bad) ocispec.Descriptor {
				return b.rawIndex(`{"schemaVersion":2,"manifests":[{"mediaType":"` + ocispec.MediaTypeImageManifest + `","size":1,"digest":"` + d.digest + `"}]}`)
			},
			"subject": func(b *bad) ocispec.Descriptor {
				return b.edited(`"schemaVersion":2`, `"schemaVersion":2,"subject":{"mediaType":"application/x","size":1,"digest":"`+d.digest+`"}`)
			},
		} {
			rows = append(rows, badInput{name: d.row + " in a " + role, write: document, kind: d.kind, text: []string{"digest"}})
		}
	}
	for _, alg := range []digest.Algorithm{digest.SHA384, digest.SHA512} {
		rows = append(rows, badInput{
			name: "B12 " + alg.String(),
			write: func(b *bad) ocispec.Descriptor {
				b.Algorithm = alg
				return b.Index(b.image(), b.Image(testimage.Image{Platform: linux("arm64", "")}))
			},
			check: func(t *testing.T, rec *copy.Receipt) {
				t.Helper()
				if rec.Root.Digest.Algorithm() != alg {
					t.Errorf("the root is %s", rec.Root.Digest)
				}
			},
		})
	}
	return rows
}

func badReferences() []badInput {
	var rows []badInput
	for row, all := range map[string][]string{
		"B16": {
			"busybox:" + strings.Repeat("t", 129), "busybox:.x", "busybox:-x", "busybox:a b", "busybox:%00", "busybox:\u2693", "busybox:\u202egnp",
			"\u0430lpine", "caf\u00e9:1", "cafe\u0301:1",
		},
		"B17": {
			"example.com/Upper", "example.com/a//b", "/busybox", "example.com/../x", strings.Repeat("a/", 150) + "b", strings.Repeat("ab", 32),
			"example.com/a.", "example.com/a__ _b",
		},
		"B18": {
			"example.com:99999/x", "[::1%25eth0]:5000/x", "example.com./x", "ex\u00e4mple.com/x", "example.com:0/x",
		},
	} {
		for _, r := range all {
			rows = append(rows, badInput{name: row + " " + r, parse: r, kind: errdefs.ErrInvalidArgument})
		}
	}
	return append(rows,
		badInput{name: "B18 credentials", parse: "user:hunter2@example.com/x", kind: errdefs.ErrInvalidArgument, text: []string{"a user name and password do not belong here"}},
		badInput{name: "B16 a layout's reference", layout: "DIR:.bad..name", kind: errdefs.ErrInvalidArgument, text: []string{".bad..name"}},
		badInput{
			name: "B22 a name that is not there, beside one that begins so", write: (*bad).image, layout: "DIR:b",
			kind: errdefs.ErrNotFound, text: []string{`"b"`, "bad"},
		},
	)
}
