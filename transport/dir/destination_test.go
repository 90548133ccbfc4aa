package dir

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/transporttest"
)

const refusal = "not a containers image directory, don't want to overwrite important data"

func TestOpenDestination(t *testing.T) {
	t.Parallel()
	version := func(content string) map[string]string {
		return map[string]string{"version": content, "manifest.json": "{}"}
	}
	for _, tt := range []struct {
		name  string
		files map[string]string // nil: the directory is not there
		word  string            // empty: it is opened
	}{
		{"absent", nil, ""},
		{"empty", map[string]string{}, ""},
		{"left before the version was written", map[string]string{".dhow-ingest/x/lock": "", lockName: ""}, ""},
		{"an image", version("Directory Transport Version: 1.1\n"), ""},
		{"an image of version 1.2", version("Directory Transport Version: 1.2\n"), ""},
		{"an image without version", map[string]string{"manifest.json": "{}"}, refusal},
		{"a user's files", map[string]string{"notes.txt": "important"}, refusal},
		{"a user's hidden file", map[string]string{".notes": "important"}, refusal},
		{"a user's directory", map[string]string{"photos/1": "important"}, refusal},
		{"a version of something else", version("3\n"), refusal},
		{"an empty version", version(""), refusal},
		{"a newer version", version("Directory Transport Version: 1.3\n"), refusal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			parent := t.TempDir()
			dir := filepath.Join(parent, "image")
			if tt.files != nil {
				makeFiles(t, dir, tt.files)
			}
			before := snapshot(t, parent)
			d, err := OpenDestination(t.Context(), reference(t, dir), Options{})
			switch {
			case tt.word != "":
				wantError(t, err, errdefs.ErrFailedPrecondition, tt.word, dir)
			case err != nil:
				t.Error(err)
			default:
				transporttest.Close(t, d)
			}
			wantSame(t, "files", snapshot(t, parent), before, compareFiles)
		})
	}
}

func makeFiles(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, []byte(content))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestOpenDestinationNowhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "file"), nil)
	for _, path := range []string{"none/image", "file", "file/image"} {
		_, err := OpenDestination(t.Context(), reference(t, filepath.Join(dir, path)), Options{})
		if err == nil {
			t.Errorf("%s was opened", path)
		} else if path != "file/image" {
			wantError(t, err, errdefs.ErrFailedPrecondition, path)
		}
	}
}

// What a user puts into an empty directory after it was opened is safe too.
func TestPutLooksAgain(t *testing.T) {
	t.Parallel()
	dir, s := t.TempDir(), &testimage.Store{}
	blob := s.Put("application/octet-stream", []byte("blob"))
	d := openDestination(t, dir)
	writeFile(t, filepath.Join(dir, "notes.txt"), []byte("important"))
	_, err := d.Put(t.Context(), transport.Node{Desc: blob}, s.Opener(blob))
	wantError(t, err, errdefs.ErrFailedPrecondition, refusal)
	wantSame(t, "files", contents(t, dir), map[string]string{"notes.txt": "important"})
}

// What is written is what the format's documentation says, file by file.
func TestWriteWhatOthersRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, version string
		alg           digest.Algorithm
		family        testimage.Family
	}{
		{"OCI", "1.1", digest.SHA256, testimage.OCI},
		{"Docker", "1.1", digest.SHA256, testimage.Docker},
		{"sha384", "1.2", digest.SHA384, testimage.OCI},
		{"sha512", "1.2", digest.SHA512, testimage.OCI},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &testimage.Store{Algorithm: tt.alg}
			root, a, b := twoPlatforms(s, tt.family)
			want := fixture(t, t.TempDir(), tt.version, s, root, a, b)
			if tt.alg != digest.SHA256 {
				want[prefixOf(root.Digest)+".manifest.json"] = want["manifest.json"]
			}
			want["signature-1"], want["signature-2"] = "root one", "root two"
			want[prefixOf(b.Digest)+".signature-1"] = "b one"

			dir := filepath.Join(t.TempDir(), "image")
			writeImage(t, dir, s, root, map[digest.Digest][]transport.Signature{
				root.Digest: {[]byte("root one"), []byte("root two")}, b.Digest: {[]byte("b one")}, a.Digest: {},
			})
			wantSame(t, "files", contents(t, dir), want)
			src := openSource(t, dir)
			got, err := src.Root(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			wantSame(t, "root", got, ocispec.Descriptor{MediaType: root.MediaType, Digest: root.Digest, Size: root.Size})
			checkGraph(t, src, s, root)
			info, err := os.Stat(dir)
			if err != nil || info.Mode().Perm()&^0o755 != 0 || info.Mode().Perm()&0o700 != 0o700 {
				t.Errorf("mode of the directory is %v, %v", info.Mode(), err)
			}
		})
	}
}

