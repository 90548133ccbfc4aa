package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testarchive"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/transporttest"
)

func openDestination(tb testing.TB, details string) *Destination {
	tb.Helper()
	ref, err := ParseDocker(details)
	if err != nil {
		tb.Fatal(err)
	}
	d, err := OpenDestination(tb.Context(), ref, Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { transporttest.Close(tb, d) })
	return d
}

// entriesOf returns the names in a directory.
func entriesOf(tb testing.TB, dir string) []string {
	tb.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestWhatIsThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	tarred := testarchive.Archive{{Name: "a", Data: "old"}}.Pack(t)
	writeFile(t, path("empty"), nil)
	writeFile(t, path("tar"), tarred)
	writeFile(t, path("gz"), testarchive.Gzip(t, []byte("old")))
	writeFile(t, path("notes.txt"), []byte(strings.Repeat("important ", 100)))
	writeFile(t, path("short"), []byte("x"))
	if err := os.Symlink("tar", path("link")); err != nil {
		t.Skip("no symbolic links:", err)
	}
	if err := os.Symlink("nothing", path("dangling")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{
		"new": nil, "empty": nil, "tar": nil, "gz": nil, "link": nil, "dangling": errdefs.ErrFailedPrecondition,
		"notes.txt": errdefs.ErrFailedPrecondition, "short": errdefs.ErrFailedPrecondition, ".": errdefs.ErrFailedPrecondition,
		"no/parent": errdefs.ErrFailedPrecondition,
	} {
		for _, kind := range []Kind{Docker, OCI} {
			d, err := OpenDestination(t.Context(), Reference{Kind: kind, Path: path(name)}, Options{})
			if !isKind(err, want) {
				t.Errorf("%s to %s: %v; want %v", kind, name, err, want)
			}
			if err == nil {
				transporttest.Close(t, d)
			}
		}
	}
	if _, err := OpenDestination(t.Context(), Reference{Path: path("new")}.At(0), Options{}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("a position: %v", err)
	}
	s := &testimage.Store{}
	root := s.Image(testimage.Image{Platform: linux("amd64")})
	d := openDestination(t, path("link"))
	put(t, d, s, root)
	if got := readFile(t, path("tar")); !bytes.Equal(got, tarred) {
		t.Error("the old archive changed before Commit")
	}
	transporttest.Commit(t, d, transport.Naming{Desc: root})
	if target, err := os.Readlink(path("link")); err != nil || target != "tar" {
		t.Errorf("the link became %q, %v", target, err)
	}
	graph(t, imagesOf(t, mustRead(t, readFile(t, path("tar")), Docker))[0].Source())
}

func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	root := s.Image(testimage.Image{Platform: linux("amd64"), LayerSize: 3 << 20})
	for name, end := range map[string]func(t *testing.T, d *Destination){
		"closed":                  func(*testing.T, *Destination) {},
		"committed without names": func(t *testing.T, d *Destination) { transporttest.Commit(t, d) }, //nolint:thelper // it is the test
		"committed too late": func(t *testing.T, d *Destination) { //nolint:thelper // likewise
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := d.Commit(ctx, []transport.Naming{{Desc: root}}); !errors.Is(err, context.Canceled) {
				t.Errorf("Commit: %v", err)
			}
		},
		"committed wrongly": func(t *testing.T, d *Destination) { //nolint:thelper // likewise
			if _, err := d.Commit(t.Context(), []transport.Naming{{Desc: s.Index()}}); !errdefs.IsFailedPrecondition(err) {
				t.Errorf("Commit: %v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			d := openDestination(t, filepath.Join(dir, "a.tar"))
			put(t, d, s, root)
			end(t, d)
			transporttest.Close(t, d)
			if left := entriesOf(t, dir); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// TestBadBlobsAreTakenBack puts blobs that are not right between others: the archive is the
// same as without them.
func TestBadBlobsAreTakenBack(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	root := s.Image(testimage.Image{Platform: linux("amd64"), LayerSize: 3 << 20})
	large := bytes.Repeat([]byte("Dhow"), 1<<20)
	right := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(large), Size: int64(len(large))}
	sha512 := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.SHA512.FromBytes(large), Size: int64(len(large))}
	broken := errors.New("the cable was cut")
	var archives [2][]byte
	for i := range archives {
		path := filepath.Join(t.TempDir(), "a.tar")
		d := openDestination(t, path)
		for range i {
			for _, bad := range []struct {
				desc ocispec.Descriptor
				from io.Reader
				kind error
			}{
				{right, bytes.NewReader(append(bytes.Clone(large[1:]), 'x')), errdefs.ErrDataLoss},
				{right, bytes.NewReader(large[1:]), errdefs.ErrDataLoss},
				{right, io.MultiReader(bytes.NewReader(large), strings.NewReader("x")), errdefs.ErrDataLoss},
				{right, io.MultiReader(bytes.NewReader(large), failing{broken}), broken},
				{ocispec.Descriptor{MediaType: right.MediaType, Digest: right.Digest, Size: 1 << 50}, bytes.NewReader(large), errdefs.ErrDataLoss},
			} {
				if _, err := d.Put(t.Context(), transport.Node{Desc: bad.desc, Role: image.RoleLayer}, opens(bad.from)); !errors.Is(err, bad.kind) {
					t.Errorf("Put: %v; want %v", err, bad.kind)
				}
			}
		}
		for _, desc := range []ocispec.Descriptor{right, sha512, right} {
			if _, err := d.Put(t.Context(), transport.Node{Desc: desc, Role: image.RoleLayer}, opens(bytes.NewReader(large))); err != nil {
				t.Fatal(err)
			}
		}
		put(t, d, s, root)
		transporttest.Commit(t, d, transport.Naming{Desc: root})
		archives[i] = readFile(t, path)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Errorf("%d bytes, and without bad blobs %d", len(archives[1]), len(archives[0]))
	}
	unpackAll(t, archives[1])
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// opens returns the opener of a reader, which is used once.
func opens(r io.Reader) transport.Opener {
	return func(context.Context, int64) (io.ReadCloser, error) { return io.NopCloser(r), nil }
}

// TestSizeThatIsNotKnown puts blobs of which only the digest is known.
func TestSizeThatIsNotKnown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, err := OpenDestination(t.Context(), Reference{Path: filepath.Join(dir, "a.tar")}, Options{TempDir: dir, MaxStaged: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer transporttest.Close(t, d)
	s := &testimage.Store{}
	root := s.Image(testimage.Image{Platform: linux("amd64"), LayerSize: 3 << 20})
	m := manifestIn(t, s, root)
	for _, desc := range append(m.Layers(), m.Config()) {
		unsized := desc
		unsized.Size = -1
		role := image.RoleLayer
		if desc.Digest == m.Config().Digest {
			role = image.RoleConfig
		}
		if out, err := d.Put(t.Context(), transport.Node{Desc: unsized, Role: role}, s.Opener(desc)); err != nil || out.Action != transport.Copied {
			t.Fatalf("Put: %+v, %v", out, err)
		}
		wrong := desc
		wrong.Size++
		if _, err := d.Put(t.Context(), transport.Node{Desc: wrong, Role: role}, s.Opener(desc)); !errdefs.IsDataLoss(err) {
			t.Errorf("Put of another size of what is there: %v", err)
		}
	}
	tooMany := ocispec.Descriptor{Digest: digest.FromString("x"), Size: -1, MediaType: ocispec.MediaTypeImageLayer}
	if _, err := d.Put(t.Context(), transport.Node{Desc: tooMany, Role: image.RoleLayer}, opens(bytes.NewReader(make([]byte, 5<<20)))); !errdefs.IsResourceExhausted(err) {
		t.Errorf("Put of more than may be staged: %v", err)
	}
	put(t, d, s, root)
	transporttest.Commit(t, d, transport.Naming{Desc: root})
	graph(t, imagesOf(t, mustRead(t, readFile(t, filepath.Join(dir, "a.tar")), Docker))[0].Source())
	transporttest.Close(t, d)
	if left := entriesOf(t, dir); len(left) != 1 {
		t.Errorf("left behind: %q", left)
	}
}

// TestCommitAgain finishes an archive, puts more, and finishes it again: who has opened the
// first one goes on to read that.
func TestCommitAgain(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	one := s.Image(testimage.Image{Platform: linux("amd64"), LayerSize: 2 << 20})
	two := s.Image(testimage.Image{Platform: linux("arm64"), LayerSize: 2 << 20})
	dir := t.TempDir()
	path := filepath.Join(dir, "a.tar")
	d := openDestination(t, path)
	put(t, d, s, one)
	transporttest.Commit(t, d, transport.Naming{Desc: one})
	first := readFile(t, path)
	r, err := Open(t.Context(), path, Docker, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer transporttest.Close(t, r)
	transporttest.Commit(t, d, transport.Naming{Desc: one})
	if !bytes.Equal(readFile(t, path), first) {
		t.Error("a Commit that changes nothing changed the archive")
	}
	put(t, d, s, two)
	if !bytes.Equal(readFile(t, path), first) {
		t.Error("a Put after Commit changed the archive")
	}
	transporttest.Commit(t, d, transport.Naming{Desc: two, Name: "two"})
	graph(t, imagesOf(t, r)[0].Source())
	images := imagesOf(t, mustRead(t, readFile(t, path), Docker))
	if len(images) != 2 {
		t.Fatalf("images: %+v", images)
	}
	for _, im := range images {
		graph(t, im.Source())
	}
	if headers, _ := unpackAll(t, readFile(t, path)); len(blobsOf(headers)) != 6 {
		t.Errorf("%d blobs, want 6", len(blobsOf(headers)))
	}

	writeFile(t, path, testarchive.Archive{{Name: "a"}}.Pack(t))
	if _, err := d.Commit(t.Context(), []transport.Naming{{Desc: two, Name: "three"}}); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("Commit after the file was overwritten: %v", err)
	}
}
