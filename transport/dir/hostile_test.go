package dir

import (
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

// No digest reaches the file system or a format before it was checked, whatever
// method it comes through.
func TestHostileDigests(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "x"), []byte("outside"))
	inside := filepath.Join(dir, "image")
	s := &testimage.Store{}
	root := s.Image(testimage.Image{Platform: platform("linux", "amd64")})
	writeImage(t, inside, s, root, nil)
	before := snapshot(t, dir)

	src, dst := openSource(t, inside), openDestination(t, inside)
	for _, tt := range []struct {
		name, digest string
		kind         error
	}{
		{"B09 empty", "", errdefs.ErrInvalidArgument},
		{"B09 no colon", "sha256", errdefs.ErrInvalidArgument},
		{"B09 only hex", strings.Repeat("a", 64), errdefs.ErrInvalidArgument},
		{"B09 no hex", "sha256:", errdefs.ErrInvalidArgument},
		{"B09 63 characters", "sha256:" + strings.Repeat("a", 63), errdefs.ErrInvalidArgument},
		{"B09 upper case", "sha256:" + strings.Repeat("A", 64), errdefs.ErrInvalidArgument},
		{"B09 digits that are not ASCII", "sha256:" + strings.Repeat("１", 64), errdefs.ErrInvalidArgument},
		{"B10 path", "sha256:../x", errdefs.ErrInvalidArgument},
		{"B10 longer path", "sha256:../../x", errdefs.ErrInvalidArgument},
		{"B10 path of the right length", "sha256:../" + strings.Repeat("a", 61), errdefs.ErrInvalidArgument},
		{"B10 path as algorithm", "../x:" + strings.Repeat("a", 64), errdefs.ErrInvalidArgument},
		{"B10 verbs", "sha256:%s%s%n", errdefs.ErrInvalidArgument},
		{"B10 verbs of the right length", "sha256:" + strings.Repeat("%s", 32), errdefs.ErrInvalidArgument},
		{"B10 NUL", "sha256:" + strings.Repeat("a", 63) + "\x00", errdefs.ErrInvalidArgument},
		{"B10 newline", "sha256:" + strings.Repeat("a", 64) + "\n", errdefs.ErrInvalidArgument},
		{"B11 unknown algorithm", "md5:" + strings.Repeat("a", 32), errdefs.ErrNotImplemented},
	} {
		for _, mediaType := range []string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageLayerGzip} {
			desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.Digest(tt.digest), Size: 1}
			node := transport.Node{Desc: desc, Role: image.RoleLayer}
			for method, call := range map[string]func() error{
				"Open":          func() error { _, err := src.Open(t.Context(), desc, 0); return err },
				"Signatures":    func() error { _, err := src.Signatures(t.Context(), desc.Digest); return err },
				"Referrers":     func() error { _, err := src.Referrers(t.Context(), desc.Digest); return err },
				"Has":           func() error { _, err := dst.Has(t.Context(), node); return err },
				"Put":           func() error { _, err := dst.Put(t.Context(), node, s.Opener(root)); return err },
				"PutSignatures": func() error { return dst.PutSignatures(t.Context(), desc.Digest, nil) },
				"Commit":        func() error { _, err := dst.Commit(t.Context(), []transport.Naming{{Desc: desc}}); return err },
				"Commit, further": func() error {
					_, err := dst.Commit(t.Context(), []transport.Naming{{Desc: root}, {Desc: desc, Name: "x"}})
					return err
				},
			} {
				t.Run(tt.name+"/"+method, func(t *testing.T) { wantError(t, call(), tt.kind, "digest") })
			}
		}
	}
	wantSame(t, "files", snapshot(t, dir), before, compareFiles)
}

// B72: what is not a regular file is not opened, not followed and not waited for.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	root := s.Image(testimage.Image{Platform: platform("linux", "amd64")})
	blob := s.Put("application/octet-stream", []byte("blob"))
	for _, kind := range []struct {
		name string
		make func(path string) error
	}{
		{"a link out of the directory", func(path string) error { return os.Symlink(filepath.Join("..", "outside"), path) }},
		{"a link within the directory", func(path string) error { return os.Symlink("manifest.json.real", path) }},
		{"a dangling link", func(path string) error { return os.Symlink("none", path) }},
		{"a directory", func(path string) error { return os.Mkdir(path, 0o755) }},
		{"a FIFO", makeFIFO},
	} {
		for _, tt := range []struct {
			name, file string
			call       func(src *Source) error
		}{
			{"manifest.json", "manifest.json", func(src *Source) error { _, err := src.Root(t.Context()); return err }},
			{"blob", blob.Digest.Encoded(), func(src *Source) error { _, err := src.Open(t.Context(), blob, 0); return err }},
			{"signature", "signature-1", func(src *Source) error { _, err := src.Signatures(t.Context(), root.Digest); return err }},
		} {
			t.Run(kind.name+" as "+tt.name, func(t *testing.T) {
				t.Parallel()
				parent := t.TempDir()
				dir := filepath.Join(parent, "image")
				if err := os.Mkdir(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				fixture(t, dir, "1.1", s, root)
				writeFile(t, filepath.Join(parent, "outside"), []byte("secret"))
				writeFile(t, filepath.Join(dir, "manifest.json.real"), s.Get(root.Digest))
				path := filepath.Join(dir, tt.file)
				_ = os.Remove(path) // the signature is not there
				if err := kind.make(path); err != nil {
					t.Skip(err)
				}
				src := openSource(t, dir)
				done := make(chan error, 1)
				go func() { done <- tt.call(src) }()
				select {
				case err := <-done:
					wantError(t, err, errdefs.ErrInvalidArgument, tt.file)
				case <-time.After(10 * time.Second):
					t.Fatal("it hangs")
				}
			})
		}
	}
}

// A damaged or unreadable file is healed by a Put.
func TestHealing(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	root := s.Image(testimage.Image{Platform: platform("linux", "amd64")})
	blob := s.Put("application/octet-stream", []byte("blob"))
	want := string(s.Get(blob.Digest))
	for _, tt := range []struct {
		name string
		make func(path string) error
	}{
		{"B73 other bytes of the same length", func(path string) error { return os.WriteFile(path, []byte("blub"), 0o644) }},
		{"B01 too short", func(path string) error { return os.WriteFile(path, []byte("blo"), 0o644) }},
		{"B02 too long", func(path string) error { return os.WriteFile(path, []byte("blob."), 0o644) }},
		{"empty, as after a power loss", func(path string) error { return os.WriteFile(path, nil, 0o644) }},
		{"a link to the right bytes", func(path string) error {
			return os.Symlink("right", path)
		}},
		{"a FIFO", makeFIFO},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			fixture(t, dir, "1.1", s, root)
			writeFile(t, filepath.Join(dir, "right"), []byte(want))
			path := filepath.Join(dir, blob.Digest.Encoded())
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := tt.make(path); err != nil {
				t.Skip(err)
			}
			d := openDestination(t, dir)
			node := transport.Node{Desc: blob, Role: image.RoleLayer}
			if have, err := d.Has(t.Context(), node); have != transport.Absent || err != nil {
				t.Errorf("Has says %d, %v", have, err)
			}
			if out, err := d.Put(t.Context(), node, s.Opener(blob)); out.Action != transport.Copied || err != nil {
				t.Errorf("Put says %q, %v", out.Action, err)
			}
			transporttest.Commit(t, d)
			if got := snapshot(t, dir)[blob.Digest.Encoded()].content; got != want {
				t.Errorf("the file holds %q", got)
			}
		})
	}
}
