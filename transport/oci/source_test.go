package oci

import (
	"bytes"
	"errors"
	"fmt"
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
	"github.com/dhowhq/dhow/internal/ocilayout"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport/transporttest"
)

// within runs a test that must not hang.
func within(t *testing.T, limit time.Duration, run func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); run() }()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatalf("still waiting after %v", limit)
	}
}

// replaceBy removes a file and puts something else in its place.
func replaceBy(t *testing.T, path string, put func(path string) error) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(path), put(path)); err != nil {
		t.Skip("not on this system:", err)
	}
}

func asBytes(data string) func(string) error {
	return func(path string) error { return os.WriteFile(path, []byte(data), 0o644) }
}

func asDirectory(path string) error { return os.Mkdir(path, 0o755) }

func asNothing(string) error { return nil }

// asLinkTo moves what is there away, and links to it.
func asLinkTo(target string) func(string) error {
	return func(path string) error { return os.Symlink(target, path) }
}

func TestOpenSourceRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		file string
		by   func(string) error
		kind error
		text string
	}{
		"B71 oci-layout missing":         {ocispec.ImageLayoutFile, asNothing, errdefs.ErrInvalidArgument, "not an OCI image layout"},
		"B71 oci-layout 2.0.0":           {ocispec.ImageLayoutFile, asBytes(`{"imageLayoutVersion":"2.0.0"}`), errdefs.ErrInvalidArgument, `"2.0.0"`},
		"B71 oci-layout 1.1.0":           {ocispec.ImageLayoutFile, asBytes(`{"imageLayoutVersion":"1.1.0"}`), errdefs.ErrInvalidArgument, `"1.1.0"`},
		"B71 oci-layout 1.00":            {ocispec.ImageLayoutFile, asBytes(`{"imageLayoutVersion":"1.00"}`), errdefs.ErrInvalidArgument, `"1.00"`},
		"B71 oci-layout not JSON":        {ocispec.ImageLayoutFile, asBytes("1.0.0"), errdefs.ErrInvalidArgument, ocispec.ImageLayoutFile},
		"B71 oci-layout without version": {ocispec.ImageLayoutFile, asBytes("{}"), errdefs.ErrInvalidArgument, `""`},
		"B71 oci-layout of two versions": {ocispec.ImageLayoutFile, asBytes(`{"imageLayoutVersion":"1.0.0","ImageLayoutVersion":"2.0.0"}`), errdefs.ErrInvalidArgument, "mageLayoutVersion"},
		"B71 oci-layout empty":           {ocispec.ImageLayoutFile, asBytes(""), errdefs.ErrInvalidArgument, ocispec.ImageLayoutFile},
		"B71 oci-layout huge":            {ocispec.ImageLayoutFile, asBytes(strings.Repeat(" ", ocilayout.MaxMarkerBytes+1)), errdefs.ErrResourceExhausted, ocispec.ImageLayoutFile},
		"B71 oci-layout a directory":     {ocispec.ImageLayoutFile, asDirectory, errdefs.ErrInvalidArgument, "is a directory"},
		"B71 oci-layout a FIFO":          {ocispec.ImageLayoutFile, asFIFO, errdefs.ErrInvalidArgument, "is a FIFO"},
		"B71 oci-layout a link":          {ocispec.ImageLayoutFile, asLinkTo("index.json"), errdefs.ErrInvalidArgument, "is a symbolic link"},
		"B71 index.json missing":         {ocispec.ImageIndexFile, asNothing, errdefs.ErrInvalidArgument, "has no index.json"},
		"B71 index.json empty":           {ocispec.ImageIndexFile, asBytes(""), errdefs.ErrInvalidArgument, "crashed"},
		"B71 index.json an array":        {ocispec.ImageIndexFile, asBytes("[]"), errdefs.ErrInvalidArgument, ocispec.ImageIndexFile},
		"B71 index.json too large":       {ocispec.ImageIndexFile, asSparse(ocilayout.MaxIndexBytes + 1), errdefs.ErrResourceExhausted, "8388608"},
		"B71 index.json of 1 GiB":        {ocispec.ImageIndexFile, asSparse(1 << 30), errdefs.ErrResourceExhausted, "8388608"},
		"B71 index.json a manifest":      {ocispec.ImageIndexFile, asBytes(`{"schemaVersion":2,"config":{},"layers":[]}`), errdefs.ErrInvalidArgument, ocispec.ImageIndexFile},
		"B71 index.json other type":      {ocispec.ImageIndexFile, asBytes(`{"schemaVersion":2,"mediaType":"` + image.MediaTypeDockerList + `","manifests":[]}`), errdefs.ErrInvalidArgument, "media types do not agree"},
		"B10 index.json hostile digest":  {ocispec.ImageIndexFile, asBytes(`{"schemaVersion":2,"manifests":[{"mediaType":"a/b","size":1,"digest":"sha256:../../x"}]}`), errdefs.ErrInvalidArgument, "manifests[0].digest"},
		"B72 index.json a link":          {ocispec.ImageIndexFile, asLinkTo("oci-layout"), errdefs.ErrInvalidArgument, "is a symbolic link"},
		"B72 index.json a FIFO":          {ocispec.ImageIndexFile, asFIFO, errdefs.ErrInvalidArgument, "is a FIFO"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := writeLayout(t, &testimage.Store{})
			replaceBy(t, filepath.Join(dir, tc.file), tc.by)
			within(t, 5*time.Second, func() {
				_, err := OpenSource(t.Context(), Reference{Path: dir}, Options{})
				if !errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.text) {
					t.Errorf("OpenSource: %v; want %v with %q", err, tc.kind, tc.text)
				}
			})
		})
	}
}

