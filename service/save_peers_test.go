package service_test

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ctdarchive "github.com/containerd/containerd/v2/core/images/archive"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testarchive"
	"github.com/dhowhq/dhow/service"
)

// savedPart saves what is there of an image of two platforms, one of which is not.
func savedPart(t *testing.T) (data []byte, root, here ocispec.Descriptor) {
	t.Helper()
	f := newFixture(t, service.Options{})
	amd, arm := f.image(t, "linux/amd64", "app"), f.image(t, "linux/arm64", "app")
	f.putPart(t, withAttestations(f, amd, arm), lack(arm.Digest), "example.com/app:v1")
	data, saved := f.save(t, service.SaveOptions{}, "example.com/app:v1")
	return data, saved.Images[0].Root, amd
}

// TestSavedForCrane has crane's library read what is there of an image, as Docker's form
// and as a layout.
func TestSavedForCrane(t *testing.T) {
	t.Parallel()
	data, root, here := savedPart(t)
	tag, err := name.NewTag("example.com/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	im, err := tarball.Image(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }, &tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(im); err != nil {
		t.Error("as Docker's form:", err)
	}
	dir := t.TempDir()
	members, _ := testarchive.Unpack(t, data)
	for _, m := range members {
		if m.Kind == tar.TypeReg {
			path := filepath.Join(dir, filepath.FromSlash(m.Name))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(m.Data), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	l, err := layout.FromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	index, err := l.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 || manifest.Manifests[0].Digest.String() != root.Digest.String() {
		t.Fatalf("index.json: %+v, %v", manifest, err)
	}
	list, err := index.ImageIndex(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := list.IndexManifest()
	if err != nil || len(entries.Manifests) != 2 || entries.Manifests[0].Digest.String() != here.Digest.String() {
		t.Fatalf("the list: %+v, %v", entries, err)
	}
	one, err := list.Image(entries.Manifests[0].Digest)
	if err == nil {
		err = validate.Image(one)
	}
	if err != nil {
		t.Error("as a layout:", err)
	}
}

// TestSavedForContainerd has containerd's library import what is there of an image: every
// manifest that is listed must be there, as with `ctr image import --all-platforms`.
func TestSavedForContainerd(t *testing.T) {
	t.Parallel()
	data, root, _ := savedPart(t)
	store, err := local.NewStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx := namespaces.WithNamespace(t.Context(), "test")
	if _, err := ctdarchive.ImportIndex(ctx, store, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Info(ctx, root.Digest); err != nil {
		t.Error("the list:", err)
	}
	r, err := store.ReaderAt(ctx, root)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	raw := make([]byte, root.Size)
	if _, err := r.ReadAt(raw, 0); err != nil {
		t.Fatal(err)
	}
	for _, d := range digestsIn(string(raw)) {
		if _, err := store.Info(ctx, d); err != nil {
			t.Errorf("%s is listed: %v", d, err)
		}
	}
}

// digestsIn returns the digests in a document.
func digestsIn(text string) (all []digest.Digest) {
	for part := range strings.SplitSeq(text, `"`) {
		if d, err := digest.Parse(part); err == nil {
			all = append(all, d)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// peer returns a program of another tool; without it the test is skipped.
func peer(t *testing.T, program string) string {
	t.Helper()
	if os.Getenv("DHOW_TEST_LONG") == "" {
		t.Skip("it runs another tool: only in the long tests")
	}
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("there is no %s here", program)
	}
	return path
}

// run runs a program and returns what it has printed.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestSavedForSkopeo has skopeo read both forms.
func TestSavedForSkopeo(t *testing.T) {
	t.Parallel()
	skopeo := peer(t, "skopeo")
	data, root, here := savedPart(t)
	path := filepath.Join(t.TempDir(), "app.tar")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if raw := run(t, skopeo, "inspect", "--raw", "oci-archive:"+path); digest.FromString(raw) != root.Digest {
		t.Errorf("oci-archive: is %s, not %s", digest.FromString(raw), root.Digest)
	}
	to := t.TempDir()
	run(t, skopeo, "copy", "--insecure-policy", "--all", "oci-archive:"+path, "oci:"+to+"/whole:x")
	if _, err := os.Stat(filepath.Join(to, "whole", "blobs", "sha256", here.Digest.Encoded())); err != nil {
		t.Error(err)
	}
	run(t, skopeo, "--insecure-policy", "--override-arch=amd64", "copy", "docker-archive:"+path+":example.com/app:v1", "dir:"+to+"/one")
}

// TestSavedForCtr has `ctr image import` import all platforms of what is there.
func TestSavedForCtr(t *testing.T) {
	t.Parallel()
	ctr, address := peer(t, "ctr"), os.Getenv("CONTAINERD_ADDRESS")
	if address == "" {
		t.Skip("CONTAINERD_ADDRESS says no containerd that may be written to")
	}
	data, root, _ := savedPart(t)
	path := filepath.Join(t.TempDir(), "app.tar")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"--address", address, "--namespace", "dhow-test", "images"}
	run(t, ctr, append(args, "import", "--all-platforms", "--no-unpack", path)...)
	t.Cleanup(func() {
		_ = exec.CommandContext(context.Background(), ctr, append(args, "rm", "example.com/app:v1")...).Run() // at best
	})
	if out := run(t, ctr, append(args, "ls")...); !strings.Contains(out, root.Digest.String()) {
		t.Errorf("%s is not there:\n%s", root.Digest, out)
	}
}

// TestSavedForDocker has a daemon load what is there of an image, and Load read what that
// saves again.
func TestSavedForDocker(t *testing.T) {
	t.Parallel()
	docker, host := peer(t, "docker"), os.Getenv("DHOW_TEST_DOCKER_HOST")
	if host == "" {
		t.Skip("DHOW_TEST_DOCKER_HOST says no daemon that may be written to")
	}
	data, _, here := savedPart(t)
	path := filepath.Join(t.TempDir(), "app.tar")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if out := run(t, docker, "--host", host, "load", "-i", path); !strings.Contains(out, "Loaded image: example.com/app:v1") {
		t.Error(out)
	}
	t.Cleanup(func() {
		_ = exec.CommandContext(context.Background(), docker, "--host", host, "rmi", "example.com/app:v1").Run() // at best
	})
	back := filepath.Join(t.TempDir(), "back.tar")
	run(t, docker, "--host", host, "save", "-o", back, "example.com/app:v1")
	saved, err := os.Open(back)
	if err != nil {
		t.Fatal(err)
	}
	defer saved.Close()
	f := newFixture(t, service.Options{})
	if _, err := f.Load(t.Context(), saved, service.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Get(t.Context(), "example.com/app:v1", service.GetOptions{Platform: here.Platform}); err != nil {
		t.Error(err)
	}
}
