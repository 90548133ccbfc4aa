package copy_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
)

// artifactWith is an artifact whose only layer is a given descriptor.
func (p *place) artifactWith(layer ocispec.Descriptor) ocispec.Descriptor {
	layer.Platform = nil
	return p.JSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/x",
		Config: p.Store.Put(ocispec.MediaTypeEmptyJSON, []byte("{}")), Layers: []ocispec.Descriptor{layer},
	})
}

// TestOneDigestInTwoRoles copies manifests that are layers or opaque elsewhere:
// nothing below them is lost, and they are put in both roles.
func TestOneDigestInTwoRoles(t *testing.T) {
	t.Parallel()
	for name, root := range map[string]func(p *place, im ocispec.Descriptor) ocispec.Descriptor{
		"a layer, then a manifest": func(p *place, im ocispec.Descriptor) ocispec.Descriptor { return p.Index(p.artifactWith(im), im) },
		"a layer, then a manifest deeper": func(p *place, im ocispec.Descriptor) ocispec.Descriptor {
			return p.Index(p.artifactWith(im), p.Index(im))
		},
		"a manifest, then a layer": func(p *place, im ocispec.Descriptor) ocispec.Descriptor { return p.Index(im, p.artifactWith(im)) },
		"opaque, then a manifest": func(p *place, im ocispec.Descriptor) ocispec.Descriptor {
			opaque := im
			opaque.MediaType = "application/octet-stream"
			return p.Index(opaque, im)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var src, dst place
			src.root = root(&src, src.Image(testimage.Image{Platform: linux("amd64", ""), Layers: 2}))
			mustCopy(t, plain{&dst}, &src, copy.Options{})
			if got, want := dst.Digests(), src.Digests(); !slices.Equal(got, want) {
				t.Errorf("%d blobs at the destination, %d at the source", len(got), len(want))
			}
		})
	}
}

func TestSharedBlobStandsWhereItWasMet(t *testing.T) {
	t.Parallel()
	var src, dst place
	a, _ := src.Layer("a", 100)
	b, _ := src.Layer("b", 100)
	manifest := func(arch string, layers ...ocispec.Descriptor) ocispec.Descriptor {
		d := src.JSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
			Config: src.Store.Put(ocispec.MediaTypeEmptyJSON, []byte("{}")), Layers: layers, ArtifactType: "application/" + arch,
		})
		p := linux(arch, "")
		d.Platform = &p
		return d
	}
	src.root = src.Index(manifest("amd64", a, b), manifest("arm64", b, a))
	mustCopy(t, &dst, &src, copy.Options{})
	for _, n := range dst.puts {
		if n.Role != image.RoleLayer {
			continue
		}
		doc, err := image.Decode(src.Get(n.Parent), image.Declared{}, image.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if layers := doc.(*image.Manifest).Layers(); layers[n.Index].Digest != n.Desc.Digest {
			t.Errorf("%s is not layer %d of %s", n.Desc.Digest, n.Index, n.Parent)
		}
	}
}

// TestBudgetIsShared shows that what is attached, and configs, count against the
// same limit as the image.
func TestBudgetIsShared(t *testing.T) {
	t.Parallel()
	limits := image.Limits{GraphBytes: 20_000}
	var src place
	src.root = src.Image(testimage.Image{Platform: linux("amd64", "")})
	var many []ocispec.Descriptor
	for i := range 100 {
		many = append(many, src.Referrer(src.root, "application/x", fmt.Sprint(i)))
	}
	src.referrers = map[digest.Digest][]ocispec.Descriptor{src.root.Digest: many}
	rec := mustCopy(t, &place{}, &src, copy.Options{Limits: limits})
	if n := actions(rec)[copy.Skipped]; n < 50 || n == 100 {
		t.Errorf("%d referrers were left behind for want of room", n)
	}

	var docker place
	var entries []ocispec.Descriptor
	for i := range 100 {
		entries = append(entries, docker.Image(testimage.Image{Family: testimage.Docker, Platform: linux("amd64", ""), Name: fmt.Sprint(i)}))
	}
	docker.root = docker.List(entries...)
	_, err := copy.Image(t.Context(), &place{}, &docker, copy.Options{Format: copy.OCI, Limits: image.Limits{GraphBytes: 80_000}})
	if !errdefs.IsResourceExhausted(err) || !strings.Contains(err.Error(), "config") {
		t.Errorf("error %v, want that configs take too much", err)
	}
}

