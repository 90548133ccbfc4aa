package transporttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
)

var errBroken = errors.New("the cable was cut")

// badBytes checks that bytes which do not match their descriptor never show, and
// that the right ones can still be put.
func (f Factory) badBytes(t *testing.T) {
	broken := iotest.ErrReader(errBroken)
	for name, tc := range map[string]struct {
		size int
		role image.Role
		said int64 // what the descriptor's size is more than the right one
		src  func(right []byte) io.Reader
		want error
	}{
		"other bytes":             {300, image.RoleLayer, 0, flipped, errdefs.ErrDataLoss},
		"other bytes, large":      {large, image.RoleLayer, 0, flipped, errdefs.ErrDataLoss},
		"other bytes, manifest":   {300, image.RoleManifest, 0, flipped, errdefs.ErrDataLoss},
		"too few":                 {300, image.RoleConfig, 0, func(b []byte) io.Reader { return bytes.NewReader(b[:299]) }, errdefs.ErrDataLoss},
		"too few, large":          {large, image.RoleLayer, 0, func(b []byte) io.Reader { return bytes.NewReader(b[1:]) }, errdefs.ErrDataLoss},
		"none":                    {300, image.RoleLayer, 0, func([]byte) io.Reader { return bytes.NewReader(nil) }, errdefs.ErrDataLoss},
		"too many":                {300, image.RoleLayer, 0, func(b []byte) io.Reader { return io.MultiReader(bytes.NewReader(b), bytes.NewReader([]byte{0})) }, errdefs.ErrDataLoss},
		"too many, manifest":      {300, image.RoleManifest, 0, func(b []byte) io.Reader { return io.MultiReader(bytes.NewReader(b), bytes.NewReader([]byte{' '})) }, errdefs.ErrDataLoss},
		"no end":                  {300, image.RoleLayer, 0, func(b []byte) io.Reader { return io.MultiReader(bytes.NewReader(b), zeros{}) }, errdefs.ErrDataLoss},
		"no end, large":           {large, image.RoleLayer, 0, func(b []byte) io.Reader { return io.MultiReader(bytes.NewReader(b), zeros{}) }, errdefs.ErrDataLoss},
		"size said is too large":  {300, image.RoleLayer, 1, func(b []byte) io.Reader { return bytes.NewReader(b) }, errdefs.ErrDataLoss},
		"size said is too small":  {300, image.RoleLayer, -1, func(b []byte) io.Reader { return bytes.NewReader(b) }, errdefs.ErrDataLoss},
		"size said is huge":       {300, image.RoleLayer, 1 << 50, func(b []byte) io.Reader { return bytes.NewReader(b) }, errdefs.ErrDataLoss},
		"reader fails":            {300, image.RoleLayer, 0, func(b []byte) io.Reader { return io.MultiReader(bytes.NewReader(b[:100]), broken) }, errBroken},
		"reader fails, large":     {large, image.RoleLayer, 0, func(b []byte) io.Reader { return io.MultiReader(bytes.NewReader(b[:large/2]), broken) }, errBroken},
		"reader fails, manifest":  {300, image.RoleManifest, 0, func(b []byte) io.Reader { return io.MultiReader(bytes.NewReader(b[:100]), broken) }, errBroken},
		"reader fails at the end": {300, image.RoleLayer, 0, func(b []byte) io.Reader { return io.MultiReader(bytes.NewReader(b), broken) }, errBroken},
	} {
		t.Run(name, func(t *testing.T) {
			right := bytes.Repeat([]byte("Dhow"), tc.size/4)
			node := transport.Node{
				Desc: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.FromBytes(right), Size: int64(tc.size) + tc.said},
				Role: tc.role,
			}
			if tc.role == image.RoleManifest {
				node.Desc.MediaType = ocispec.MediaTypeImageManifest
			}
			f.refused(t, node, tc.src(right), tc.want, right)
		})
	}
}

