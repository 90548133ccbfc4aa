package embedded_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// TestSurvey checks that a survey says of every blob what Blob says: of thousands of small
// ones, of a large one and one whose file is gone, and by every algorithm.
func TestSurvey(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	s := openStore(t, dir, embedded.Options{})
	defer closeStore(t, s)
	ingest(t, s, 400) // more than a survey has room for at first
	src := sample(t, s)
	sum := &source{Store: &testimage.Store{Algorithm: digest.SHA512}}
	other := sum.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, LayerSize: 90_000})
	sum.write(t, s, map[string]ocispec.Descriptor{"quay.io/x/sha512:1": other})
	var digests []digest.Digest
	err := s.Walk(t.Context(), "", func(b store.Blob) error {
		digests = append(digests, b.Digest)
		return nil
	})
	if err != nil || len(digests) < 2500 {
		t.Fatalf("%d blobs, %v", len(digests), err)
	}
	lost := digest.Digest("")
	for _, d := range src.Digests() {
		file := filepath.Join(dir, "blobs", d.Algorithm().String(), d.Encoded()[:2], d.Encoded())
		if os.Remove(file) == nil {
			lost = d
			break
		}
	}
	if lost == "" {
		t.Fatal("no blob has a file")
	}
	digests = append(append(digests, src.Digests()...), digest.FromString("nobody has it"), "", "sha256:", "md5:d41d8cd98f00b204e9800998ecf8427e")
	for range 2 { // the second one knows how large the first one was
		err = s.View(t.Context(), func(r store.NameReader) error {
			all, err := r.(store.Surveyor).Survey()
			if err != nil {
				return err
			}
			for _, d := range digests {
				blob, want := r.Blob(d)
				size, err := all.Size(d)
				if size != blob.Size || kindName(err) != kindName(want) {
					t.Errorf("the survey says of %q: %d, %v; Blob: %d, %v", d, size, err, blob.Size, want)
				}
			}
			if _, err := all.Size(lost); !errdefs.IsNotFound(err) {
				t.Errorf("of a blob whose file is gone: %v", err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestSmall reads small blobs in a view, and is sent on for those in files.
func TestSmall(t *testing.T) {
	t.Parallel()
	s := openStore(t, filepath.Join(t.TempDir(), "store"), embedded.Options{})
	defer closeStore(t, s)
	src := sample(t, s)
	small, large := 0, 0
	err := s.View(t.Context(), func(r store.NameReader) error {
		for _, d := range src.Digests() {
			blob, missing := r.Blob(d)
			data, err := r.(store.SmallReader).Small(d)
			switch {
			case missing != nil:
				if kindName(err) != kindName(missing) {
					t.Errorf("%s, which is not there: %v", d, err)
				}
			case errdefs.IsNotImplemented(err) && blob.Size > 64<<10:
				large++
			case err != nil || string(data) != string(src.Get(d)):
				t.Errorf("%s of %d bytes: %d bytes, %v", d, blob.Size, len(data), err)
			default:
				small++
			}
		}
		_, err := r.(store.SmallReader).Small("sha256:x")
		if !errdefs.IsInvalidArgument(err) {
			t.Errorf("of no digest: %v", err)
		}
		return nil
	})
	if err != nil || small == 0 || large == 0 {
		t.Errorf("%d small blobs, %d large ones, %v", small, large, err)
	}
}