// A second run writes nothing at all; also none over what another tool wrote.
func TestSecondRun(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	a, b := s.Image(testimage.Image{Platform: platform("linux", "amd64")}), s.Image(testimage.Image{Platform: platform("linux", "arm64")})
	root := s.Index(a, b)
	sigs := map[digest.Digest][]transport.Signature{root.Digest: {[]byte("1"), []byte("2")}, a.Digest: {[]byte("a")}}
	own, others := filepath.Join(t.TempDir(), "own"), t.TempDir()
	writeImage(t, own, s, root, sigs)
	fixture(t, others, "1.1", s, root, a, b)
	for m, set := range sigs {
		for i, sig := range set {
			name := signatureName(m, i+1)
			if m == root.Digest {
				name = signatureName("", i+1)
			}
			writeFile(t, filepath.Join(others, name), sig)
		}
	}
	for name, dir := range map[string]string{"own": own, "others'": others} {
		before := snapshot(t, dir)
		d := openDestination(t, dir)
		for what, did := range put(t, d, s, root) {
			if did != transport.Reused {
				t.Errorf("%s: %s was %s", name, what, did)
			}
		}
		for m, set := range sigs {
			if err := d.PutSignatures(t.Context(), m, set); err != nil {
				t.Fatal(err)
			}
		}
		transporttest.Commit(t, d, transport.Naming{Desc: root})
		transporttest.Commit(t, d, transport.Naming{Desc: root})
		transporttest.Close(t, d)
		wantSame(t, name+" files", snapshot(t, dir), before, compareFiles)
	}
}

func TestPutErrors(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	data := []byte("0123456789")
	desc := s.Put("application/octet-stream", data)
	im := s.Image(testimage.Image{Platform: platform("linux", "amd64")})
	with := func(d ocispec.Descriptor, change func(*ocispec.Descriptor)) ocispec.Descriptor {
		change(&d)
		return d
	}
	boom := errors.New("the source broke")
	for _, tt := range []struct {
		name  string
		desc  ocispec.Descriptor
		bytes string
		fail  error
		kind  error
	}{
		{"B01 too short", desc, "012345678", nil, errdefs.ErrDataLoss},
		{"B02 too long", desc, "0123456789x", nil, errdefs.ErrDataLoss},
		{"B02 without end", desc, "", nil, errdefs.ErrDataLoss},
		{"B03 other bytes", desc, "012345678x", nil, errdefs.ErrDataLoss},
		{"B03 other bytes, size not known", with(desc, func(d *ocispec.Descriptor) { d.Size = -1 }), "012345678x", nil, errdefs.ErrDataLoss},
		{"B04 the size lies", with(desc, func(d *ocispec.Descriptor) { d.Size = 9 }), string(data), nil, errdefs.ErrDataLoss},
		{"B07 negative size", with(desc, func(d *ocispec.Descriptor) { d.Size = -2 }), string(data), nil, errdefs.ErrInvalidArgument},
		{"B08 1 PiB", with(desc, func(d *ocispec.Descriptor) { d.Size = 1 << 50 }), string(data), nil, errdefs.ErrDataLoss},
		{"manifest, other bytes", im, "{}", nil, errdefs.ErrDataLoss},
		{"manifest without end", im, "", nil, errdefs.ErrDataLoss},
		{"manifest without end, size not known", with(im, func(d *ocispec.Descriptor) { d.Size = -1 }), "", nil, errdefs.ErrResourceExhausted},
		{"B23 manifest of 5 MiB", with(im, func(d *ocispec.Descriptor) { d.Size = 5 << 20 }), "", nil, errdefs.ErrResourceExhausted},
		{"the source breaks", desc, "01234", boom, boom},
		{"the source breaks in a manifest", im, "{", boom, boom},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "image")
			d := openDestination(t, dir)
			opened, closed := false, false
			_, err := d.Put(t.Context(), transport.Node{Desc: tt.desc}, func(context.Context, int64) (io.ReadCloser, error) {
				opened = true
				return &brokenReader{data: strings.NewReader(tt.bytes), endless: tt.bytes == "", err: tt.fail, closed: &closed}, nil
			})
			wantError(t, err, tt.kind, tt.desc.Digest.String(), dir)
			if opened && !closed {
				t.Error("the reader was not closed")
			}
			transporttest.Commit(t, d)
			transporttest.Close(t, d)
			for name := range contents(t, filepath.Dir(dir)) {
				if strings.Contains(name, tt.desc.Digest.Encoded()) || strings.Contains(name, "manifest.json") {
					t.Errorf("%s was left behind", name)
				}
			}
		})
	}
}

