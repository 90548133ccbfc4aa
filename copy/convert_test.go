package copy_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
)

// list decodes the list that a place's name points at.
func (p *place) list(t *testing.T) *image.List {
	t.Helper()
	doc, err := image.Decode(p.Get(p.root.Digest), image.Declared{Descriptor: p.root.MediaType}, image.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return doc.(*image.List)
}

func TestFormatConvertsListAndManifests(t *testing.T) {
	t.Parallel()
	src := newSample().attach()
	var docker, oci place
	rec := mustCopy(t, &docker, src, copy.Options{Format: copy.Docker})
	if docker.root.MediaType != image.MediaTypeDockerList {
		t.Fatalf("root is a %s", docker.root.MediaType)
	}
	kept := 0
	for _, e := range docker.list(t).Instances() {
		if e.MediaType == ocispec.MediaTypeImageManifest {
			kept++
		}
	}
	if kept != 2 {
		t.Errorf("%d OCI manifests in the list, want the 2 attestations", kept)
	}
	for _, a := range src.attested {
		if !slices.ContainsFunc(rec.Notes, func(n string) bool { return strings.Contains(n, "attestation "+a.Digest.String()+" is kept") }) {
			t.Errorf("attestation %s is not named: %q", a.Digest, rec.Notes)
		}
	}
	for _, d := range []ocispec.Descriptor{src.sbom, src.instanceSBOM, src.names[src.tag], src.names[src.instanceTag]} {
		i := slices.IndexFunc(rec.Entries, func(e copy.Entry) bool { return e.Digest == d.Digest })
		if i < 0 || rec.Entries[i].Action != copy.Skipped || !strings.Contains(rec.Entries[i].Reason, "became") {
			t.Errorf("what is attached to a converted image: %+v", rec.Entries[max(i, 0)])
		}
	}
	if n := actions(rec)[copy.Converted]; n != 5 {
		t.Errorf("%d converted, want 4 instances and the list", n)
	}

	mustCopy(t, &oci, &docker, copy.Options{Format: copy.OCI})
	if oci.root.MediaType != ocispec.MediaTypeImageIndex {
		t.Fatalf("root is a %s", oci.root.MediaType)
	}
	for _, e := range oci.list(t).Instances() {
		if e.MediaType != ocispec.MediaTypeImageManifest {
			t.Errorf("%s is a %s", e.Digest, e.MediaType)
		}
	}
	for _, d := range []ocispec.Descriptor{src.amd64, src.arm64, src.armv7, src.windows} {
		if oci.Get(d.Digest) == nil {
			t.Errorf("%s did not come back under its digest", d.Digest)
		}
	}
}

// TestAttestationsNameConvertedInstances converts a mixed index to OCI, whose
// Docker instances get new digests.
func TestAttestationsNameConvertedInstances(t *testing.T) {
	t.Parallel()
	var src, dst place
	im := src.Image(testimage.Image{Family: testimage.Docker, Platform: linux("amd64", "")})
	src.root = src.Index(im, src.Attestation(im))
	rec := mustCopy(t, &dst, &src, copy.Options{Format: copy.OCI})
	entries := dst.list(t).Instances()
	of, ok := image.AttestationOf(entries[1])
	if !ok || of != entries[0].Digest || of == im.Digest {
		t.Errorf("the attestation names %s, the instance is %s, it was %s", of, entries[0].Digest, im.Digest)
	}
	if !slices.ContainsFunc(rec.Notes, func(n string) bool { return strings.Contains(n, "names "+im.Digest.String()) }) {
		t.Errorf("notes %q", rec.Notes)
	}
}

func TestFormat(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		opts    copy.Options
		accepts transport.Accepts
		source  func(*place) ocispec.Descriptor
		root    string // media type
		entries int
		kind    error
		text    string
	}{
		{
			name: "attestations dropped", opts: copy.Options{Format: copy.Docker, DropAttestations: true},
			source: func(p *place) ocispec.Descriptor {
				im := p.Image(testimage.Image{Platform: linux("amd64", "")})
				return p.Index(im, p.Attestation(im))
			},
			root: image.MediaTypeDockerList, entries: 1,
		},
		{
			name: "a list whose children are of the type already is converted nevertheless", opts: copy.Options{Format: copy.OCI},
			source: func(p *place) ocispec.Descriptor {
				return p.List(p.Image(testimage.Image{Platform: linux("amd64", "")}))
			},
			root: ocispec.MediaTypeImageIndex, entries: 1,
		},
		{
			name: "nothing to convert", opts: copy.Options{Format: copy.Docker, PreserveDigests: true},
			source: func(p *place) ocispec.Descriptor {
				return p.List(p.Image(testimage.Image{Family: testimage.Docker, Platform: linux("amd64", "")}))
			},
			root: image.MediaTypeDockerList, entries: 1,
		},
		{
			name: "digests to be preserved", opts: copy.Options{Format: copy.Docker, PreserveDigests: true},
			source: func(p *place) ocispec.Descriptor { return p.Image(testimage.Image{Platform: linux("amd64", "")}) },
			kind:   errdefs.ErrFailedPrecondition, text: "digests are to be preserved",
		},
		{
			name: "a signed instance", opts: copy.Options{Format: copy.Docker},
			source: func(p *place) ocispec.Descriptor {
				im := p.Image(testimage.Image{Platform: linux("amd64", "")})
				p.sigs = map[digest.Digest][]transport.Signature{im.Digest: {{1}}}
				return p.Index(im)
			},
			kind: errdefs.ErrFailedPrecondition, text: "its simple signatures (1) would be void",
		},
		{
			name: "an entry without platform", opts: copy.Options{Format: copy.Docker},
			source: func(p *place) ocispec.Descriptor {
				im := p.Image(testimage.Image{Platform: linux("amd64", "")})
				im.Platform = nil
				return p.Index(im)
			},
			kind: errdefs.ErrNotImplemented, text: "platform",
		},
		{
			name: "an artifact", opts: copy.Options{Format: copy.Docker},
			source: func(p *place) ocispec.Descriptor {
				return p.Referrer(p.Image(testimage.Image{Platform: linux("amd64", "")}), "application/spdx+json", "x")
			},
			kind: errdefs.ErrNotImplemented, text: "cannot be converted",
		},
		{
			name: "the destination takes the other family only", accepts: transport.Accepts{Types: []string{image.MediaTypeDockerManifest, image.MediaTypeDockerList}},
			source: func(p *place) ocispec.Descriptor {
				return p.Index(p.Image(testimage.Image{Platform: linux("amd64", "")}))
			},
			root: image.MediaTypeDockerList, entries: 1,
		},
		{
			name: "a format that the destination does not take", opts: copy.Options{Format: copy.OCI},
			accepts: transport.Accepts{Types: []string{image.MediaTypeDockerManifest, image.MediaTypeDockerList}},
			source: func(p *place) ocispec.Descriptor {
				return p.List(p.Image(testimage.Image{Family: testimage.Docker, Platform: linux("amd64", "")}))
			},
			kind: errdefs.ErrNotImplemented, text: "does not take " + ocispec.MediaTypeImageIndex,
		},
		{
			name: "nested lists", opts: copy.Options{Format: copy.OCI},
			source: func(p *place) ocispec.Descriptor {
				return p.Index(p.List(p.Image(testimage.Image{Family: testimage.Docker, Platform: linux("amd64", "")})))
			},
			root: ocispec.MediaTypeImageIndex, entries: 1,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var src place
			src.root = tt.source(&src)
			dst := place{accepts: tt.accepts}
			_, err := copy.Image(t.Context(), &dst, &src, tt.opts)
			if tt.kind != nil {
				if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) {
					t.Fatalf("error %v; want %v with %q", err, tt.kind, tt.text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if dst.root.MediaType != tt.root {
				t.Errorf("root is a %s, want %s", dst.root.MediaType, tt.root)
			}
			if got := len(dst.list(t).Instances()); got != tt.entries {
				t.Errorf("%d entries, want %d", got, tt.entries)
			}
		})
	}
}

// TestRefusedTypeIsTriedInAnotherForm copies to places that find out only when
// they are sent a document that they do not take it.
func TestRefusedTypeIsTriedInAnotherForm(t *testing.T) {
	t.Parallel()
	refuse := func(types ...string) func(transport.Node) error {
		return func(n transport.Node) error {
			if slices.Contains(types, n.Desc.MediaType) {
				return &transport.TypeRefusedError{MediaType: n.Desc.MediaType, Err: errdefs.ErrInvalidArgument}
			}
			return nil
		}
	}
	tests := []struct {
		name string
		fail func(transport.Node) error
		opts copy.Options
		root string
		text []string
	}{
		{
			name: "OCI is refused", fail: refuse(ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex),
			root: image.MediaTypeDockerList,
		},
		{
			name: "OCI is refused, digests are to be preserved", fail: refuse(ocispec.MediaTypeImageManifest),
			opts: copy.Options{PreserveDigests: true}, text: []string{"was refused", "digests are to be preserved"},
		},
		{
			name: "everything is refused", fail: refuse(ocispec.MediaTypeImageManifest, image.MediaTypeDockerManifest),
			text: []string{`type "` + ocispec.MediaTypeImageManifest + `" was refused`, `type "` + image.MediaTypeDockerManifest + `" was refused`},
		},
		{
			name: "another error is no reason", text: []string{"boom"},
			fail: func(transport.Node) error { return errors.New("boom") },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var src place
			src.root = src.Index(src.Image(testimage.Image{Platform: linux("amd64", "")}))
			dst := place{fail: tt.fail}
			_, err := copy.Image(t.Context(), &dst, &src, tt.opts)
			if len(tt.text) == 0 {
				if err != nil || dst.root.MediaType != tt.root {
					t.Fatalf("root %q (%v), want %s", dst.root.MediaType, err, tt.root)
				}
				return
			}
			for _, text := range tt.text {
				if err == nil || !strings.Contains(err.Error(), text) {
					t.Errorf("error %v; want it to say %q", err, text)
				}
			}
		})
	}
}
