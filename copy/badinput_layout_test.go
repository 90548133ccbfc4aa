package copy_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/internal/testimage"
)

func removeFile(path string) error { return os.Remove(path) }

// badLayouts are the rows on the files of a layout.
func badLayouts() []badInput {
	image := (*bad).image
	file := func(name, content string) func(b *bad) {
		return func(b *bad) { b.file(name, content) }
	}
	rows := []badInput{
		{name: "B71 no oci-layout", write: image, then: func(b *bad) { b.must(os.Remove(filepath.Join(b.dir, "oci-layout"))) }, kind: errdefs.ErrInvalidArgument, text: []string{"oci-layout"}},
		{name: "B71 layout version 2.0.0", write: image, then: file("oci-layout", `{"imageLayoutVersion":"2.0.0"}`), kind: errdefs.ErrInvalidArgument, text: []string{"2.0.0"}},
		{name: "B71 oci-layout is not JSON", write: image, then: file("oci-layout", "layout"), kind: errdefs.ErrInvalidArgument, text: []string{"oci-layout"}},
		{name: "B71 no index.json", write: image, then: func(b *bad) { b.must(os.Remove(filepath.Join(b.dir, "index.json"))) }, kind: errdefs.ErrInvalidArgument, text: []string{"index.json"}},
		{name: "B71 an empty index.json", write: image, then: file("index.json", ""), kind: errdefs.ErrInvalidArgument, text: []string{"index.json", "empty"}},
		{name: "B71 index.json is an array", write: image, then: file("index.json", "[]"), kind: errdefs.ErrInvalidArgument, text: []string{"index.json"}},
		{
			name: "B71 index.json of 1 GiB", write: image, kind: errdefs.ErrResourceExhausted, text: []string{"index.json", "8388608"},
			then: func(b *bad) { b.must(os.Truncate(filepath.Join(b.dir, "index.json"), 1<<30)) },
		},
		{name: "a layout that is not there", layout: "DIR:bad", kind: errdefs.ErrNotFound, text: []string{"source"}},
		{
			name: "B21 two entries with one name", kind: errdefs.ErrInvalidArgument, text: []string{`"bad"`},
			then: func(b *bad) {
				b.must(b.WriteLayout(b.dir, testimage.Named{Name: "bad", Desc: b.image()},
					testimage.Named{Name: "bad", Desc: b.Image(testimage.Image{Platform: linux("arm64", "")})}))
			},
		},
	}
	for _, name := range []string{"blobs", "blobs/sha256", "index.json", "oci-layout"} {
		rows = append(rows, badInput{
			name: "B72 " + name + " is a symbolic link", write: image, kind: errdefs.ErrInvalidArgument, text: []string{filepath.Base(name), "symbolic link"},
			then: func(b *bad) {
				path, elsewhere := filepath.Join(b.dir, name), filepath.Join(b.t.TempDir(), "elsewhere")
				b.must(os.Rename(path, elsewhere))
				b.must(os.Symlink(elsewhere, path))
			},
		})
	}
	for name, replace := range map[string]func(b *bad, path string){
		"a symbolic link":              func(b *bad, path string) { b.must(os.Symlink("/etc/hostname", path)) },
		"a link within the layout":     func(b *bad, path string) { b.must(os.Symlink("../../index.json", path)) },
		"a link to nothing":            func(b *bad, path string) { b.must(os.Symlink("nothing", path)) },
		"a directory":                  func(b *bad, path string) { b.must(os.Mkdir(path, 0o755)) },
		"a pipe that nobody writes to": func(b *bad, path string) { b.must(mkfifo(path)) },
	} {
		for role, of := range map[string]func(b *bad) string{
			"layer":    func(b *bad) string { return b.path(b.manifest(b.image()).Layers[0].Digest) },
			"manifest": func(b *bad) string { return b.path(b.image().Digest) },
		} {
			rows = append(rows, badInput{
				name: fmt.Sprintf("B72 a %s that is %s", role, name), write: image, kind: errdefs.ErrInvalidArgument, text: []string{"sha256:"},
				then: func(b *bad) {
					path := of(b)
					b.must(os.Remove(path))
					replace(b, path)
				},
			})
		}
	}
	return append(rows,
		badInput{name: "B72 a layer with two names", write: image, then: layerOf(func(b *bad, path string) {
			b.must(os.Link(path, filepath.Join(b.t.TempDir(), "second")))
		})},
		badInput{name: "B73 a manifest whose bytes are others", write: image, kind: errdefs.ErrDataLoss, text: []string{"sha256:"}, then: func(b *bad) {
			path := b.path(b.image().Digest)
			was, err := os.ReadFile(path)
			b.must(err)
			b.must(os.WriteFile(path, []byte(strings.Replace(string(was), "2", "3", 1)), 0o644))
		}},
		badInput{name: "B73 a file named in upper case", write: image, kind: errdefs.ErrUnavailable, text: []string{"layer sha256:"}, then: layerOf(func(b *bad, path string) {
			upper := filepath.Join(filepath.Dir(path), strings.ToUpper(filepath.Base(path)))
			b.must(os.Rename(path, upper))
		})},
	)
}

