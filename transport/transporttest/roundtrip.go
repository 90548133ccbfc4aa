package transporttest

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
)

// large is a size that a place would rather not hold in memory.
const large = 1100 << 10

// sample is an image that a place holds unless one of the reasons is given.
type sample struct {
	cannot []string
	alg    digest.Algorithm
	make   func(s *testimage.Store) ocispec.Descriptor
}

func (f Factory) samples() map[string]sample {
	index := func(s *testimage.Store) ocispec.Descriptor {
		a := s.Image(testimage.Image{Platform: amd64()})
		b := s.Image(testimage.Image{Platform: arm64(), LayerSize: large})
		return s.Index(a, b, s.Attestation(a))
	}
	c := f.Cannot
	return map[string]sample{
		"image": {nil, digest.SHA256, func(s *testimage.Store) ocispec.Descriptor {
			return s.Image(testimage.Image{Platform: amd64(), Layers: 2})
		}},
		"Docker image": {[]string{c.Docker}, digest.SHA256, func(s *testimage.Store) ocispec.Descriptor {
			return s.Image(testimage.Image{Platform: amd64(), Family: testimage.Docker})
		}},
		"index":         {[]string{c.Lists}, digest.SHA256, index},
		"sha512 index":  {[]string{c.Lists, c.SHA512}, digest.SHA512, index},
		"sha384 index":  {[]string{c.Lists, c.SHA384}, digest.SHA384, index},
		"empty index":   {[]string{c.Lists}, digest.SHA256, func(s *testimage.Store) ocispec.Descriptor { return s.Index() }},
		"Docker list":   {[]string{c.Lists, c.Docker}, digest.SHA256, dockerList},
		"nested index":  {[]string{c.Lists}, digest.SHA256, func(s *testimage.Store) ocispec.Descriptor { return s.Index(index(s)) }},
		"artifact":      {[]string{c.Artifacts}, digest.SHA256, artifact},
		"opaque entry":  {[]string{c.Lists, c.Artifacts, c.Opaque}, digest.SHA256, opaque},
		"empty content": {[]string{c.Artifacts}, digest.SHA256, empty},
	}
}

func dockerList(s *testimage.Store) ocispec.Descriptor {
	return s.List(
		s.Image(testimage.Image{Platform: amd64(), Family: testimage.Docker}),
		s.Image(testimage.Image{Platform: arm64(), Family: testimage.Docker}),
	)
}

func artifact(s *testimage.Store) ocispec.Descriptor {
	return s.JSON(ocispec.MediaTypeImageManifest, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "artifactType": "application/x.test",
		"config": s.Put(ocispec.MediaTypeEmptyJSON, []byte("{}")),
		// The same content twice, and as config and layer, is valid.
		"layers": []ocispec.Descriptor{s.Put("text/plain", []byte("{}")), s.Put("text/plain", []byte("x")), s.Put("text/plain", []byte("x"))},
	})
}

func opaque(s *testimage.Store) ocispec.Descriptor {
	return s.Index(s.Image(testimage.Image{Platform: amd64()}), s.Put("application/x.test+json", []byte(`{"layers":[{"digest":"../../x"}]}`)))
}

func empty(s *testimage.Store) ocispec.Descriptor {
	return s.JSON(ocispec.MediaTypeImageManifest, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "artifactType": "application/x.test",
		"config": s.Put(ocispec.MediaTypeEmptyJSON, []byte("{}")),
		"layers": []ocispec.Descriptor{s.Put("text/plain", []byte{})},
	})
}

// roundTrip checks that what was put comes back byte for byte.
func (f Factory) roundTrip(t *testing.T) {
	for name, sample := range f.samples() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, reason := range sample.cannot {
				skipIf(t, reason)
			}
			place := f.New(t)
			store := &source{Store: &testimage.Store{Algorithm: sample.alg}}
			root := sample.make(store.Store)
			store.write(t, place, root)

			src := openSource(t, place)
			got, err := src.Root(t.Context())
			if err != nil {
				t.Fatal("Root:", err)
			}
			if got.Digest != root.Digest || got.MediaType != root.MediaType || got.Size != root.Size {
				t.Errorf("Root: %s %s of %d bytes; want %s %s of %d", got.MediaType, got.Digest, got.Size, root.MediaType, root.Digest, root.Size)
			}
			store.wantGraph(t, src, root)
		})
	}
}

