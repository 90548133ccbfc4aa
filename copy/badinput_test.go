package copy_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/transport/oci"
)

// badInput is one row of the catalogue of bad input: what is wrong with a source,
// and what a copy of it says.
type badInput struct {
	name string
	// write makes the source; it returns the root that is named "bad".
	write func(b *bad) ocispec.Descriptor
	// then damages the layout that was written.
	then func(b *bad)
	// parse is a reference to a registry to be parsed instead; layout one to a
	// layout.
	parse, layout string
	opts          copy.Options
	kind          error // nil: the copy succeeds
	text          []string
	// check looks at what was copied.
	check func(t *testing.T, rec *copy.Receipt)
}

// bad is a source in the making.
type bad struct {
	testimage.Store
	t   *testing.T
	dir string
}

// image is an image for linux/amd64.
func (b *bad) image() ocispec.Descriptor {
	return b.Image(testimage.Image{Platform: linux("amd64", ""), Layers: 2})
}

// manifest is the decoded manifest of an image, to be changed and put again.
func (b *bad) manifest(d ocispec.Descriptor) ocispec.Manifest {
	var m ocispec.Manifest
	if err := json.Unmarshal(b.Get(d.Digest), &m); err != nil {
		b.t.Fatal(err)
	}
	return m
}

// changed is an image whose manifest was changed.
func (b *bad) changed(change func(m *ocispec.Manifest)) ocispec.Descriptor {
	m := b.manifest(b.image())
	change(&m)
	return b.JSON(ocispec.MediaTypeImageManifest, m)
}

// edited is an image in whose manifest a text is replaced by another.
func (b *bad) edited(old, replacement string) ocispec.Descriptor {
	was := string(b.Get(b.image().Digest))
	is := strings.Replace(was, old, replacement, 1)
	if is == was {
		b.t.Fatalf("no %s in %s", old, was)
	}
	return b.raw(is)
}

// raw is a manifest of these bytes.
func (b *bad) raw(manifest string) ocispec.Descriptor {
	return b.Store.Put(ocispec.MediaTypeImageManifest, []byte(manifest))
}

// rawIndex is an index of these bytes.
func (b *bad) rawIndex(index string) ocispec.Descriptor {
	return b.Store.Put(ocispec.MediaTypeImageIndex, []byte(index))
}

// path is that of a blob in the layout.
func (b *bad) path(d digest.Digest) string {
	return filepath.Join(b.dir, "blobs", d.Algorithm().String(), d.Encoded())
}

// must ends the test on an error.
func (b *bad) must(err error) {
	if err != nil {
		b.t.Fatal(err)
	}
}

// file writes a file of the layout.
func (b *bad) file(name, content string) {
	b.must(os.WriteFile(filepath.Join(b.dir, name), []byte(content), 0o644))
}

// copied copies the bad source into a fresh layout.
func (r badInput) copied(t *testing.T, dst string) (*copy.Receipt, error) {
	t.Helper()
	if r.parse != "" {
		_, err := ref.Parse(r.parse)
		return nil, err
	}
	b := &bad{t: t, dir: filepath.Join(t.TempDir(), "source")}
	if r.write != nil {
		b.must(b.WriteLayout(b.dir, testimage.Named{Name: "bad", Desc: r.write(b)}))
	}
	if r.then != nil {
		r.then(b)
	}
	details := b.dir + ":bad"
	if r.layout != "" {
		details = strings.ReplaceAll(r.layout, "DIR", b.dir)
	}
	return copyLayouts(t.Context(), details, dst+":copied", r.opts)
}

// copyLayouts copies from one layout to another.
func copyLayouts(ctx context.Context, from, to string, opts copy.Options) (rec *copy.Receipt, err error) {
	fromRef, err := oci.Parse(from)
	if err != nil {
		return nil, err
	}
	toRef, err := oci.Parse(to)
	if err != nil {
		return nil, err
	}
	src, err := oci.OpenSource(ctx, fromRef, oci.Options{})
	if err != nil {
		return nil, err
	}
	defer src.Close()
	dst, err := oci.OpenDestination(ctx, toRef, oci.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	return copy.Image(ctx, dst, src, opts)
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	rows := append(badDescriptors(), badDocuments()...)
	rows = append(rows, badLayouts()...)
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			dst := filepath.Join(t.TempDir(), "destination")
			rec, err := r.copied(t, dst)
			if r.kind == nil {
				if err != nil {
					t.Fatal(err)
				}
				if r.check != nil {
					r.check(t, rec)
				}
				return
			}
			if !errors.Is(err, r.kind) {
				t.Fatalf("error %v; want the kind %v", err, r.kind)
			}
			for _, text := range r.text {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("error %v; want it to name %q", err, text)
				}
			}
			decentText(t, err)
			nothingVisible(t, dst)
		})
	}
}

// decentText demands of an error that it is short and has no control characters.
func decentText(t *testing.T, err error) {
	t.Helper()
	text := err.Error()
	if strings.Contains(text, "hunter2") {
		t.Errorf("a secret in %q", text)
	}
	if len(text) > 2048 {
		t.Errorf("an error of %d bytes", len(text))
	}
	if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }); i >= 0 {
		t.Errorf("a control character in %q", text)
	}
}

// nothingVisible demands that a failed copy has named nothing, published no blob
// that does not match its digest, and left no temporary file.
func nothingVisible(t *testing.T, dst string) {
	t.Helper()
	err := filepath.WalkDir(dst, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || e.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dst, path)
		parts := strings.Split(filepath.ToSlash(rel), "/")
		switch {
		case rel == "oci-layout":
		case rel == "index.json":
			if data, err := os.ReadFile(path); err != nil || strings.Contains(string(data), "digest") {
				t.Errorf("a name in %s (%v)", data, err)
			}
		case len(parts) == 3 && parts[0] == "blobs":
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if d := digest.Digest(parts[1] + ":" + parts[2]); d.Validate() != nil || d.Algorithm().FromBytes(data) != d {
				t.Errorf("%s does not match its name", rel)
			}
		default:
			t.Errorf("%s is there", rel)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
