package embedded_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// TestOutline checks that outlines say of blobs what Blob, Facts and Small say, of those whose
// files are gone too.
func TestOutline(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	s := openStore(t, dir, embedded.Options{})
	defer closeStore(t, s)
	src := sample(t, s)
	lost := 0
	for i, d := range src.Digests() {
		file := filepath.Join(dir, "blobs", d.Algorithm().String(), d.Encoded()[:2], d.Encoded())
		if i%2 == 0 && os.Remove(file) == nil {
			lost++
		}
	}
	if lost == 0 {
		t.Fatal("no blob has a file")
	}
	err := s.View(t.Context(), func(r store.NameReader) error {
		records, err := r.List("", 0)
		for _, rec := range records {
			wantOutline(t, r, rec.Target.Digest)
		}
		if _, err := r.(store.Outliner).Outline(digest.FromString("no target")); !errdefs.IsNotFound(err) {
			t.Errorf("of what is no target: %v", err)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func wantOutline(t *testing.T, r store.NameReader, target digest.Digest) {
	t.Helper()
	o, err := r.(store.Outliner).Outline(target)
	if err != nil {
		t.Fatalf("outline of %s: %v", target, err)
	}
	for documents := []digest.Digest{target}; len(documents) > 0; documents = documents[1:] {
		d := documents[0]
		facts, missing := r.Facts(d)
		found, err := o.Facts(d)
		if diff := cmp.Diff(facts, found); diff != "" || kindName(err) != kindName(missing) {
			t.Errorf("facts of %s: %v; want %v, - wanted + found:\n%s", d, err, missing, diff)
		}
		for _, e := range facts.Edges {
			d := e.Desc.Digest
			documents = append(documents, d)
			blob, missing := r.Blob(d)
			size, err := o.Size(d)
			if size != blob.Size || kindName(err) != kindName(missing) {
				t.Errorf("%s: %d, %v; Blob: %d, %v", d, size, err, blob.Size, missing)
			}
			want, missing := r.(store.SmallReader).Small(d)
			data, err := o.Small(d)
			if string(data) != string(want) || kindName(err) != kindName(missing) {
				t.Errorf("%s: %d bytes, %v; Small: %d bytes, %v", d, len(data), err, len(want), missing)
			}
		}
	}
}