// parts checks opening at an offset, and without knowing the size.
func (f Factory) parts(t *testing.T) {
	place := f.New(t)
	store := &source{Store: &testimage.Store{}}
	root := store.Image(testimage.Image{Platform: amd64(), LayerSize: 100_000})
	store.write(t, place, root)
	src := openSource(t, place)
	for _, n := range store.nodes(t, root) {
		data := store.Get(n.Desc.Digest)
		size := int64(len(data))
		for _, from := range []int64{0, 1, size / 2, size - 1, size} {
			for _, known := range []int64{size, -1} {
				desc := n.Desc
				desc.Size = known
				got, err := readAll(t.Context(), src, desc, from)
				if err != nil || !bytes.Equal(got, data[from:]) {
					t.Errorf("%s from %d of %d: %d bytes, %v", n.Role, from, known, len(got), err)
				}
			}
		}
		if _, err := readAll(t.Context(), src, n.Desc, -1); err == nil {
			t.Errorf("%s from -1: no error", n.Role)
		}
	}
	nowhere := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.FromString("not there"), Size: 9}
	if _, err := readAll(t.Context(), src, nowhere, 0); !errdefs.IsNotFound(err) {
		t.Errorf("Open of what is not there: %v", err)
	}
}

// putAgain checks that a second Put of a node changes nothing.
func (f Factory) putAgain(t *testing.T) {
	place := f.New(t)
	store := &source{Store: &testimage.Store{}}
	root := store.Image(testimage.Image{Platform: amd64(), LayerSize: large})
	d := openDestination(t, place)
	store.put(t, d, root)
	store.put(t, d, root)
	Commit(t, d, transport.Naming{Desc: root})
	store.wantGraph(t, openSource(t, place), root)
}

// putPresent checks what a new destination says of what an old one has put. That a
// part is absent may mean that asking would cost as much as sending, but not so for
// the root.
func (f Factory) putPresent(t *testing.T) {
	place := f.New(t)
	store := &source{Store: &testimage.Store{}}
	root := store.Image(testimage.Image{Platform: amd64()})
	d := openDestination(t, place)
	presence, ok := d.(transport.Presence)
	if !ok {
		t.Skip("the destination is no transport.Presence")
	}
	for _, n := range store.nodes(t, root) {
		if have, err := presence.Has(t.Context(), n); have != transport.Absent || err != nil {
			t.Errorf("Has of %s before Put: %v, %v", n.Role, have, err)
		}
	}
	store.write(t, place, root)

	d = openDestination(t, place)
	for _, n := range store.nodes(t, root) {
		have, err := d.(transport.Presence).Has(t.Context(), n)
		if err != nil || (have == transport.Absent && n.Parent == "") {
			t.Errorf("Has of %s: %v, %v", n.Role, have, err)
		}
		if have == transport.Absent {
			continue
		}
		out, err := d.Put(t.Context(), n, func(context.Context, int64) (io.ReadCloser, error) {
			t.Errorf("%s was opened though it is there", n.Role)
			return store.count(bytes.NewReader(store.Get(n.Desc.Digest))), nil
		})
		if out.Action != transport.Reused || err != nil {
			t.Errorf("Put of %s that is there: %v, %v", n.Role, out.Action, err)
		}
	}
	absent := transport.Node{Desc: store.Store.Put(ocispec.MediaTypeImageLayerGzip, []byte("not there"))}
	if have, err := d.(transport.Presence).Has(t.Context(), absent); have != transport.Absent || err != nil {
		t.Errorf("Has of what is not there: %v, %v", have, err)
	}
}