func asSparse(size int64) func(string) error {
	return func(path string) error {
		return errors.Join(os.WriteFile(path, nil, 0o644), os.Truncate(path, size))
	}
}

func TestOpenSourceOfWhatIsNoDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, nil, dir, "file")
	if _, err := OpenSource(t.Context(), Reference{Path: filepath.Join(dir, "none")}, Options{}); !errdefs.IsNotFound(err) {
		t.Errorf("OpenSource of a missing directory: %v", err)
	}
	if _, err := OpenSource(t.Context(), Reference{Path: filepath.Join(dir, "file")}, Options{}); err == nil {
		t.Error("OpenSource of a file: no error")
	}
	for _, r := range []Reference{{}, {Path: dir, Name: "../x"}} {
		if _, err := OpenSource(t.Context(), r, Options{}); !errdefs.IsInvalidArgument(err) {
			t.Errorf("OpenSource of %+v: %v", r, err)
		}
	}
	layout := writeLayout(t, &testimage.Store{})
	if _, err := OpenSource(t.Context(), Reference{Path: layout}, Options{SharedBlobs: filepath.Join(dir, "none")}); !errdefs.IsNotFound(err) {
		t.Errorf("OpenSource with missing shared blobs: %v", err)
	}
	if err := os.Symlink(layout, filepath.Join(dir, "link")); err == nil {
		openSource(t, filepath.Join(dir, "link"), Options{}) // the user named it
	}
}

func TestOpenSourceOddButValid(t *testing.T) {
	t.Parallel()
	dir := writeLayout(t, &testimage.Store{})
	writeFile(t, []byte(`{"imageLayoutVersion":"1.0.7","more":[1]}`), dir, ocispec.ImageLayoutFile)
	writeFile(t, []byte(`{"schemaVersion":2,"manifests":[],"more":{"a":1}}`), dir, ocispec.ImageIndexFile)
	openSource(t, dir, Options{})
}

func TestOpenRefusesHostileBlobs(t *testing.T) {
	t.Parallel()
	data := []byte("the bytes of a blob")
	d := digest.FromBytes(data)
	for name, tc := range map[string]struct {
		path string // what is replaced
		by   func(string) error
		kind error
		text string
	}{
		"B01 shorter":               {blobPath("", d), asBytes("the bytes"), errdefs.ErrDataLoss, "9 bytes, its descriptor says 19"},
		"B02 longer":                {blobPath("", d), asBytes("the bytes of a blob and more"), errdefs.ErrDataLoss, "28 bytes, its descriptor says 19"},
		"B71 empty":                 {blobPath("", d), asBytes(""), errdefs.ErrDataLoss, "0 bytes"},
		"B37 missing":               {blobPath("", d), asNothing, errdefs.ErrNotFound, d.String()},
		"B72 blob is a link":        {blobPath("", d), asLinkTo("../../secret"), errdefs.ErrInvalidArgument, "is a symbolic link"},
		"B72 link out of it":        {blobPath("", d), asLinkTo("../../../secret"), errdefs.ErrInvalidArgument, "is a symbolic link"},
		"B72 blob is a FIFO":        {blobPath("", d), asFIFO, errdefs.ErrInvalidArgument, "is a FIFO"},
		"B72 blob is a device":      {blobPath("", d), asDevice, errdefs.ErrInvalidArgument, "is a device"},
		"B72 blob is a directory":   {blobPath("", d), asDirectory, errdefs.ErrInvalidArgument, "is a directory"},
		"B72 blob is unreadable":    {blobPath("", d), asUnreadable, errdefs.ErrPermissionDenied, d.Encoded()},
		"B72 sha256 is a link":      {"blobs/sha256", asLinkTo("../other"), errdefs.ErrInvalidArgument, "is a symbolic link"},
		"B72 sha256 is a file":      {"blobs/sha256", asBytes(""), errdefs.ErrInvalidArgument, "is a regular file"},
		"B72 blobs is a link":       {"blobs", asLinkTo("elsewhere"), errdefs.ErrInvalidArgument, "is a symbolic link"},
		"B72 blobs is a link to us": {"blobs", asLinkTo("."), errdefs.ErrInvalidArgument, "is a symbolic link"},
		"B71 blobs missing":         {"blobs", asNothing, errdefs.ErrNotFound, d.String()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &testimage.Store{}
			desc := s.Put("text/plain", data)
			base := t.TempDir()
			dir := filepath.Join(base, "layout")
			if err := s.WriteLayout(dir); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{"elsewhere/sha256", "other"} { // where the links lead
				if err := os.MkdirAll(filepath.Join(dir, path), 0o755); err != nil {
					t.Fatal(err)
				}
				writeFile(t, data, dir, path, d.Encoded())
			}
			writeFile(t, data, dir, "secret")
			writeFile(t, data, base, "secret")
			replaceBy(t, filepath.Join(dir, tc.path), tc.by)
			src := openSource(t, dir, Options{})
			within(t, 5*time.Second, func() {
				r, err := src.Open(t.Context(), desc, 0)
				if err == nil {
					transporttest.Close(t, r)
				}
				if !errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.text) {
					t.Errorf("Open: %v; want %v with %q", err, tc.kind, tc.text)
				}
			})
		})
	}
}

