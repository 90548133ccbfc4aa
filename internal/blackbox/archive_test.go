package blackbox_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testarchive"
	"github.com/dhowhq/dhow/internal/testimage"
)

// TestArchiveRoundTrip copies a list into archives of both kinds, from one into the other, and
// back: every digest stays, and another program reads them.
func TestArchiveRoundTrip(t *testing.T) {
	t.Parallel()
	var s testimage.Store
	amd64 := s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, Layers: 3})
	arm64 := s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "arm64"}, LayerSize: 2 << 20})
	root := s.Index(amd64, arm64, s.Attestation(amd64))
	tag, signature := s.CosignTag(root, "sig")
	base := t.TempDir()
	src := filepath.Join(base, "source")
	if err := s.WriteLayout(src, testimage.Named{Name: "v1", Desc: root}, testimage.Named{Name: tag, Desc: signature}, testimage.Named{Desc: s.Referrer(root, "application/x.test", "x")}); err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(base, name) }
	must(t, "copy", "-q", "oci:"+src+":v1", "docker-archive:"+at("docker.tar")+":example.com/app:v1")
	must(t, "copy", "-q", "docker-archive:"+at("docker.tar")+":example.com/app:v1", "oci-archive:"+at("oci.tar")+":v1")
	pack(t, at("oci.tar"), at("oci.tar.gz"))
	must(t, "copy", "-q", "oci-archive:"+at("oci.tar.gz")+":v1", "oci:"+at("back")+":v1")
	if got := verify(t, at("back"), "v1"); got.Digest != root.Digest {
		t.Errorf("the image came back as %s, want %s", got.Digest, root.Digest)
	}
	if got := verify(t, at("back"), tag); got.Digest != signature.Digest {
		t.Errorf("its signature came back as %s, want %s", got.Digest, signature.Digest)
	}
	for _, d := range s.Digests() {
		if _, err := os.Stat(filepath.Join(at("back"), "blobs", d.Algorithm().String(), d.Encoded())); err != nil {
			t.Errorf("a blob is missing: %v", err)
		}
	}
	must(t, "copy", "-q", "--parallel", "1", "oci:"+src+":v1", "docker-archive:"+at("again.tar")+":example.com/app:v1")
	if !bytes.Equal(contentOf(t, at("docker.tar")), contentOf(t, at("again.tar"))) {
		t.Error("the same image gave another archive")
	}

	ref, err := name.NewTag("example.com/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	im, err := tarball.ImageFromPath(at("docker.tar"), &ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(im); err != nil {
		t.Errorf("read by another program: %v", err)
	}
	for args, want := range map[string]int{
		"docker-archive:" + at("docker.tar") + ":example.com/app:v2": 2,
		"docker-archive:" + at("docker.tar") + ":@1":                 2,
		"oci-archive:" + at("docker.tar") + ":v1":                    0,
		"oci-archive:" + at("nothing.tar"):                           2,
		"docker-archive:" + at("source"):                             1,
	} {
		if _, code := run(t, "inspect", args); code != want {
			t.Errorf("inspect %s: exit code %d, want %d", args, code, want)
		}
	}
	if left, err := filepath.Glob(filepath.Join(base, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// pack compresses a file.
func pack(t *testing.T, from, to string) {
	t.Helper()
	if err := os.WriteFile(to, testarchive.Gzip(t, contentOf(t, from)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func contentOf(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestKilledArchives kills copies into an archive at random moments: the file is what it was
// before, or whole, and the next copy leaves nothing else.
func TestKilledArchives(t *testing.T) {
	t.Parallel()
	t.Run("short", func(t *testing.T) { killArchives(t, 6, 12<<20) })
	t.Run("long", func(t *testing.T) {
		long(t)
		killArchives(t, 50, 320<<20)
	})
}

func killArchives(t *testing.T, kills, size int) {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	base := t.TempDir()
	src := filepath.Join(base, "source")
	root, old := slowImage(t, src, size), oldImage(t, src)
	args := func(dst string) []string {
		return []string{"copy", "-q", "oci:" + src + ":new", "docker-archive:" + dst + ":example.com/app:v1"}
	}
	whole := fastest(t, filepath.Join(base, "whole.tar"), args)
	landed := 0
	for i := range kills {
		dir := t.TempDir()
		dst := filepath.Join(dir, "image.tar")
		before := digest.Digest("")
		if i%2 == 1 { // there is an archive before
			must(t, "copy", "-q", "oci:"+src+":old", "docker-archive:"+dst+":example.com/app:v1")
			before = old
		}
		if took, ended := killed(t, time.Duration(random.Float64()*0.95*float64(whole)), args(dst)...); ended {
			whole = min(whole, took) // the machine had other work when it was timed
		} else {
			landed++
		}
		if got := rootOf(t, dst); got != before && got != root {
			t.Errorf("kill %d: the archive has %q, neither %q nor %s", i, got, before, root)
		}
		must(t, args(dst)...)
		if got := rootOf(t, dst); got != root {
			t.Errorf("kill %d: repeated, the archive has %q, want %s", i, got, root)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 {
			t.Errorf("kill %d: left behind: %v, %v", i, entries, err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d of %d kills landed before the end of a copy of %v", landed, kills, whole)
	if landed == 0 {
		t.Error("no kill landed before the end")
	}
}

// rootOf returns the root of an archive, of which all can be read; empty if there is none.
func rootOf(t *testing.T, path string) digest.Digest {
	t.Helper()
	if _, err := os.Lstat(path); err != nil {
		return ""
	}
	copied := filepath.Join(t.TempDir(), "copy")
	out := strings.Fields(must(t, "copy", "-q", "docker-archive:"+path+":example.com/app:v1", "oci:"+copied+":v1"))
	if i := slices.IndexFunc(out, func(s string) bool { return strings.HasPrefix(s, "sha") }); i >= 0 {
		return digest.Digest(out[i])
	}
	t.Fatalf("no digest in %q", out)
	return ""
}
