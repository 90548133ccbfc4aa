package describe_test

import (
	"context"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/cmd/dhow/internal/describe"
	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
)

// place is a source in memory that knows referrers, names and signatures.
type place struct {
	testimage.Store
	root       ocispec.Descriptor
	referrers  []ocispec.Descriptor // each is offered for its subject only, see refer
	subjects   []digest.Digest
	names      map[string]ocispec.Descriptor
	signatures map[digest.Digest]int
}

func (p *place) Root(context.Context) (ocispec.Descriptor, error) { return p.root, nil }
func (p *place) Close() error                                     { return nil }

// refer offers a descriptor as a referrer of a subject.
func (p *place) refer(subject digest.Digest, desc ocispec.Descriptor) {
	p.subjects = append(p.subjects, subject)
	p.referrers = append(p.referrers, desc)
}

func (p *place) Referrers(_ context.Context, subject digest.Digest) ([]ocispec.Descriptor, error) {
	var found []ocispec.Descriptor
	for i, s := range p.subjects {
		if s == subject {
			found = append(found, p.referrers[i])
		}
	}
	return found, nil
}

func (p *place) Names(_ context.Context, yield func(string) bool) error {
	for name := range p.names {
		if !yield(name) {
			break
		}
	}
	return nil
}

func (p *place) Resolve(_ context.Context, name string) (ocispec.Descriptor, error) {
	return p.names[name], nil
}

func (p *place) Signatures(_ context.Context, d digest.Digest) ([]transport.Signature, error) {
	return make([]transport.Signature, p.signatures[d]), nil
}

// of describes the place's image, or the instance for the asked platforms.
func (p *place) of(t *testing.T, asked ...ocispec.Platform) *describe.Image {
	t.Helper()
	selection := copy.Selection{Mode: copy.All, Absent: copy.Keep}
	if len(asked) > 0 {
		selection.Mode, selection.Platforms = copy.One, asked
	}
	loaded, err := copy.Load(t.Context(), p, transport.Accepts{}, copy.Options{Selection: selection})
	if err != nil {
		t.Fatal(err)
	}
	return describe.Of("mem:image", loaded, image.Limits{})
}

func linux(arch string) ocispec.Platform { return ocispec.Platform{OS: "linux", Architecture: arch} }

// everything has two platforms with an attestation each, of which one platform is
// absent, a nested list that shares an instance, artifacts, tags and signatures.
func everything() *place {
	p := &place{names: map[string]ocispec.Descriptor{}, signatures: map[digest.Digest]int{}}
	amd64 := p.Plain(linux("amd64"), "base", "amd64")
	arm64 := p.Plain(linux("arm64"), "base", "arm64")
	windows := p.Plain(ocispec.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.20348.1"}, "windows")
	amd64.Annotations = map[string]string{
		ocispec.AnnotationCreated: "0000-99-99\x1b[2J",
		"hostile\u202ekey":        "first\nsecond",
	}
	nested := p.Index(amd64, windows)
	nested.Platform = nil
	p.root = p.Index(amd64, p.Attestation(amd64), arm64, p.Attestation(arm64), nested)
	p.Delete(arm64.Digest)

	sbom := p.Referrer(p.root, "application/spdx+json", "sbom")
	p.refer(p.root.Digest, sbom)
	p.refer(sbom.Digest, p.Referrer(sbom, "application/vnd.example.review", "review"))
	p.refer(windows.Digest, p.Referrer(amd64, "application/vnd.example.stray", "stray"))
	tag, signature := p.CosignTag(amd64, "sig")
	p.names[tag] = signature
	p.names["latest"] = p.root
	p.signatures[p.root.Digest] = 2
	return p
}

// hostile is a single image whose config says what none should.
func hostile() *place {
	p := &place{}
	many := map[string]string{}
	for _, c := range "abcdefghijkl" {
		many[string(c)] = strings.Repeat("x", 200)
	}
	layer := p.Put(ocispec.MediaTypeImageLayer, []byte("layer"))
	config := p.JSON(ocispec.MediaTypeImageConfig, map[string]any{
		"created": "99999-01-01T00:00:00Z", "os": "linux\x07", "architecture": "amd64",
		"config": map[string]any{
			"User": "\x1b]0;title\x07", "WorkingDir": "/a/../../etc", "Env": []string{"NOEQUALS", "PATH=/bin"},
			"Entrypoint": []string{"/bin/sh", "-c", "rm\t-rf"}, "Labels": many,
		},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []digest.Digest{layer.Digest, layer.Digest}},
	})
	p.root = p.JSON(ocispec.MediaTypeImageManifest, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest,
		"config": config, "layers": []ocispec.Descriptor{layer},
		"annotations": map[string]string{ocispec.AnnotationCreated: "yesterday"},
	})
	return p
}

// artifact has no image config and a media type that is not printable.
func artifact() *place {
	p := &place{}
	p.root = p.Referrer(ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("gone"), Size: 4},
		"application/vnd.example.artifact", "payload")
	return p
}