// brokenReader reads data and then zeros without end, or fails, or ends.
type brokenReader struct {
	data    *strings.Reader
	endless bool
	err     error
	closed  *bool
}

func (r *brokenReader) Read(p []byte) (int, error) {
	n, err := r.data.Read(p)
	switch {
	case err == nil:
		return n, nil
	case r.err != nil:
		return 0, r.err
	case r.endless:
		return len(p), nil
	}
	return 0, io.EOF
}

func (r *brokenReader) Close() error {
	*r.closed = true
	return nil
}

func TestEmptyBlob(t *testing.T) {
	t.Parallel()
	dir, s := t.TempDir(), &testimage.Store{}
	desc := s.Put("application/octet-stream", []byte{})
	d := openDestination(t, dir)
	if _, err := d.Put(t.Context(), transport.Node{Desc: desc}, s.Opener(desc)); err != nil {
		t.Fatal("B05", err)
	}
	transporttest.Commit(t, d)
	if _, ok := contents(t, dir)[desc.Digest.Encoded()]; !ok {
		t.Error("B05: the empty blob is not there")
	}
}

// A layer whose type is that of a manifest is a blob, and may even be a manifest
// of the same image.
func TestLayerOfManifestType(t *testing.T) {
	t.Parallel()
	dir, s := t.TempDir(), &testimage.Store{}
	im := s.Image(testimage.Image{Platform: platform("linux", "amd64")})
	d := openDestination(t, dir)
	for _, role := range []image.Role{image.RoleLayer, image.RoleManifest} {
		if _, err := d.Put(t.Context(), transport.Node{Desc: im, Role: role}, s.Opener(im)); err != nil {
			t.Fatal(err)
		}
	}
	transporttest.Commit(t, d)
	got := contents(t, dir)
	for _, name := range []string{im.Digest.Encoded(), im.Digest.Encoded() + ".manifest.json"} {
		if got[name] != string(s.Get(im.Digest)) {
			t.Errorf("%s holds %q", name, got[name])
		}
	}
}

func TestNamed(t *testing.T) {
	t.Parallel()
	dir, s := filepath.Join(t.TempDir(), "image"), &testimage.Store{}
	root := s.Image(testimage.Image{Platform: platform("linux", "amd64")})
	d := openDestination(t, dir)
	wantNone := func(name string) {
		t.Helper()
		_, err := d.Named(t.Context(), name)
		wantError(t, err, errdefs.ErrNotFound, dir)
	}
	wantNone("")
	put(t, d, s, root)
	wantNone("")
	transporttest.Commit(t, d, transport.Naming{Desc: root})
	got, err := d.Named(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, "name", got, ocispec.Descriptor{MediaType: root.MediaType, Digest: root.Digest, Size: root.Size})
	wantNone("latest")
	for _, broken := range []string{"", "<html>", strings.Repeat(" ", 4<<20+1)} {
		writeFile(t, filepath.Join(dir, "manifest.json"), []byte(broken))
		wantNone("")
	}
}

func TestDestinationObeysTheContext(t *testing.T) {
	t.Parallel()
	dir, s := t.TempDir(), &testimage.Store{}
	root := s.Image(testimage.Image{Platform: platform("linux", "amd64")})
	d := openDestination(t, dir)
	put(t, d, s, root)
	src := openSource(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	node := transport.Node{Desc: root}
	for name, call := range map[string]func() error{
		"OpenDestination": func() error { _, err := OpenDestination(ctx, reference(t, dir), Options{}); return err },
		"Source.Open":     func() error { _, err := src.Open(ctx, root, 0); return err },
		"OpenSource":      func() error { _, err := OpenSource(ctx, reference(t, dir), Options{}); return err },
		"Has":             func() error { _, err := d.Has(ctx, node); return err },
		"Put":             func() error { _, err := d.Put(ctx, node, s.Opener(root)); return err },
		"Named":           func() error { _, err := d.Named(ctx, ""); return err },
		"PutSignatures":   func() error { return d.PutSignatures(ctx, root.Digest, nil) },
		"Commit":          func() error { _, err := d.Commit(ctx, []transport.Naming{{Desc: root}}); return err },
	} {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A source that does not obey the context holds nobody up.
func TestPutLeavesASourceThatHangs(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	root := s.Image(testimage.Image{Platform: platform("linux", "amd64")})
	d := openDestination(t, t.TempDir())
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) }) // before the Destination is closed
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := d.Put(ctx, transport.Node{Desc: root}, func(context.Context, int64) (io.ReadCloser, error) {
		<-hang
		return nil, errors.New("too late")
	})
	wantError(t, err, context.DeadlineExceeded)
}