// TestBadAttachmentsDoNotKeepAnImage shows that what others attach to an image is
// named and left behind if it cannot be carried.
func TestBadAttachmentsDoNotKeepAnImage(t *testing.T) {
	t.Parallel()
	src := newSample()
	dangling := src.CosignPayloadOf(src.root.Digest)
	src.Delete(dangling.Digest)
	noPayload := src.CosignPayloadOf(src.amd64.Digest)
	doc, err := image.Decode(src.Get(noPayload.Digest), image.Declared{}, image.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	src.Delete(doc.(*image.Manifest).Layers()[0].Digest)
	malformed := src.Store.Put(ocispec.MediaTypeImageManifest, []byte(`{"schemaVersion":2,"layers":[{}]}`))
	half := src.Referrer(src.root, "application/x", "half")
	src.referrers = map[digest.Digest][]ocispec.Descriptor{src.root.Digest: {malformed, half}}
	src.names = map[string]ocispec.Descriptor{
		"sha256-" + src.root.Digest.Encoded() + ".att":  dangling,
		"sha256-" + src.amd64.Digest.Encoded() + ".sig": noPayload,
	}
	var dst place
	rec := mustCopy(t, &dst, src, copy.Options{})
	for d, want := range map[digest.Digest]copy.Action{dangling.Digest: copy.Missing, noPayload.Digest: copy.Missing, malformed.Digest: copy.Skipped, half.Digest: copy.Copied} {
		i := slices.IndexFunc(rec.Entries, func(e copy.Entry) bool { return e.Digest == d })
		if i < 0 || rec.Entries[i].Action != want {
			t.Errorf("%s: want %s, receipt %+v", d, want, rec.Entries[max(i, 0)])
		}
	}
}

func TestTooManyReferrers(t *testing.T) {
	t.Parallel()
	src := newSample()
	src.referrers = map[digest.Digest][]ocispec.Descriptor{src.root.Digest: {src.Referrer(src.root, "application/x", "x")}}
	src.tooMany = true
	src.root = src.amd64
	src.referrers[src.amd64.Digest] = []ocispec.Descriptor{src.Referrer(src.amd64, "application/x", "x")}
	_, err := copy.Image(t.Context(), &place{}, src, copy.Options{})
	if !errdefs.IsResourceExhausted(err) { // a referrer of which none could be listed
		t.Errorf("error %v", err)
	}
	for _, d := range src.Digests() { // now all have one that is known already
		if src.referrers[d] == nil {
			src.referrers[d] = src.referrers[src.amd64.Digest]
		}
	}
	rec := mustCopy(t, &place{}, src, copy.Options{})
	if !slices.ContainsFunc(rec.Notes, func(n string) bool { return strings.Contains(n, "not all referrers of "+src.amd64.Digest.String()) }) {
		t.Errorf("notes %q", rec.Notes)
	}
}

func TestPinnedDestinationIsNeverConverted(t *testing.T) {
	t.Parallel()
	src := newSample()
	dst := place{accepts: transport.Accepts{Pinned: src.root.Digest}}
	_, err := copy.Image(t.Context(), &dst, src, copy.Options{
		Format:    copy.Docker,
		Selection: copy.Selection{Mode: copy.One, Platforms: []ocispec.Platform{linux("arm64", "")}},
	})
	if !errdefs.IsFailedPrecondition(err) {
		t.Errorf("error %v, want a failed precondition", err)
	}
}

func TestStripOfWhatIsMissing(t *testing.T) {
	t.Parallel()
	src := newSample()
	nested := src.Index(src.Image(testimage.Image{Platform: linux("s390x", "")}))
	for _, e := range mustDecode(t, src.Get(nested.Digest)).Edges() {
		src.Delete(e.Desc.Digest)
	}
	src.Delete(src.amd64.Digest)
	src.root = src.Index(src.amd64, src.arm64, src.attested[0], src.attested[1], nested)
	var dst place
	mustCopy(t, &dst, src, copy.Options{Selection: copy.Selection{Absent: copy.Strip}})
	var kept []digest.Digest
	for _, e := range dst.list(t).Instances() {
		kept = append(kept, e.Digest)
	}
	if want := []digest.Digest{src.arm64.Digest, src.attested[1].Digest}; !slices.Equal(kept, want) {
		t.Errorf("the list has %s, want %s", kept, want)
	}
}

func mustDecode(t *testing.T, data []byte) image.Document {
	t.Helper()
	doc, err := image.Decode(data, image.Declared{}, image.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestNestedListsConvert converts lists in lists either way, and an attestation
// in the outer one of an instance in the inner one.
func TestNestedListsConvert(t *testing.T) {
	t.Parallel()
	var src, dst place
	im := src.Image(testimage.Image{Family: testimage.Docker, Platform: linux("amd64", "")})
	inner := src.List(im)
	p := linux("amd64", "")
	inner.Platform = &p
	src.root = src.List(inner)
	mustCopy(t, &dst, &src, copy.Options{Format: copy.OCI})
	if got := dst.list(t).Instances()[0]; got.MediaType != ocispec.MediaTypeImageIndex {
		t.Errorf("the nested list is a %s", got.MediaType)
	}

	src.root = src.Index(src.Index(im), src.Attestation(im))
	mustCopy(t, &dst, &src, copy.Options{Format: copy.OCI})
	entries := dst.list(t).Instances()
	now := mustDecode(t, dst.Get(entries[0].Digest)).Edges()[0].Desc.Digest
	if of, _ := image.AttestationOf(entries[1]); of != now || of == im.Digest {
		t.Errorf("the attestation names %s, the instance is %s", of, now)
	}
}

// TestAttachedIsNeverConverted copies to a place that takes one family only: what
// is attached in the other one stays behind, whole.
func TestAttachedIsNeverConverted(t *testing.T) {
	t.Parallel()
	var src place
	src.root = src.Image(testimage.Image{Family: testimage.Docker, Platform: linux("amd64", "")})
	tagged := src.Index(src.Image(testimage.Image{Family: testimage.Docker, Platform: linux("s390x", "")}), src.Image(testimage.Image{Platform: linux("arm64", "")}))
	src.names = map[string]ocispec.Descriptor{"sha256-" + src.root.Digest.Encoded() + ".sbom": tagged}
	dst := place{accepts: transport.Accepts{Types: []string{image.MediaTypeDockerManifest, image.MediaTypeDockerList}}}
	rec := mustCopy(t, &dst, &src, copy.Options{})
	i := slices.IndexFunc(rec.Entries, func(e copy.Entry) bool { return e.Digest == tagged.Digest })
	if i < 0 || rec.Entries[i].Action != copy.Skipped {
		t.Errorf("receipt %+v", rec.Entries)
	}
	if got := len(dst.Digests()); got != 3 || len(rec.Entries) != 4 {
		t.Errorf("%d blobs at the destination and %d lines in the receipt, want 3 and 4", got, len(rec.Entries))
	}
}

func TestReceiptOfFailure(t *testing.T) {
	t.Parallel()
	src := newSample().attach()
	src.sigs = map[digest.Digest][]transport.Signature{src.arm64.Digest: {{1}}}
	dst := place{fail: func(n transport.Node) error {
		if n.Parent == "" {
			return errors.New("boom")
		}
		return nil
	}}
	rec, err := copy.Image(t.Context(), &dst, src, copy.Options{})
	if err == nil || rec == nil {
		t.Fatalf("receipt %v, error %v", rec, err)
	}
	if rec.Root.Digest != "" || len(rec.Names) > 0 || slices.ContainsFunc(rec.Entries, func(e copy.Entry) bool { return e.Role == "signature" }) {
		t.Errorf("the receipt says that names and signatures are there: %+v", rec)
	}
}

// TestSlowEventsDoNotHoldUpCancelling fails a copy whose listener is slow.
func TestSlowEventsDoNotHoldUpCancelling(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var cancelled time.Time
	_, err := copy.Image(ctx, &place{}, newSample().attach(), copy.Options{Events: func(copy.Event) {
		if cancelled.IsZero() {
			cancelled = time.Now()
			cancel()
		}
		time.Sleep(50 * time.Millisecond)
	}})
	if !errors.Is(err, context.Canceled) {
		t.Skipf("the copy was faster than its first event: %v", err)
	}
	if took := time.Since(cancelled); took > 150*time.Millisecond {
		t.Errorf("it took %v to obey", took)
	}
}

// TestMissingNestedList shows that a nested list that the source lacks matters only
// to those who want something of it.
func TestMissingNestedList(t *testing.T) {
	t.Parallel()
	src := newSample()
	nested := src.Index(src.windows)
	src.root = src.Index(nested, src.amd64)
	src.Delete(nested.Digest)
	amd64 := []ocispec.Platform{linux("amd64", "")}
	for name, selection := range map[string]copy.Selection{
		"one":  {Mode: copy.One, Platforms: amd64},
		"some": {Mode: copy.Some, Platforms: amd64},
	} {
		rec := mustCopy(t, &place{}, src, copy.Options{Selection: selection})
		if i := slices.IndexFunc(rec.Entries, func(e copy.Entry) bool { return e.Digest == nested.Digest }); i < 0 {
			t.Errorf("%s: the nested list is not in the receipt", name)
		}
	}
	for name, selection := range map[string]copy.Selection{
		"all":           {Mode: copy.All},
		"by its digest": {Mode: copy.Some, Instances: []digest.Digest{nested.Digest}},
	} {
		if _, err := copy.Image(t.Context(), &place{}, src, copy.Options{Selection: selection}); !errdefs.IsUnavailable(err) {
			t.Errorf("%s: error %v, want that it is unavailable", name, err)
		}
	}
}

func TestSparseListIsNotConverted(t *testing.T) {
	t.Parallel()
	_, err := copy.Image(t.Context(), &place{}, newSample(), copy.Options{Format: copy.Docker, Selection: some(copy.Keep, linux("arm64", ""))})
	if !errdefs.IsFailedPrecondition(err) || !strings.Contains(err.Error(), "they can be stripped") {
		t.Errorf("error %v, want a failed precondition", err)
	}
	var dst place
	mustCopy(t, &dst, newSample(), copy.Options{Format: copy.Docker, Selection: some(copy.Strip, linux("arm64", ""))})
	if dst.root.MediaType != image.MediaTypeDockerList {
		t.Errorf("root is a %s", dst.root.MediaType)
	}
}

// TestNothingIsBothCarriedAndLeft copies an instance that is not chosen but refers
// to one that is.
func TestNothingIsBothCarriedAndLeft(t *testing.T) {
	t.Parallel()
	src := newSample()
	referrer := src.Referrer(src.arm64, "application/x", "x")
	entry := referrer
	p := linux("s390x", "")
	entry.Platform = &p
	src.root = src.Index(src.arm64, entry)
	src.referrers = map[digest.Digest][]ocispec.Descriptor{src.arm64.Digest: {referrer}}
	rec := mustCopy(t, &place{}, src, copy.Options{Selection: some(copy.Keep, linux("arm64", ""))})
	var lines []copy.Action
	for _, e := range rec.Entries {
		if e.Digest == referrer.Digest {
			lines = append(lines, e.Action)
		}
	}
	if !slices.Equal(lines, []copy.Action{copy.Copied}) {
		t.Errorf("the referrer is %v", lines)
	}
}
