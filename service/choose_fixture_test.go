package service_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/service"
)

// parts is an image that was made from a line such as
//
//	amd=linux/amd64 arm=linux/arm64;absent n/v7=linux/arm/v7;nolayer none=-
//
// with an entry for each word, its name and its platform as the list has it: "-" is none,
// {} an empty one. What is named n/... is in an index in the index. Marks after it:
//
//	absent noconfig nolayer        what of it is not in the store
//	config=PLATFORM                what its config says; else what the list does
//	attestation zstd artifact      what it is
//	schema1 opaque foreign
type parts struct {
	root  ocispec.Descriptor
	names map[digest.Digest]string
	sizes map[string]int64 // of an entry with its config and layers, and of "index" and "n"
	leave map[digest.Digest]bool
	order []ocispec.Descriptor
}

// rawPlatform reads OS(VERSION)/ARCHITECTURE/VARIANT without normalising anything.
func rawPlatform(s string) *ocispec.Platform {
	switch s {
	case "-":
		return nil
	case "{}":
		return &ocispec.Platform{}
	}
	p := &ocispec.Platform{}
	if head, tail, ok := strings.Cut(s, ")"); ok {
		p.OS, p.OSVersion, _ = strings.Cut(head, "(")
		s = p.OS + tail
	}
	words := append(strings.Split(s, "/"), "", "")
	p.OS, p.Architecture, p.Variant = words[0], words[1], words[2]
	return p
}

// parts makes an image of a line, as an index, or if that is one entry with the name
// "single" as a manifest.
func (f *fixture) parts(tb testing.TB, line string) *parts {
	tb.Helper()
	p := &parts{names: map[digest.Digest]string{}, sizes: map[string]int64{}, leave: map[digest.Digest]bool{}}
	var outer, inner []ocispec.Descriptor
	for word := range strings.FieldsSeq(line) {
		name, what, ok := strings.Cut(word, "=")
		if !ok {
			tb.Fatalf("entry %q", word)
		}
		desc := f.entry(tb, p, name, strings.Split(what, ";"))
		if strings.HasPrefix(name, "n/") {
			inner = append(inner, desc)
		} else {
			outer = append(outer, desc)
		}
		p.order = append(p.order, desc)
	}
	if len(inner) > 0 {
		nested := f.src.Index(inner...)
		p.sizes["n"] = nested.Size
		outer = append([]ocispec.Descriptor{nested}, outer...)
	}
	if len(outer) == 1 && strings.HasPrefix(line, "single=") {
		p.root = targetOf(outer[0])
		return p
	}
	p.root = f.src.Index(outer...)
	p.sizes["index"] = p.root.Size
	p.names[p.root.Digest] = "index"
	return p
}

// entry makes one entry.
func (f *fixture) entry(tb testing.TB, p *parts, name string, marks []string) ocispec.Descriptor {
	tb.Helper()
	listed := rawPlatform(marks[0])
	own, mediaType, configType := listed, ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig
	layer := f.src.Put(ocispec.MediaTypeImageLayerGzip, []byte("layer of "+name))
	annotations := map[string]string{}
	var absent, noConfig, noLayer, opaque bool
	for _, mark := range marks[1:] {
		key, value, _ := strings.Cut(mark, "=")
		switch key {
		case "absent":
			absent = true
		case "noconfig":
			noConfig = true
		case "nolayer":
			noLayer = true
		case "config":
			own = rawPlatform(value)
		case "attestation":
			annotations[image.AnnotationReferenceType] = image.ReferenceTypeAttestation
		case "zstd":
			annotations[image.AnnotationZstd] = "true"
			layer.MediaType = ocispec.MediaTypeImageLayerZstd
		case "artifact":
			configType = "application/vnd.example.config+json"
		case "schema1":
			mediaType = image.MediaTypeDockerSchema1
		case "opaque":
			opaque = true
		case "foreign":
			layer.MediaType, layer.URLs = image.MediaTypeDockerForeignLayerGzip, []string{"https://example.com/layer"}
			mediaType, configType = image.MediaTypeDockerManifest, image.MediaTypeDockerConfig
		default:
			tb.Fatalf("mark %q", mark)
		}
	}
	config := f.src.JSON(configType, configOf(name, own))
	desc := f.src.JSON(mediaType, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: mediaType, Config: config, Layers: []ocispec.Descriptor{layer},
	})
	p.sizes[name] = desc.Size + config.Size + layer.Size
	switch {
	case opaque:
		desc = f.src.Put("application/vnd.example.thing", []byte("thing "+name))
		p.sizes[name] = desc.Size
	case mediaType == image.MediaTypeDockerSchema1:
		desc = f.schema1(tb, name, layer)
		p.sizes[name] = desc.Size + layer.Size
	}
	p.names[desc.Digest] = name
	p.sizes[name+".manifest"] = desc.Size
	p.leave[desc.Digest], p.leave[config.Digest], p.leave[layer.Digest] = absent, noConfig, noLayer
	desc.Platform = listed
	if len(annotations) > 0 {
		desc.Annotations = annotations
	}
	return desc
}

// configOf returns a config with one step of history for the one layer.
func configOf(name string, p *ocispec.Platform) map[string]any {
	config := map[string]any{
		"created": "2024-05-06T07:08:09Z", "config": map[string]any{"Labels": map[string]string{"name": name}},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []digest.Digest{digest.FromString(name)}},
		"history": []map[string]any{{"created_by": "layer of " + name}, {"created_by": "nothing", "empty_layer": true}},
	}
	if p != nil {
		config["os"], config["architecture"] = p.OS, p.Architecture
		for key, value := range map[string]string{"variant": p.Variant, "os.version": p.OSVersion} {
			if value != "" {
				config[key] = value
			}
		}
	}
	return config
}

// schema1 makes a manifest of schema 1 with a layer.
func (f *fixture) schema1(tb testing.TB, name string, layer ocispec.Descriptor) ocispec.Descriptor {
	tb.Helper()
	compatibility, err := json.Marshal(map[string]string{"id": strings.Repeat("a", 64), "architecture": "amd64", "os": "linux"})
	if err != nil {
		tb.Fatal(err)
	}
	return f.src.JSON(image.MediaTypeDockerSchema1, map[string]any{
		"schemaVersion": 1, "name": name, "tag": "latest", "architecture": "amd64",
		"fsLayers": []map[string]any{{"blobSum": layer.Digest}},
		"history":  []map[string]any{{"v1Compatibility": string(compatibility)}},
	})
}

// write puts what is not left out under a name.
func (p *parts) write(tb testing.TB, f *fixture, name string) {
	tb.Helper()
	f.putPart(tb, p.root, func(n *image.Node) bool { return p.leave[n.Desc.Digest] }, name)
}

// size adds up what a row names, as index+amd.
func (p *parts) size(tb testing.TB, of string) int64 {
	tb.Helper()
	var sum int64
	for name := range strings.SplitSeq(of, "+") {
		size, ok := p.sizes[name]
		if !ok {
			tb.Fatalf("no size of %q", name)
		}
		sum += size
	}
	return sum
}

// amd64 is the host that most tests have.
var amd64 = service.Options{Host: &ocispec.Platform{OS: "linux", Architecture: "amd64"}}

// asked returns the platform that a row asks for.
func asked(s string) *ocispec.Platform {
	if s == "" {
		return nil
	}
	return rawPlatform(s)
}

func describe(inst *service.Instance) string {
	return fmt.Sprintf("%s %s %s", inst.Kind, inst.Presence, inst.Descriptor.Digest)
}

// versioned is what manifests and indexes begin with.
var versioned = specs.Versioned{SchemaVersion: 2}
