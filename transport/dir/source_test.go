package dir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/transporttest"
)

// prefixOf writes a digest as the format's documentation says, by other means
// than the code under test.
func prefixOf(d digest.Digest) string {
	return strings.ReplaceAll(strings.TrimPrefix(string(d), "sha256:"), ":", "-")
}

// fixture makes a directory as other tools write it, and returns its files.
func fixture(t testing.TB, path, version string, s *testimage.Store, root ocispec.Descriptor, manifests ...ocispec.Descriptor) map[string]string {
	t.Helper()
	files := map[string]string{"manifest.json": string(s.Get(root.Digest))}
	if version != "" {
		files["version"] = "Directory Transport Version: " + version + "\n"
	}
	isManifest := map[digest.Digest]bool{root.Digest: true}
	for _, m := range manifests {
		isManifest[m.Digest] = true
		files[prefixOf(m.Digest)+".manifest.json"] = string(s.Get(m.Digest))
	}
	for _, d := range s.Digests() {
		if !isManifest[d] {
			files[prefixOf(d)] = string(s.Get(d))
		}
	}
	for name, content := range files {
		writeFile(t, filepath.Join(path, name), []byte(content))
	}
	return files
}

func TestReadWhatOthersWrote(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, version string
		alg           digest.Algorithm
		family        testimage.Family
	}{
		{"version 1.1", "1.1", digest.SHA256, testimage.OCI},
		{"version 1.1, Docker types", "1.1", digest.SHA256, testimage.Docker},
		{"version 1.0", "1.0", digest.SHA256, testimage.OCI},
		{"version 1.2, blobs and instances of sha512", "1.2", digest.SHA512, testimage.OCI},
		{"no version file", "", digest.SHA256, testimage.OCI},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, s := t.TempDir(), &testimage.Store{Algorithm: tt.alg}
			root, a, b := twoPlatforms(s, tt.family)
			fixture(t, dir, tt.version, s, root, a, b)
			writeFile(t, filepath.Join(dir, "signature-1"), []byte("root one"))
			writeFile(t, filepath.Join(dir, "signature-2"), []byte("root two"))
			writeFile(t, filepath.Join(dir, "signature-4"), []byte("not seen"))
			writeFile(t, filepath.Join(dir, prefixOf(b.Digest)+".signature-1"), []byte("b one"))

			src := openSource(t, dir)
			got, err := src.Root(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			// Others do not tell the digest of a root that is not sha256.
			plain := digest.FromBytes(s.Get(root.Digest))
			wantSame(t, "root", got, ocispec.Descriptor{MediaType: root.MediaType, Digest: plain, Size: root.Size})
			for _, e := range []ocispec.Descriptor{a, b} {
				checkGraph(t, src, s, e)
			}
			for d, want := range map[digest.Digest][]transport.Signature{
				plain:    {[]byte("root one"), []byte("root two")},
				a.Digest: {},
				b.Digest: {[]byte("b one")},
			} {
				sigs, err := src.Signatures(t.Context(), d)
				if err != nil {
					t.Fatal(err)
				}
				wantSame(t, "signatures of "+d.String(), sigs, want)
			}
		})
	}
}

func TestOpenSourceErrors(t *testing.T) {
	t.Parallel()
	inDir := func(version string) func(t *testing.T) string {
		return func(t *testing.T) string {
			t.Helper()
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "version"), []byte(version))
			return dir
		}
	}
	for _, tt := range []struct {
		name string
		path func(t *testing.T) string
		kind error
		word string
	}{
		{"no directory", func(t *testing.T) string { t.Helper(); return filepath.Join(t.TempDir(), "none") }, errdefs.ErrNotFound, "none"},
		{"unparsable version", inDir("Directory Transport Version: one\n"), errdefs.ErrInvalidArgument, "one"},
		{"newer version", inDir("Directory Transport Version: 1.3\n"), errdefs.ErrNotImplemented, "1.3"},
		{"version of 1 MiB", inDir(strings.Repeat("x", 1<<20)), errdefs.ErrResourceExhausted, "version"},
		{"version is a link", func(t *testing.T) string {
			t.Helper()
			dir := inDir("")(t)
			writeFile(t, filepath.Join(dir, "other"), sha256Version().content())
			if err := errors.Join(os.Remove(filepath.Join(dir, "version")), os.Symlink("other", filepath.Join(dir, "version"))); err != nil {
				t.Skip(err)
			}
			return dir
		}, errdefs.ErrInvalidArgument, "symbolic link"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := OpenSource(t.Context(), reference(t, tt.path(t)), Options{})
			wantError(t, err, tt.kind, tt.word)
		})
	}
	if _, err := OpenSource(t.Context(), reference(t, "source_test.go"), Options{}); err == nil {
		t.Error("a file was opened as a directory")
	}
}

func TestRootErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		content string // of manifest.json; empty for no file
		lim     image.Limits
		kind    error
	}{
		{"no manifest.json", "", image.Limits{}, errdefs.ErrNotFound},
		{"manifest.json is no JSON", "<html>", image.Limits{}, errdefs.ErrInvalidArgument},
		{"manifest.json is no manifest", `{"a":1}`, image.Limits{}, errdefs.ErrInvalidArgument},
		{"manifest.json beyond the limit", strings.Repeat(" ", 101), image.Limits{DocumentBytes: 100}, errdefs.ErrResourceExhausted},
		{"manifest.json beyond the default limit", strings.Repeat(" ", 4<<20+1), image.Limits{}, errdefs.ErrResourceExhausted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if tt.content != "" {
				writeFile(t, filepath.Join(dir, "manifest.json"), []byte(tt.content))
			}
			src, err := OpenSource(t.Context(), reference(t, dir), Options{Limits: tt.lim})
			if err != nil {
				t.Fatal(err)
			}
			defer transporttest.Close(t, src)
			_, err = src.Root(t.Context())
			wantError(t, err, tt.kind, "manifest.json", dir)
		})
	}
}

// Schema 1 manifests are known by the digest of what their signatures sign.
func TestRootSchema1(t *testing.T) {
	t.Parallel()
	signed, payload := signedSchema1()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "manifest.json"), signed)
	got, err := openSource(t, dir).Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, "root", got, ocispec.Descriptor{
		MediaType: image.MediaTypeDockerSchema1Signed, Digest: digest.FromBytes(payload), Size: int64(len(signed)),
	})
}

func TestOpenFromOffset(t *testing.T) {
	t.Parallel()
	dir, s := t.TempDir(), &testimage.Store{}
	root := s.Image(testimage.Image{Platform: platform("linux", "amd64")})
	blob := s.Put("application/octet-stream", []byte("0123456789"))
	fixture(t, dir, "1.1", s, root)
	src := openSource(t, dir)
	for _, desc := range []ocispec.Descriptor{blob, root} {
		all := s.Get(desc.Digest)
		for _, from := range []int64{0, 4, desc.Size - 1, desc.Size} {
			r, err := src.Open(t.Context(), desc, from)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, all[from:]) {
				t.Errorf("%s from %d: %q, %v, want %q", desc.MediaType, from, got, err, all[from:])
			}
			transporttest.Close(t, r)
		}
		for _, from := range []int64{-1, desc.Size + 1, 1 << 40} {
			_, err := src.Open(t.Context(), desc, from)
			wantError(t, err, errdefs.ErrOutOfRange, fmt.Sprint(from), fmt.Sprint(desc.Size))
		}
	}
}

// The media type says where content is looked for first; it is found anyhow.
func TestOpenByMediaType(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	both, onlyBlob, onlyManifest := digest.FromString("both"), digest.FromString("blob"), digest.FromString("manifest")
	writeFile(t, filepath.Join(dir, both.Encoded()), []byte("as a blob"))
	writeFile(t, filepath.Join(dir, both.Encoded()+".manifest.json"), []byte("as a manifest"))
	writeFile(t, filepath.Join(dir, onlyBlob.Encoded()), []byte("blob"))
	writeFile(t, filepath.Join(dir, onlyManifest.Encoded()+".manifest.json"), []byte("manifest"))
	src := openSource(t, dir)
	for _, tt := range []struct {
		mediaType string
		digest    digest.Digest
		want      string
	}{
		{ocispec.MediaTypeImageManifest, both, "as a manifest"},
		{image.MediaTypeDockerSchema1, both, "as a manifest"},
		{ocispec.MediaTypeImageLayer, both, "as a blob"},
		{"", both, "as a blob"},
		{ocispec.MediaTypeImageIndex, onlyBlob, "blob"},
		{"application/x-opaque", onlyManifest, "manifest"},
	} {
		got := read(t, src, ocispec.Descriptor{MediaType: tt.mediaType, Digest: tt.digest, Size: -1})
		if string(got) != tt.want {
			t.Errorf("%q as %q is %q, want %q", tt.digest, tt.mediaType, got, tt.want)
		}
	}
	_, err := src.Open(t.Context(), ocispec.Descriptor{MediaType: "x", Digest: digest.FromString("none")}, 0)
	wantError(t, err, errdefs.ErrNotFound, digest.FromString("none").String(), dir)
}