func asUnreadable(path string) error {
	if os.Geteuid() == 0 {
		return errors.New("root may read everything")
	}
	return os.WriteFile(path, []byte("the bytes of a blob"), 0)
}

func TestOpenHardLink(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	desc := s.Put("text/plain", []byte("x"))
	dir := writeLayout(t, s)
	if err := os.Link(blobPath(dir, desc.Digest), filepath.Join(dir, "link")); err != nil {
		t.Skip("no hard links:", err)
	}
	r, err := openSource(t, dir, Options{}).Open(t.Context(), desc, 0)
	if err != nil {
		t.Fatal("a hard link is a regular file:", err)
	}
	transporttest.Close(t, r)
}

func TestB73UpperCaseFileIsNotTheBlob(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	desc := s.Put("text/plain", []byte("x"))
	dir := writeLayout(t, s)
	path := blobPath(dir, desc.Digest)
	if err := os.Rename(path, filepath.Join(filepath.Dir(path), strings.ToUpper(desc.Digest.Encoded()))); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Skip("the file system does not tell upper from lower case")
	}
	if _, err := openSource(t, dir, Options{}).Open(t.Context(), desc, 0); !errdefs.IsNotFound(err) {
		t.Errorf("Open: %v", err)
	}
}

func TestReadersOutliveTheirSource(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	desc := s.Put("text/plain", bytes.Repeat([]byte("x"), 1000))
	src, err := OpenSource(t.Context(), Reference{Path: writeLayout(t, s)}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := src.Open(t.Context(), desc, 10)
	if err != nil {
		t.Fatal(err)
	}
	transporttest.Close(t, src)
	data, err := io.ReadAll(r)
	if err != nil || len(data) != 990 {
		t.Errorf("read %d bytes, %v", len(data), err)
	}
	transporttest.Close(t, r)
	if _, err := src.Open(t.Context(), desc, 0); err == nil {
		t.Error("Open of a closed source: no error")
	}
}

func FuzzLayoutIndex(f *testing.F) {
	s := &testimage.Store{}
	amd := s.Image(testimage.Image{Platform: linux("amd64")})
	referrer := s.Referrer(amd, "application/x", "1")
	dir := f.TempDir()
	for _, names := range [][]testimage.Named{
		nil, {{Name: "latest", Desc: amd}}, {{Desc: amd}, {Desc: referrer}}, {{Desc: amd}, {Desc: s.Image(testimage.Image{Platform: linux("arm64")})}},
		{{Name: "sha256-" + amd.Digest.Encoded(), Desc: s.Index(referrer)}, {Name: "a", Desc: amd}},
	} {
		if err := s.WriteLayout(dir, names...); err != nil {
			f.Fatal(err)
		}
		f.Add(readFile(f, dir, ocispec.ImageIndexFile))
	}
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"a/b","size":1,"digest":"sha256:../../x"}]}`))
	f.Fuzz(func(t *testing.T, index []byte) {
		writeFile(t, index, dir, ocispec.ImageIndexFile)
		for _, ref := range []Reference{{Path: dir}, {Path: dir, Name: "latest"}, Reference{Path: dir}.At(1)} {
			src, err := OpenSource(t.Context(), ref, Options{})
			if err != nil {
				return
			}
			if err := readEverything(t, src); err != nil {
				t.Errorf("%s: %v", ref, err)
			}
			transporttest.Close(t, src)
		}
	})
}

// readEverything returns an error where a source contradicts itself.
func readEverything(t *testing.T, src *Source) error {
	t.Helper()
	var bad []error
	root, err := src.Root(t.Context())
	if err == nil {
		if _, err := image.ParseDigest(string(root.Digest)); err != nil || root.Size < 0 || !image.IsDocument(root.MediaType) {
			bad = append(bad, fmt.Errorf("root %+v: %w", root, err))
		}
		if r, err := src.Open(t.Context(), root, 0); err == nil {
			bad = append(bad, r.Close())
		}
		if _, err := src.Referrers(t.Context(), root.Digest); err != nil && !errdefs.IsResourceExhausted(err) {
			bad = append(bad, err)
		}
	}
	err = src.Names(t.Context(), func(name string) bool {
		if _, err := src.Resolve(t.Context(), name); errdefs.IsNotFound(err) {
			bad = append(bad, fmt.Errorf("a name that is listed: %w", err))
		}
		return true
	})
	return errors.Join(append(bad, err)...)
}
