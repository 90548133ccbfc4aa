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
	"github.com/dhowhq/dhow/platform"
	"github.com/dhowhq/dhow/transport"
)

// some selects platforms out of a list.
func some(absent copy.Absent, platforms ...ocispec.Platform) copy.Selection {
	return copy.Selection{Mode: copy.Some, Platforms: platforms, Absent: absent}
}

// moved returns the digests of the documents that a plan puts.
func moved(p *copy.Plan) map[digest.Digest]copy.Action {
	docs := map[digest.Digest]copy.Action{}
	for _, op := range p.Ops {
		if image.IsDocument(op.Node.Desc.MediaType) {
			docs[op.From.Digest] = op.Action
		}
	}
	return docs
}

// want says what a plan shall do.
type want struct {
	root    func(*sample) digest.Digest // unchanged root; nil: it changes
	moved   func(*sample) []ocispec.Descriptor
	left    func(*sample) []ocispec.Descriptor
	entries int // of the list at the destination
	kind    error
	text    string
}

func TestDecideSelects(t *testing.T) {
	t.Parallel()
	wholeRoot := func(s *sample) digest.Digest { return s.root.Digest }
	tests := []struct {
		name    string
		opts    copy.Options
		accepts transport.Accepts
		change  func(*sample)
		want    want
	}{
		{
			name: "all, with attestations, referrers and tags",
			want: want{root: wholeRoot, entries: 6, moved: func(s *sample) []ocispec.Descriptor {
				return append(s.everything(), s.sbom, s.instanceSBOM, s.names[s.tag], s.names[s.instanceTag])
			}},
		},
		{
			name: "all, referrers and tags left out",
			opts: copy.Options{NoReferrers: true, NoDigestTags: true},
			want: want{root: wholeRoot, entries: 6, moved: (*sample).everything},
		},
		{
			name: "one platform becomes the image; its own referrer and tag follow",
			opts: copy.Options{Selection: copy.Selection{Mode: copy.One, Platforms: []ocispec.Platform{linux("arm64", "")}}},
			want: want{
				root: func(s *sample) digest.Digest { return s.arm64.Digest },
				moved: func(s *sample) []ocispec.Descriptor {
					return []ocispec.Descriptor{s.arm64, s.instanceSBOM, s.names[s.instanceTag]}
				},
				left: func(s *sample) []ocispec.Descriptor {
					return []ocispec.Descriptor{s.root, s.amd64, s.armv7, s.windows, s.attested[0], s.attested[1]}
				},
			},
		},
		{
			name: "one platform that is not there",
			opts: copy.Options{Selection: copy.Selection{Mode: copy.One, Platforms: []ocispec.Platform{linux("mips64", "")}}},
			want: want{kind: errdefs.ErrNotFound, text: "linux/arm64"},
		},
		{
			name:    "by default one for the host where lists cannot be held",
			accepts: transport.Accepts{NoLists: "it holds one image"},
			change:  func(s *sample) { s.root = s.Index(s.windows, s.hostImage()) },
			want:    want{root: func(s *sample) digest.Digest { return s.hostImage().Digest }, moved: func(s *sample) []ocispec.Descriptor { return []ocispec.Descriptor{s.hostImage()} }},
		},
		{
			name: "all where lists cannot be held", accepts: transport.Accepts{NoLists: "it holds one image"},
			opts: copy.Options{Selection: copy.Selection{Mode: copy.All}},
			want: want{kind: errdefs.ErrNotImplemented, text: "it holds one image"},
		},
		{
			name: "some: sparse keeps the list; attestations follow",
			opts: copy.Options{Selection: some(copy.Keep, linux("arm64", ""), linux("arm", "v7")), NoReferrers: true, NoDigestTags: true},
			want: want{
				root: wholeRoot, entries: 6,
				moved: func(s *sample) []ocispec.Descriptor {
					return []ocispec.Descriptor{s.root, s.arm64, s.armv7, s.attested[1]}
				},
				left: func(s *sample) []ocispec.Descriptor { return []ocispec.Descriptor{s.amd64, s.windows, s.attested[0]} },
			},
		},
		{
			name: "some: stripped of exactly the rest",
			opts: copy.Options{Selection: some(copy.Strip, linux("arm64", ""), linux("arm", "v7")), NoReferrers: true, NoDigestTags: true},
			want: want{
				entries: 3,
				moved: func(s *sample) []ocispec.Descriptor {
					return []ocispec.Descriptor{s.root, s.arm64, s.armv7, s.attested[1]}
				},
				left: func(s *sample) []ocispec.Descriptor {
					return []ocispec.Descriptor{s.amd64, s.windows, s.attested[0], s.sbom, s.instanceSBOM, s.names[s.tag], s.names[s.instanceTag]}
				},
			},
		},
		{
			name: "some: what is attached to a stripped list stays behind, to its instances not",
			opts: copy.Options{Selection: some(copy.Strip, linux("arm64", ""))},
			want: want{
				entries: 2,
				moved: func(s *sample) []ocispec.Descriptor {
					return []ocispec.Descriptor{s.root, s.arm64, s.attested[1], s.instanceSBOM, s.names[s.instanceTag]}
				},
				left: func(s *sample) []ocispec.Descriptor {
					return []ocispec.Descriptor{s.amd64, s.armv7, s.windows, s.attested[0], s.sbom, s.names[s.tag]}
				},
			},
		},
		{
			name: "some: a platform that is not there", opts: copy.Options{Selection: some(copy.Keep, linux("arm64", ""), linux("arm", "v6"))},
			want: want{kind: errdefs.ErrNotFound, text: "linux/arm/v6"},
		},
		{
			name: "some: an instance that is not there", opts: copy.Options{Selection: copy.Selection{Mode: copy.Some, Instances: []digest.Digest{digest.FromString("x")}}},
			want: want{kind: errdefs.ErrNotFound, text: "no instance " + digest.FromString("x").String()},
		},
		{
			name: "index only", opts: copy.Options{Selection: copy.Selection{Mode: copy.IndexOnly}, NoReferrers: true, NoDigestTags: true},
			want: want{
				root: wholeRoot, entries: 6,
				moved: func(s *sample) []ocispec.Descriptor { return []ocispec.Descriptor{s.root} },
				left:  func(s *sample) []ocispec.Descriptor { return s.everything()[1:] },
			},
		},
		{
			name: "strip: refused for preserved digests", opts: copy.Options{Selection: some(copy.Strip, linux("arm64", "")), PreserveDigests: true},
			want: want{kind: errdefs.ErrFailedPrecondition, text: "digests are to be preserved"},
		},
		{
			name: "strip: refused for a pinned destination", opts: copy.Options{Selection: some(copy.Strip, linux("arm64", ""))},
			change: func(s *sample) { s.accepts.Pinned = s.root.Digest },
			want:   want{kind: errdefs.ErrFailedPrecondition, text: "the destination demands its digest"},
		},
		{
			name: "strip: refused for simple signatures", opts: copy.Options{Selection: some(copy.Strip, linux("arm64", ""))},
			change: func(s *sample) { s.sigs = map[digest.Digest][]transport.Signature{s.root.Digest: {{1}, {2}}} },
			want:   want{kind: errdefs.ErrFailedPrecondition, text: "its simple signatures (2) would be void"},
		},
		{
			name: "strip: refused for a signature tag", opts: copy.Options{Selection: some(copy.Strip, linux("arm64", ""))},
			change: func(s *sample) { tag, d := s.CosignTag(s.root, "sig"); s.names[tag] = d },
			want:   want{kind: errdefs.ErrFailedPrecondition, text: `.sig"`},
		},
		{
			name: "strip: refused for a referrer that is a signature", opts: copy.Options{Selection: some(copy.Strip, linux("arm64", ""))},
			change: func(s *sample) {
				s.referrers[s.root.Digest] = []ocispec.Descriptor{s.Referrer(s.root, "application/vnd.cncf.notary.signature", "sig")}
			},
			want: want{kind: errdefs.ErrFailedPrecondition, text: "signed by referrer sha256:"},
		},
		{
			name:   "strip: signed by what is not to be carried",
			opts:   copy.Options{Selection: some(copy.Strip, linux("arm64", "")), NoReferrers: true, NoDigestTags: true},
			change: func(s *sample) { tag, d := s.CosignTag(s.root, "sig"); s.names[tag] = d },
			want:   want{kind: errdefs.ErrFailedPrecondition, text: `.sig"`},
		},
		{
			name: "convert: signed by what is not to be carried",
			opts: copy.Options{Format: copy.Docker, NoReferrers: true, NoDigestTags: true},
			change: func(s *sample) {
				s.referrers[s.arm64.Digest] = []ocispec.Descriptor{s.Referrer(s.arm64, "application/vnd.dev.sigstore.bundle.v0.3+json", "sig")}
			},
			want: want{kind: errdefs.ErrFailedPrecondition, text: "signed by referrer sha256:"},
		},
		{
			name:   "one: the chosen instance is missing at the source",
			opts:   copy.Options{Selection: copy.Selection{Mode: copy.One, Platforms: []ocispec.Platform{linux("arm", "v7")}}},
			change: func(s *sample) { s.Delete(s.armv7.Digest) },
			want:   want{kind: errdefs.ErrUnavailable, text: "(linux/arm/v7)"},
		},
		{
			name: "strip: signed, but signatures are to be removed",
			opts: copy.Options{Selection: some(copy.Strip, linux("arm64", "")), RemoveSignatures: true, NoReferrers: true, NoDigestTags: true},
			change: func(s *sample) {
				s.sigs = map[digest.Digest][]transport.Signature{s.root.Digest: {{1}}}
			},
			want: want{entries: 2, moved: func(s *sample) []ocispec.Descriptor { return []ocispec.Descriptor{s.root, s.arm64, s.attested[1]} }},
		},
		{
			name:   "an instance that the source lacks",
			change: func(s *sample) { s.Delete(s.armv7.Digest) },
			want:   want{kind: errdefs.ErrUnavailable, text: "(linux/arm/v7), entry 2 of"},
		},
		{
			name:   "an instance that the source lacks, kept",
			opts:   copy.Options{Selection: copy.Selection{Absent: copy.Keep}, NoReferrers: true, NoDigestTags: true},
			change: func(s *sample) { s.Delete(s.armv7.Digest) },
			want: want{root: wholeRoot, entries: 6, left: func(s *sample) []ocispec.Descriptor { return []ocispec.Descriptor{s.armv7} },
				moved: func(s *sample) []ocispec.Descriptor {
					return []ocispec.Descriptor{s.root, s.amd64, s.arm64, s.windows, s.attested[0], s.attested[1]}
				}},
		},
		{
			name: "a pinned destination and another source", accepts: transport.Accepts{Pinned: digest.FromString("other")},
			want: want{kind: errdefs.ErrFailedPrecondition, text: "the destination demands " + digest.FromString("other").String()},
		},
		{
			name:   "one instance where the destination is pinned to the list",
			opts:   copy.Options{Selection: copy.Selection{Mode: copy.One, Platforms: []ocispec.Platform{linux("arm", "v7")}}},
			change: func(s *sample) { s.accepts.Pinned = s.root.Digest },
			want:   want{root: func(s *sample) digest.Digest { return s.armv7.Digest }, moved: func(s *sample) []ocispec.Descriptor { return []ocispec.Descriptor{s.armv7} }},
		},
		{
			name: "signatures that cannot be held", accepts: transport.Accepts{NoSignatures: "no room for them"},
			change: func(s *sample) { s.sigs = map[digest.Digest][]transport.Signature{s.amd64.Digest: {{1}}} },
			want:   want{kind: errdefs.ErrNotImplemented, text: "no room for them"},
		},
		{
			name: "types that cannot be held", accepts: transport.Accepts{Types: []string{image.MediaTypeDockerSchema1}},
			want: want{kind: errdefs.ErrNotImplemented, text: "the destination takes nothing"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSample().attach()
			s.accepts = tt.accepts
			if tt.change != nil {
				tt.change(s)
			}
			plan, err := copy.Prepare(t.Context(), &place{accepts: s.accepts}, s, tt.opts)
			if tt.want.kind != nil {
				if !errors.Is(err, tt.want.kind) || !strings.Contains(err.Error(), tt.want.text) {
					t.Fatalf("error %v; want %v with %q", err, tt.want.kind, tt.want.text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkPlan(t, s, plan, tt.want)
		})
	}
}

func checkPlan(t *testing.T, s *sample, plan *copy.Plan, w want) {
	t.Helper()
	if w.root == nil && plan.Root.Digest == s.root.Digest {
		t.Errorf("the root did not change")
	}
	if w.root != nil && plan.Root.Digest != w.root(s) {
		t.Errorf("root %s, want %s", plan.Root.Digest, w.root(s))
	}
	got := moved(plan)
	for _, d := range w.moved(s) {
		if _, ok := got[d.Digest]; !ok {
			t.Errorf("%s%v is not moved", d.Digest, d.Platform)
		}
		delete(got, d.Digest)
	}
	for d := range got {
		t.Errorf("%s is moved", d)
	}
	if w.left != nil {
		checkLeft(t, plan, w.left(s))
	}
	if w.entries > 0 {
		checkEntries(t, plan, w.entries)
	}
}

func checkLeft(t *testing.T, plan *copy.Plan, want []ocispec.Descriptor) {
	t.Helper()
	for _, d := range want {
		i := slices.IndexFunc(plan.Left, func(e copy.Entry) bool { return e.Digest == d.Digest })
		if i < 0 {
			t.Errorf("%s is not named as left behind", d.Digest)
		} else if plan.Left[i].Reason == "" {
			t.Errorf("%s is left behind without a reason", d.Digest)
		}
	}
	if len(plan.Left) != len(want) {
		t.Errorf("%d descriptors left behind, want %d: %+v", len(plan.Left), len(want), plan.Left)
	}
}

// checkEntries decodes the list that the plan writes and counts its entries.
func checkEntries(t *testing.T, plan *copy.Plan, want int) {
	t.Helper()
	i := slices.IndexFunc(plan.Ops, func(op copy.Op) bool { return op.Node.Desc.Digest == plan.Root.Digest })
	doc, err := image.Decode(plan.Ops[i].Data, image.Declared{Descriptor: plan.Root.MediaType}, image.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := image.VerifyBytes(plan.Ops[i].Data, plan.Root); err != nil {
		t.Error(err)
	}
	if got := len(doc.Edges()); got != want {
		t.Errorf("%d entries in the list, want %d", got, want)
	}
}

// everything are the list and its entries.
func (s *sample) everything() []ocispec.Descriptor {
	return []ocispec.Descriptor{s.root, s.amd64, s.arm64, s.armv7, s.windows, s.attested[0], s.attested[1]}
}

// hostImage is an image for the host; it is made anew each time, with the same
// digest.
func (s *sample) hostImage() ocispec.Descriptor {
	return s.Image(testimage.Image{Platform: platform.Host(), Name: "host"})
}

// TestSelectionOfSingleImage shows that what is selected is ignored for an image
// that is not a list, but not silently.
func TestSelectionOfSingleImage(t *testing.T) {
	t.Parallel()
	other := digest.FromString("other")
	for name, tt := range map[string]struct {
		selection copy.Selection
		notes     []string
	}{
		"its platform":      {copy.Selection{Mode: copy.One, Platforms: []ocispec.Platform{linux("arm64", "")}}, nil},
		"another platform":  {copy.Selection{Mode: copy.One, Platforms: []ocispec.Platform{linux("amd64", "")}}, []string{"for linux/arm64/v8: linux/amd64 could not"}},
		"several platforms": {some(copy.Keep, linux("arm64", ""), linux("s390x", ""), linux("amd64", "")), []string{"linux/s390x could not", "linux/amd64 could not"}},
		"its digest and another one": {
			copy.Selection{Mode: copy.Some, Instances: []digest.Digest{newSample().arm64.Digest, other}}, []string{other.String() + " could not"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := newSample()
			src.root = src.arm64
			src.root.Platform = nil
			rec := mustCopy(t, &place{}, src, copy.Options{Selection: tt.selection})
			if len(rec.Notes) != len(tt.notes) {
				t.Fatalf("notes %q, want %q", rec.Notes, tt.notes)
			}
			for i, want := range tt.notes {
				if !strings.Contains(rec.Notes[i], want) {
					t.Errorf("note %q, want %q", rec.Notes[i], want)
				}
			}
		})
	}
}

func TestOptionsThatContradict(t *testing.T) {
	t.Parallel()
	amd64 := linux("amd64", "")
	for name, opts := range map[string]copy.Options{
		"an unknown mode":                {Selection: copy.Selection{Mode: 17}},
		"one of two platforms":           {Selection: copy.Selection{Mode: copy.One, Platforms: []ocispec.Platform{amd64, amd64}}},
		"some of nothing":                {Selection: copy.Selection{Mode: copy.Some}},
		"all and a platform":             {Selection: copy.Selection{Mode: copy.All, Platforms: []ocispec.Platform{amd64}}},
		"one and an instance":            {Selection: copy.Selection{Mode: copy.One, Instances: []digest.Digest{digest.FromString("")}}},
		"a list alone, stripped":         {Selection: copy.Selection{Mode: copy.IndexOnly, Absent: copy.Strip}},
		"an unknown format":              {Format: "v2s1"},
		"less than no workers":           {Parallel: -1},
		"an instance that is no digest":  {Selection: copy.Selection{Mode: copy.Some, Instances: []digest.Digest{"sha256:../x"}}},
		"an instance of an unknown kind": {Selection: copy.Selection{Mode: copy.Some, Instances: []digest.Digest{"sha256:" + digest.Digest(strings.Repeat("A", 64))}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := copy.Image(t.Context(), &place{}, newSample(), opts); !errdefs.IsInvalidArgument(err) {
				t.Errorf("error %v, want an invalid argument", err)
			}
		})
	}
}