// TestBadDestinations are the rows on the place that is written to: the source is
// untouched, and what was there stays.
func TestBadDestinations(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		make func(t *testing.T, dst string)
		kind error
		text string
	}{
		{
			name: "B74 a directory with foreign files", kind: errdefs.ErrFailedPrecondition, text: "not an OCI image layout",
			make: func(t *testing.T, dst string) {
				t.Helper()
				write(t, filepath.Join(dst, "notes.txt"), "important")
			},
		},
		{
			name: "B74 a file", kind: errdefs.ErrFailedPrecondition, text: "destination",
			make: func(t *testing.T, dst string) {
				t.Helper()
				write(t, dst, "important")
			},
		},
		{
			name: "B74 a layout of another version", kind: errdefs.ErrInvalidArgument, text: "9.0.0",
			make: func(t *testing.T, dst string) {
				t.Helper()
				write(t, filepath.Join(dst, "oci-layout"), `{"imageLayoutVersion":"9.0.0"}`)
			},
		},
		{
			name: "B72 blobs lead out of the layout", kind: errdefs.ErrInvalidArgument, text: "blobs",
			make: func(t *testing.T, dst string) {
				t.Helper()
				write(t, filepath.Join(dst, "oci-layout"), `{"imageLayoutVersion":"1.0.0"}`)
				write(t, filepath.Join(dst, "index.json"), `{"schemaVersion":2,"manifests":[]}`)
				if err := os.Symlink(t.TempDir(), filepath.Join(dst, "blobs")); err != nil {
					t.Fatal(err)
				}
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s testimage.Store
			src, dst := filepath.Join(t.TempDir(), "source"), filepath.Join(t.TempDir(), "destination")
			if err := s.WriteLayout(src, testimage.Named{Name: "good", Desc: s.Image(testimage.Image{Platform: linux("amd64", "")})}); err != nil {
				t.Fatal(err)
			}
			tt.make(t, dst)
			before := tree(t, dst)
			_, err := copyLayouts(t.Context(), src+":good", dst+":new", copy.Options{})
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v; want %v with %q", err, tt.kind, tt.text)
			}
			if after := tree(t, dst); after != before {
				t.Errorf("the destination was\n%sand is\n%s", before, after)
			}
		})
	}
}

// TestBadBlobAtDestinationIsHealed shows that what is damaged where it is copied
// to is not taken for present.
func TestBadBlobAtDestinationIsHealed(t *testing.T) {
	t.Parallel()
	b := &bad{t: t, dir: filepath.Join(t.TempDir(), "source")}
	root := b.image()
	b.must(b.WriteLayout(b.dir, testimage.Named{Name: "good", Desc: root}))
	dst := &bad{t: t, dir: filepath.Join(t.TempDir(), "destination")}
	if _, err := copyLayouts(t.Context(), b.dir+":good", dst.dir+":new", copy.Options{}); err != nil {
		t.Fatal(err)
	}
	layers := b.manifest(root).Layers
	b.must(os.Truncate(dst.path(layers[0].Digest), 0))
	b.must(os.WriteFile(dst.path(layers[1].Digest), make([]byte, layers[1].Size), 0o644))
	rec, err := copyLayouts(t.Context(), b.dir+":good", dst.dir+":new", copy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := actions(rec); got[copy.Copied] != 2 || got[copy.Reused] != 2 {
		t.Errorf("the receipt says %v", got)
	}
	if _, err := copyLayouts(t.Context(), dst.dir+":new", filepath.Join(t.TempDir(), "third")+":x", copy.Options{}); err != nil {
		t.Errorf("not healed: %v", err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// tree lists what is below a path, with sizes and times.
func tree(t *testing.T, root string) string {
	t.Helper()
	var list strings.Builder
	err := filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			changed := info.ModTime()
			if info.IsDir() {
				changed = time.Time{} // a file that came and went
			}
			fmt.Fprintln(&list, path, info.Mode(), info.Size(), changed)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list.String()
}
