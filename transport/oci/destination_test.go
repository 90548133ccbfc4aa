package oci

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/durable"
	"github.com/dhowhq/dhow/internal/ocilayout"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/transporttest"
)

func TestOpenDestinationRefuses(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	layout := func(name string, files map[string]string) string {
		dir := filepath.Join(base, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for file, data := range files {
			writeFile(t, []byte(data), dir, file)
		}
		return dir
	}
	foreign := layout("foreign", map[string]string{"precious.txt": "data"})
	index := layout("index", map[string]string{ocispec.ImageIndexFile: `{"schemaVersion":2,"manifests":[]}`})
	newer := layout("newer", map[string]string{ocispec.ImageLayoutFile: `{"imageLayoutVersion":"2.0.0"}`})
	broken := layout("broken", map[string]string{ocispec.ImageLayoutFile: ocilayout.Marker, ocispec.ImageIndexFile: "{"})
	lost := layout("lost", map[string]string{ocispec.ImageLayoutFile: ocilayout.Marker, ocispec.ImageIndexFile: ""})
	before := tree(t, base)
	for name, tc := range map[string]struct {
		ref  Reference
		kind error
		text string
	}{
		"B74 foreign files":   {Reference{Path: foreign}, errdefs.ErrFailedPrecondition, `"precious.txt"`},
		"only an index.json":  {Reference{Path: index}, errdefs.ErrFailedPrecondition, "not an OCI image layout"},
		"other version":       {Reference{Path: newer}, errdefs.ErrInvalidArgument, `"2.0.0"`},
		"broken index.json":   {Reference{Path: broken}, errdefs.ErrInvalidArgument, ocispec.ImageIndexFile},
		"empty index.json":    {Reference{Path: lost}, errdefs.ErrInvalidArgument, "crashed"},
		"a file":              {Reference{Path: filepath.Join(foreign, "precious.txt")}, nil, "precious.txt"},
		"a position":          {Reference{Path: filepath.Join(base, "new")}.At(0), errdefs.ErrInvalidArgument, "@0"},
		"a name out of place": {Reference{Path: filepath.Join(base, "new"), Name: "/"}, errdefs.ErrInvalidArgument, `"/"`},
		"the zero Reference":  {Reference{}, errdefs.ErrInvalidArgument, `""`},
		"a path with a NUL":   {Reference{Path: "a\x00b"}, errdefs.ErrInvalidArgument, `\x00`},
		"below a file":        {Reference{Path: filepath.Join(foreign, "precious.txt", "x")}, nil, "precious.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := OpenDestination(t.Context(), tc.ref, Options{})
			if err == nil { // the first Put must tell
				defer transporttest.Close(t, d)
				_, err = d.Put(t.Context(), transport.Node{Desc: ocispec.Descriptor{Digest: digest.FromString("x"), Size: 1}, Role: image.RoleLayer}, nil)
			}
			if err == nil || tc.kind != nil && !errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("OpenDestination: %v; want %v with %q", err, tc.kind, tc.text)
			}
		})
	}
	if diff := cmp.Diff(before, tree(t, base)); diff != "" {
		t.Errorf("something was written (-before +after):\n%s", diff)
	}
}