func TestOpenTooLargeManifest(t *testing.T) {
	t.Parallel()
	dir, d := t.TempDir(), digest.FromString("large")
	writeFile(t, filepath.Join(dir, d.Encoded()+".manifest.json"), make([]byte, 4<<20+1))
	_, err := openSource(t, dir).Open(t.Context(), ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d}, 0)
	wantError(t, err, errdefs.ErrResourceExhausted, "4194305", "4194304")
}

func TestSignatureLimits(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	root := s.Image(testimage.Image{Platform: platform("linux", "amd64")})
	for _, tt := range []struct {
		name        string
		count, size int
		kind        error
	}{
		{"128 signatures", 128, 1, nil},
		{"129 signatures", 129, 1, errdefs.ErrResourceExhausted},
		{"a signature of 4 MiB", 1, 4 << 20, nil},
		{"a signature of 4 MiB and a byte", 1, 4<<20 + 1, errdefs.ErrResourceExhausted},
		{"5 signatures of 4 MiB", 5, 4 << 20, errdefs.ErrResourceExhausted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			fixture(t, dir, "1.1", s, root)
			var set []transport.Signature
			for n := range tt.count {
				set = append(set, make([]byte, tt.size))
				writeFile(t, filepath.Join(dir, signatureName("", n+1)), set[n])
			}
			sigs, err := openSource(t, dir).Signatures(t.Context(), root.Digest)
			putErr := openDestination(t, t.TempDir()).PutSignatures(t.Context(), root.Digest, set)
			if tt.kind != nil {
				wantError(t, err, tt.kind, "signature")
				wantError(t, putErr, tt.kind, "signature")
				return
			}
			if err != nil || putErr != nil || len(sigs) != tt.count {
				t.Errorf("%d signatures, %v, and %v, want %d", len(sigs), err, putErr, tt.count)
			}
		})
	}
}

func TestReferrers(t *testing.T) {
	t.Parallel()
	dir, s := t.TempDir(), &testimage.Store{}
	im := s.Image(testimage.Image{Platform: platform("linux", "amd64")})
	list := s.Index(im)
	one, two := s.Referrer(im, "application/x-one", "1"), s.Referrer(im, "application/x-two", "2")
	ofList, ofOne := s.Referrer(list, "application/x-list", "3"), s.Referrer(one, "application/x-deep", "4")
	fixture(t, dir, "1.1", s, list, im, one, two, ofList, ofOne)

	// What is damaged, malformed or not a file is no referrer, and in nobody's way.
	fake := s.Referrer(im, "application/x-fake", "5")
	bad := digest.FromString("not its content")
	writeFile(t, filepath.Join(dir, bad.Encoded()+".manifest.json"), s.Get(fake.Digest))
	writeFile(t, filepath.Join(dir, digest.FromString("x").Encoded()+".manifest.json"), []byte("{"))
	writeFile(t, filepath.Join(dir, "other.manifest.json"), s.Get(fake.Digest))
	if err := os.Mkdir(filepath.Join(dir, digest.FromString("dir").Encoded()+".manifest.json"), 0o755); err != nil {
		t.Fatal(err)
	}

	src := openSource(t, dir)
	for _, tt := range []struct {
		name    string
		subject ocispec.Descriptor
		want    []ocispec.Descriptor
	}{
		{"of the instance", im, []ocispec.Descriptor{one, two}},
		{"of the list", list, []ocispec.Descriptor{ofList}},
		{"of a referrer", one, []ocispec.Descriptor{ofOne}},
		{"of none", two, []ocispec.Descriptor{}},
	} {
		got, err := src.Referrers(t.Context(), tt.subject.Digest)
		if err != nil {
			t.Fatal(err)
		}
		for i := range tt.want {
			tt.want[i].Platform = nil
		}
		byDigest := cmpopts.SortSlices(func(a, b ocispec.Descriptor) bool { return a.Digest < b.Digest })
		wantSame(t, tt.name, got, tt.want, byDigest, cmpopts.EquateEmpty())
	}
}

func TestReferrersLimit(t *testing.T) {
	t.Parallel()
	dir, s := t.TempDir(), &testimage.Store{}
	im := s.Image(testimage.Image{Platform: platform("linux", "amd64")})
	one, two := s.Referrer(im, "application/x-one", "1"), s.Referrer(im, "application/x-two", "2")
	fixture(t, dir, "1.1", s, im, one, two)
	for name, lim := range map[string]image.Limits{"files": {GraphNodes: 2}, "bytes": {GraphBytes: 100}} {
		src, err := OpenSource(t.Context(), reference(t, dir), Options{Limits: lim})
		if err != nil {
			t.Fatal(err)
		}
		_, err = src.Referrers(t.Context(), im.Digest)
		wantError(t, err, errdefs.ErrResourceExhausted, name[:1])
		transporttest.Close(t, src)
	}
}