func flipped(right []byte) io.Reader {
	data := slices.Clone(right)
	data[len(data)/2] ^= 1
	return bytes.NewReader(data)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// refused puts bytes that must be refused, and then the right ones.
func (f Factory) refused(t *testing.T, node transport.Node, src io.Reader, want error, right []byte) {
	t.Helper()
	place := f.New(t)
	store := &source{Store: &testimage.Store{}}
	d := openDestination(t, place)
	_, err := d.Put(t.Context(), node, func(context.Context, int64) (io.ReadCloser, error) { return store.count(src), nil })
	full := node.Desc.Size > 1<<40 && errdefs.IsResourceExhausted(err) // a place may look before it writes
	if !errors.Is(err, want) && !full {
		t.Errorf("Put: %v; want %v", err, want)
	}
	store.wantClosed(t)
	if p, ok := d.(transport.Presence); ok {
		if have, err := p.Has(t.Context(), node); have != transport.Absent || err != nil {
			t.Errorf("Has after a refused Put: %v, %v", have, err)
		}
	}
	Commit(t, d)
	if err := d.Close(); err != nil {
		t.Error("Close:", err)
	}
	for path, size := range files(t, place.Files) {
		if size >= int64(len(right))-1 {
			t.Errorf("%s of %d bytes was left behind", path, size)
		}
	}
	if node.Role == image.RoleManifest {
		return // what is right is no manifest
	}
	d = openDestination(t, place)
	node.Desc.Size = int64(len(right))
	if _, err := d.Put(t.Context(), node, func(_ context.Context, from int64) (io.ReadCloser, error) {
		return store.count(bytes.NewReader(right[from:])), nil
	}); err != nil {
		t.Error("Put of the right bytes:", err)
	}
	store.wantClosed(t)
}

// openerFails checks that the error of an opener comes back with its kind.
func (f Factory) openerFails(t *testing.T) {
	d := openDestination(t, f.New(t))
	node := transport.Node{
		Desc: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.FromString("x"), Size: 1},
		Role: image.RoleLayer,
	}
	for _, want := range []error{errdefs.ErrNotFound, errBroken} {
		_, err := d.Put(t.Context(), node, func(context.Context, int64) (io.ReadCloser, error) { return nil, want })
		if !errors.Is(err, want) {
			t.Errorf("Put: %v; want %v", err, want)
		}
	}
}

// hostileDigests checks that a digest which is not valid touches nothing.
func (f Factory) hostileDigests(t *testing.T) {
	place := f.New(t)
	store := &source{Store: &testimage.Store{}}
	root := store.Image(testimage.Image{Platform: amd64()})
	store.write(t, place, root)
	before := files(t, place.Files)
	src, d := openSource(t, place), openDestination(t, place)
	hex := digest.FromString("x").Encoded()
	for _, hostile := range []string{
		"", "sha256", "sha256:", ":", ":" + hex, hex, "sha256:" + hex[1:], "sha256:" + hex + "0",
		"sha256:" + hex[2:] + "..", "sha256:../../x", "sha256:/etc/passwd", "../sha256:" + hex, "sha256/../../x:" + hex,
		"sha256:" + hex[1:] + "\x00", "sha256:" + hex[1:] + "\n", "sha256:" + hex[3:] + "%2f", "sha256:%s%s%n",
		"SHA256:" + hex, "sha256:" + hex[1:] + "A", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha512:" + hex,
	} {
		node := transport.Node{
			Desc: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.Digest(hostile), Size: 1},
			Role: image.RoleLayer,
		}
		bad := func(err error) bool { return !errdefs.IsInvalidArgument(err) && !errdefs.IsNotImplemented(err) }
		if _, err := src.Open(t.Context(), node.Desc, 0); bad(err) {
			t.Errorf("Open of %q: %v", hostile, err)
		}
		if _, err := d.Put(t.Context(), node, func(context.Context, int64) (io.ReadCloser, error) {
			return store.count(bytes.NewReader([]byte("x"))), nil
		}); bad(err) {
			t.Errorf("Put of %q: %v", hostile, err)
		}
		if p, ok := d.(transport.Presence); ok {
			if _, err := p.Has(t.Context(), node); bad(err) {
				t.Errorf("Has of %q: %v", hostile, err)
			}
		}
	}
	store.wantClosed(t)
	if after := files(t, place.Files); !maps.Equal(before, after) {
		t.Errorf("files before: %v; after: %v", before, after)
	}
}
