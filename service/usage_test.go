package service_test

import (
	"io/fs"
	"math"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// TestDiskUsage has a bit of everything on the disk, and adds it up.
func TestDiskUsage(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "store")
	s, err := embedded.Open(ctx, dir, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	f := &fixture{service.New(s, amd64), s, &testimage.Store{}}
	amd := f.src.Image(testimage.Image{Platform: *amd64.Host, Layers: 2, LayerSize: 200_000, Name: "shared"})
	arm := f.src.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "arm64"}, LayerSize: 300, Name: "small"})
	gone := f.src.Image(testimage.Image{Platform: *amd64.Host, LayerSize: 150_000, Name: "gone"})
	old := f.src.Image(testimage.Image{Platform: *amd64.Host, LayerSize: 120_000, Name: "old"})
	f.put(t, f.src.Index(amd, arm), "index:1", "index:2")
	f.put(t, amd, "one:1")
	f.put(t, old)
	f.put(t, gone, "gone:1")
	signature := f.src.Referrer(amd, "application/vnd.example.signature", "signed")
	f.write(t, nil, nodesOf(t, f.src, signature, nil)...)
	move(t, f, store.Move{Name: normalName(t, "gone:1"), Forget: true})
	partial(t, s, strings.Repeat("p", 90_000))

	u, err := f.DiskUsage(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if u.Count != 3 || u.Dangling != 1 {
		t.Errorf("%d images, %d dangling; want 3 and 1", u.Count, u.Dangling)
	}
	needed := f.bytes(t, amd, arm, old, signature) + f.records(t)[normalName(t, "index:1")].Target.Size
	if u.Images.Bytes != needed || u.Unused.Bytes != f.bytes(t, gone) || u.Freeable.Bytes != f.bytes(t, old) {
		t.Errorf("images %+v, freeable %+v, unused %+v; want %d, %d, %d", u.Images, u.Freeable, u.Unused, needed, f.bytes(t, old), f.bytes(t, gone))
	}
	if u.Partial.Bytes < 90_000 || u.Partial.Bytes > 95_000 {
		t.Errorf("partial blobs: %+v", u.Partial)
	}
	if bare, err := service.New(plain{s}, amd64).DiskUsage(ctx); err != nil || bare.Partial != (store.Amount{Count: 1, Bytes: 90_000}) || bare.Total != nil {
		t.Errorf("of a store that does not tell about files: %+v, %v", bare, err)
	}
	sum := u.Images.Bytes + u.Unused.Bytes + u.Partial.Bytes + u.Trash.Bytes + *u.Overhead
	within(t, "the rows", sum, *u.Total)
	within(t, "the total", *u.Total, onDisk(t, dir))
}

// within checks that two sizes differ by 1 % at most.
func within(t *testing.T, what string, got, want int64) {
	t.Helper()
	if math.Abs(float64(got-want)) > float64(want)/100 {
		t.Errorf("%s: %d bytes, on the disk are %d", what, got, want)
	}
}

// bytes adds up what is below manifests, each blob once.
func (f *fixture) bytes(t *testing.T, manifests ...ocispec.Descriptor) int64 {
	t.Helper()
	var sum int64
	seen := map[string]bool{}
	for _, desc := range manifests {
		for _, n := range nodesOf(t, f.src, desc, nil) {
			if !seen[n.Desc.Digest.String()] {
				seen[n.Desc.Digest.String()] = true
				sum += n.Desc.Size
			}
		}
	}
	return sum
}

// partial leaves a blob that is not complete.
func partial(t *testing.T, s *embedded.Store, data string) {
	t.Helper()
	lease, err := s.Lease(t.Context(), store.Lease{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Begin(t.Context(), lease.ID)
	if err != nil {
		t.Fatal(err)
	}
	w, err := b.Writer(t.Context(), "partial")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(data)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []interface{ Close() error }{w, b} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// onDisk adds up the files below a directory.
func onDisk(t *testing.T, dir string) int64 {
	t.Helper()
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// TestDiskUsageOfParts counts what is there of a list of which a part is not.
func TestDiskUsageOfParts(t *testing.T) {
	t.Parallel()
	f := newFixture(t, amd64)
	root := f.index(t, "a", "linux/amd64", "linux/arm64")
	all := f.children(t, root)
	f.putPart(t, root, func(n *image.Node) bool { return n.Desc.Digest == all[1].Digest }, "a")
	u, err := f.DiskUsage(t.Context())
	if want := root.Size + f.bytes(t, all[0]); err != nil || u.Images.Bytes != want || u.Unused.Count != 0 {
		t.Errorf("%+v, %v; want %d bytes", u, err, want)
	}
}
