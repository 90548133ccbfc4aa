package store_test

import (
	"errors"
	"io"
	"os"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/service"
	local "github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/transport/oci"
	"github.com/dhowhq/dhow/transport/store"
	"github.com/dhowhq/dhow/transport/transporttest"
)

// TestRoot checks what references mean.
func TestRoot(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	src := &testimage.Store{}
	amd, absent := src.Image(testimage.Image{Platform: platform("amd64")}), src.Image(testimage.Image{Platform: platform("arm64")})
	root, other := src.Index(amd, absent), src.Image(testimage.Image{Platform: platform("amd64"), Name: "other"})
	config := nodes(t, src, amd)[1].Desc
	src.Delete(absent.Digest)
	write(t, s, src, root, "app:1")
	write(t, s, src, other, "other")
	write(t, s, src, other, "pinned@"+other.Digest.String())
	resolved := service.New(s, service.Options{}).Document
	for details, want := range map[string]digest.Digest{
		"app:1":                                 root.Digest,
		"docker.io/library/app:1":               root.Digest,
		"other":                                 other.Digest,
		root.Digest.String():                    root.Digest,
		root.Digest.Encoded():                   root.Digest,
		amd.Digest.String():                     amd.Digest,
		"app@" + root.Digest.String():           root.Digest,
		"app:unheard@" + root.Digest.String():   root.Digest,
		"app@" + amd.Digest.String():            amd.Digest,
		other.Digest.Encoded()[:12]:             other.Digest,
		"pinned@" + other.Digest.String():       other.Digest,
		config.Digest.String():                  amd.Digest,
		config.Digest.Encoded()[:12]:            amd.Digest,
		"app@" + config.Digest.String():         amd.Digest,
		"app:unheard@" + config.Digest.String(): amd.Digest,
		"app":                                   "",
		"app:2":                                 "",
		"dead":                                  "",
		absent.Digest.String():                  "",
		"other@" + config.Digest.String():       "",
		"app@" + absent.Digest.String():         "",
		"app@" + other.Digest.String():          "",
		"other@" + amd.Digest.String():          "",
		digest.FromString("nothing").String():   "",
		"app@" + digest.FromString("").String(): "",
	} {
		from, err := store.OpenSource(t.Context(), parse(t, details), store.Options{Store: s, Resolve: resolved})
		if err != nil {
			t.Errorf("%s: %v", details, err)
			continue
		}
		got, err := from.Root(t.Context())
		if want == "" && !errdefs.IsNotFound(err) || want != "" && (err != nil || got.Digest != want || got.Size != int64(len(src.Get(want)))) {
			t.Errorf("%s: %s of %d bytes, %v; want %s", details, got.Digest, got.Size, err, want)
		}
		transporttest.Close(t, from)
	}
	for details, want := range map[string]bool{"other": true, "pinned@" + other.Digest.String(): true, other.Digest.String(): false} {
		if _, err := source(t, s, details).Root(t.Context()); (err == nil) != want || !want && !errdefs.IsNotFound(err) {
			t.Errorf("%s without Resolve: %v", details, err)
		}
	}
	if _, err := store.OpenSource(t.Context(), store.Reference{}, store.Options{Store: s}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("no reference: %v", err)
	}
	if _, err := store.OpenSource(t.Context(), parse(t, "app"), store.Options{}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("no store: %v", err)
	}
}

// TestSourceKeeps checks that an image that is being read stays although its name goes.
func TestSourceKeeps(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	src := &testimage.Store{}
	root := src.Index(src.Image(testimage.Image{Platform: platform("amd64")}))
	write(t, s, src, root, "app:1")
	from := source(t, s, "app:1")
	for range 2 {
		if _, err := from.Root(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	forget(t, s, "docker.io/library/app:1")
	for _, n := range nodes(t, src, root) {
		r, err := from.Open(t.Context(), n.Desc, 0)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
			err = errors.Join(err, r.Close())
		}
		if err != nil {
			t.Errorf("%s: %v", n.Role, err)
		}
	}
	transporttest.Close(t, from)
	if _, err := local.Collect(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(t.Context(), root.Digest); !errdefs.IsNotFound(err) {
		t.Errorf("it is still there: %v", err)
	}
}

// TestThroughLayouts copies a sparse image from a layout into the store, and out again.
func TestThroughLayouts(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	src := &testimage.Store{}
	amd, arm := src.Image(testimage.Image{Platform: platform("amd64"), LayerSize: 200 << 10}), src.Image(testimage.Image{Platform: platform("arm64")})
	root := src.Index(amd, arm, src.Attestation(amd))
	dir := t.TempDir()
	if err := src.WriteLayout(dir, testimage.Named{Name: "app", Desc: root}); err != nil {
		t.Fatal(err)
	}
	in, err := oci.OpenSource(t.Context(), oci.Reference{Path: dir, Name: "app"}, oci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer transporttest.Close(t, in)
	some := copy.Options{Selection: copy.Selection{Mode: copy.Some, Platforms: []ocispec.Platform{platform("amd64")}}}
	if _, err := copy.Image(t.Context(), destination(t, s, "app:1"), in, some); err != nil {
		t.Fatal(err)
	}

	out := t.TempDir()
	dst, err := oci.OpenDestination(t.Context(), oci.Reference{Path: out, Name: "app"}, oci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer transporttest.Close(t, dst)
	if _, err := copy.Image(t.Context(), dst, source(t, s, "app:1"), copy.Options{}); !errdefs.IsUnavailable(err) {
		t.Errorf("a whole copy of what is not whole: %v", err)
	}
	r, err := copy.Image(t.Context(), dst, source(t, s, "app:1"), some)
	if err != nil || r.Root.Digest != root.Digest || r.Totals.Descriptors[copy.Copied] != 7 {
		t.Errorf("%v, %v", r, err)
	}
	if entries, err := os.ReadDir(out + "/blobs/sha256"); err != nil || len(entries) != 7 {
		t.Errorf("%d blobs in the layout, %v", len(entries), err)
	}
}