func TestFirstPutMakesTheLayout(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	layer := s.Put(ocispec.MediaTypeImageLayerGzip, []byte("layer"))
	empty := t.TempDir()
	leftover := t.TempDir() // as a process that was killed at its very beginning leaves it
	if err := os.MkdirAll(filepath.Join(leftover, ".dhow-ingest", "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	halfway := t.TempDir() // killed a little later
	writeFile(t, []byte(ocilayout.Marker), halfway, ocispec.ImageLayoutFile)
	deep := filepath.Join(t.TempDir(), "a", "b", "layout")
	for _, dir := range []string{empty, leftover, halfway, deep} {
		before := tree(t, dir)
		d := openDestination(t, dir)
		if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
			t.Errorf("opening wrote (-before +after):\n%s", diff)
		}
		if _, err := d.Put(t.Context(), transport.Node{Desc: layer, Role: image.RoleLayer}, s.Opener(layer)); err != nil {
			t.Fatal(err)
		}
		if got := string(readFile(t, dir, ocispec.ImageLayoutFile)); got != `{"imageLayoutVersion":"1.0.0"}` {
			t.Errorf("oci-layout: %s", got)
		}
		transporttest.Commit(t, d)
		transporttest.Close(t, d)
		var want []string
		for _, name := range []string{"blobs", "blobs/sha256", "blobs/sha256/" + layer.Digest.Encoded(), "index.json", "oci-layout"} {
			want = append(want, filepath.Join(dir, name))
		}
		if diff := cmp.Diff(want, tree(t, dir)); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
		for _, path := range want {
			if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm()&0o444 != 0o444 {
				t.Errorf("%s has the mode %v (%v): others cannot read it", path, info.Mode(), err)
			}
		}
	}
}

// A process may be killed when all is done but its own files: a repeat has nothing
// to write, and removes them.
func TestRepeatRemovesWhatAKilledCopyLeft(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	im, dir := s.Image(testimage.Image{Platform: linux("amd64")}), t.TempDir()
	write := func() {
		d := openDestination(t, dir)
		put(t, d, s, im)
		transporttest.Commit(t, d, transport.Naming{Name: "name", Desc: im})
		transporttest.Close(t, d)
	}
	write()
	want := tree(t, dir)
	if err := os.MkdirAll(filepath.Join(dir, ".dhow-ingest", "killed"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, nil, dir, ".dhow-ingest", "killed", "lock")
	write()
	if diff := cmp.Diff(want, tree(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestDamagedBlobsAreHealed(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	im := s.Image(testimage.Image{Platform: linux("amd64")})
	config, err := image.Decode(s.Get(im.Digest), image.Declared{}, image.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	layer := config.(*image.Manifest).Layers()[0]
	for name, by := range map[string]func(string) error{
		"truncated": asBytes("x"), "empty": asBytes(""), "missing": asNothing,
		"a bit flipped": func(path string) error {
			data := bytes.Clone(s.Get(layer.Digest))
			data[len(data)/2] ^= 1
			return os.WriteFile(path, data, 0o644)
		},
		"a link to the bytes": func(path string) error {
			return errors.Join(os.WriteFile(path+".x", s.Get(layer.Digest), 0o644), os.Symlink(filepath.Base(path)+".x", path))
		},
		"a FIFO": asFIFO,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := writeLayout(t, s, testimage.Named{Name: "latest", Desc: im})
			replaceBy(t, blobPath(dir, layer.Digest), by)
			d := openDestination(t, dir+":latest")
			node := transport.Node{Desc: layer, Role: image.RoleLayer}
			if have, err := d.Has(t.Context(), node); have != transport.Absent || err != nil {
				t.Errorf("Has: %v, %v; want Absent", have, err)
			}
			if out, err := d.Put(t.Context(), node, s.Opener(layer)); err != nil || out.Action != transport.Copied {
				t.Fatalf("Put: %v, %v", out, err)
			}
			if have, err := d.Has(t.Context(), node); have != transport.Complete || err != nil {
				t.Errorf("Has after Put: %v, %v; want Complete", have, err)
			}
			transporttest.Commit(t, d)
			if info, err := os.Lstat(blobPath(dir, layer.Digest)); err != nil || !info.Mode().IsRegular() {
				t.Errorf("the blob is %v (%v)", info, err)
			}
			if got := readFile(t, blobPath(dir, layer.Digest)); !bytes.Equal(got, s.Get(layer.Digest)) {
				t.Error("the blob is not healed")
			}
		})
	}
}

func TestB04SizeLieDoesNotReplaceAGoodBlob(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	layer := s.Put(ocispec.MediaTypeImageLayerGzip, []byte("layer"))
	dir := writeLayout(t, s)
	d := openDestination(t, dir)
	lie := layer
	lie.Size++
	_, err := d.Put(t.Context(), transport.Node{Desc: lie, Role: image.RoleLayer}, s.Opener(layer))
	if !errdefs.IsDataLoss(err) || !strings.Contains(err.Error(), "5 bytes, want 6") {
		t.Errorf("Put: %v", err)
	}
	if got := readFile(t, blobPath(dir, layer.Digest)); string(got) != "layer" {
		t.Errorf("blob: %q", got)
	}
}

func TestB07NegativeSize(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	layer := s.Put(ocispec.MediaTypeImageLayerGzip, []byte("layer"))
	layer.Size = -2
	d := openDestination(t, filepath.Join(t.TempDir(), "layout"))
	if _, err := d.Put(t.Context(), transport.Node{Desc: layer, Role: image.RoleLayer}, s.Opener(layer)); !errdefs.IsInvalidArgument(err) {
		t.Errorf("Put: %v", err)
	}
}

func TestB08HugeSizeIsNotBelieved(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	layer := s.Put(ocispec.MediaTypeImageLayerGzip, []byte("layer"))
	layer.Size = 1 << 50
	d := openDestination(t, filepath.Join(t.TempDir(), "layout"))
	if _, err := d.Put(t.Context(), transport.Node{Desc: layer, Role: image.RoleLayer}, s.Opener(layer)); !errdefs.IsDataLoss(err) {
		t.Errorf("Put: %v", err)
	}
}

func TestDocumentTypes(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	d := openDestination(t, filepath.Join(t.TempDir(), "layout"))
	for _, mediaType := range []string{image.MediaTypeDockerSchema1, image.MediaTypeDockerSchema1Signed, "application/json", ""} {
		desc := s.Put(mediaType, []byte("{}"))
		_, err := d.Put(t.Context(), transport.Node{Desc: desc, Role: image.RoleManifest}, s.Opener(desc))
		if !errdefs.IsNotImplemented(err) || !strings.Contains(err.Error(), mediaType) {
			t.Errorf("Put of a manifest of type %q: %v", mediaType, err)
		}
		if _, err := d.Put(t.Context(), transport.Node{Desc: desc, Role: image.RoleOpaque}, s.Opener(desc)); err != nil {
			t.Errorf("Put of an opaque blob of type %q: %v", mediaType, err)
		}
	}
}

func TestSharedBlobs(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	im := s.Image(testimage.Image{Platform: linux("amd64")})
	base := t.TempDir()
	opts := Options{SharedBlobs: filepath.Join(base, "shared")}
	for _, name := range []string{"one", "two"} {
		d, err := OpenDestination(t.Context(), Reference{Path: filepath.Join(base, name)}, opts)
		if err != nil {
			t.Fatal(err)
		}
		put(t, d, s, im)
		transporttest.Commit(t, d, transport.Naming{Desc: im})
		transporttest.Close(t, d)
		if found, err := os.ReadDir(filepath.Join(base, name, "blobs")); err != nil || len(found) > 0 {
			t.Errorf("blobs of layout %s: %v, %v; want an empty directory", name, found, err)
		}
	}
	if got := readFile(t, opts.SharedBlobs, "sha256", im.Digest.Encoded()); !bytes.Equal(got, s.Get(im.Digest)) {
		t.Error("the manifest is not among the shared blobs")
	}
	if found := tree(t, opts.SharedBlobs); len(found) != 1+3 {
		t.Errorf("shared: %q, want sha256 and three blobs", found)
	}
	src, err := OpenSource(t.Context(), Reference{Path: filepath.Join(base, "two")}, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer transporttest.Close(t, src)
	r, err := src.Open(t.Context(), im, 0)
	if err != nil {
		t.Fatal(err)
	}
	transporttest.Close(t, r)
}

func TestB74ReadOnly(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 || runtime.GOOS == "windows" {
		t.Skip("modes do not keep this user from writing")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	s := &testimage.Store{}
	layer := s.Put(ocispec.MediaTypeImageLayerGzip, []byte("layer"))
	d := openDestination(t, dir)
	if _, err := d.Put(t.Context(), transport.Node{Desc: layer, Role: image.RoleLayer}, s.Opener(layer)); !errors.Is(err, os.ErrPermission) {
		t.Errorf("Put: %v", err)
	}
}

func TestB74Full(t *testing.T) {
	t.Parallel()
	dir := mountSmall(t, 4<<20)
	s := &testimage.Store{}
	im := s.Image(testimage.Image{Platform: linux("amd64")})
	big := s.Put(ocispec.MediaTypeImageLayerGzip, bytes.Repeat([]byte("x"), 8<<20))
	d := openDestination(t, filepath.Join(dir, "layout")+":latest")
	put(t, d, s, im)
	transporttest.Commit(t, d, transport.Naming{Desc: im})
	before := readFile(t, d.ref.Path, ocispec.ImageIndexFile)
	_, err := d.Put(t.Context(), transport.Node{Desc: big, Role: image.RoleLayer}, s.Opener(big))
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), big.Digest.Encoded()) {
		t.Errorf("Put: %v; want no space left", err)
	}
	for i := 0; err == nil || i == 0; i++ { // small ones, until nothing fits
		small := s.Put(ocispec.MediaTypeImageLayerGzip, bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 50<<10))
		_, err = d.Put(t.Context(), transport.Node{Desc: small, Role: image.RoleLayer}, s.Opener(small))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Put: %v; want no space left", err)
	}
	transporttest.Close(t, d)
	if after := readFile(t, d.ref.Path, ocispec.ImageIndexFile); !bytes.Equal(before, after) {
		t.Errorf("index.json before: %s; after: %s", before, after)
	}
	for _, path := range tree(t, d.ref.Path) {
		if durable.IsOurs(filepath.Base(path)) {
			t.Errorf("%s was left behind", path)
		}
	}
	again := openDestination(t, d.ref.Path+":again") // what was half-done is gone
	put(t, again, s, im)
	transporttest.Commit(t, again, transport.Naming{Desc: im})
}

func TestPutNeverReadsAfterACancelledContext(t *testing.T) {
	t.Parallel()
	d := openDestination(t, filepath.Join(t.TempDir(), "layout"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := d.Put(ctx, transport.Node{Desc: ocispec.Descriptor{Digest: digest.FromString("x"), Size: 1}, Role: image.RoleLayer},
		func(context.Context, int64) (io.ReadCloser, error) {
			t.Error("opened")
			return nil, errdefs.ErrNotFound
		})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v", err)
	}
	if found := tree(t, d.ref.Path); len(found) > 0 {
		t.Errorf("made %q", found)
	}
}
