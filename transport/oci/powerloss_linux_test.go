package oci

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/powerloss"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/internal/verify"
	"github.com/dhowhq/dhow/transport"
)

// TestPowerLoss writes to a file system of its own, copies that file system's
// bytes as if the power had gone, half-way through an image or after one, and
// looks at what is left: every committed name, all that it points at, and no blob
// that is not what it says.
func TestPowerLoss(t *testing.T) {
	if os.Getenv("DHOW_TEST_LONG") != "1" {
		t.Skip("long; DHOW_TEST_LONG=1 runs it")
	}
	// A journal that is not written on its own shows what was never synced, one that
	// is written every second shows names that were there before their bytes.
	for every, pause := range map[string]time.Duration{"commit=1000": 0, "commit=1": 1200 * time.Millisecond} {
		t.Run(every, func(t *testing.T) {
			disk := powerloss.New(t, powerloss.Options{Mount: every})
			dir := filepath.Join(disk.Dir(), "layout")
			crash := func(committed int) {
				time.Sleep(pause)
				crashed, _ := disk.Crash(t).Mount(t, "data=ordered")
				checkCrashed(t, filepath.Join(crashed, "layout"), committed)
			}
			for i := range 60 {
				halfWay := func() {
					if i%20 == 10 {
						crash(i)
					}
				}
				if err := writeOne(t, dir, i, halfWay); err != nil {
					t.Fatal(err)
				}
				if i%20 == 0 {
					crash(i + 1)
				}
			}
		})
	}
}

// writeOne writes an image with large layers, one with a small one, and gives the
// first the name n<i>, after a call of before.
func writeOne(t *testing.T, dir string, i int, before func()) error {
	t.Helper()
	s := &testimage.Store{}
	small := s.Image(testimage.Image{Platform: linux("arm64"), Name: fmt.Sprint(i)})
	im := s.Image(testimage.Image{Platform: linux("amd64"), Name: fmt.Sprint(i), Layers: 2, LayerSize: 1200 << 10})
	d, err := OpenDestination(t.Context(), Reference{Path: dir, Name: fmt.Sprintf("n%d", i)}, Options{})
	if err != nil {
		return err
	}
	put(t, d, s, small)
	put(t, d, s, im)
	before()
	_, err = d.Commit(t.Context(), []transport.Naming{{Desc: im}})
	return errors.Join(err, d.Close())
}

func checkCrashed(t *testing.T, dir string, committed int) {
	t.Helper()
	src := openSource(t, dir, Options{})
	names := 0
	err := src.Names(t.Context(), func(name string) bool {
		names++
		desc, err := src.Resolve(t.Context(), name)
		if err != nil {
			t.Error(err)
			return true
		}
		graph, err := image.Walker{Fetch: func(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
			return transport.Fetch(ctx, src, desc, 4<<20)
		}}.Walk(t.Context(), desc)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return true
		}
		for _, n := range graph.Nodes() {
			if _, err := os.Stat(blobPath(dir, n.Desc.Digest)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		return true
	})
	if err != nil || names < committed {
		t.Errorf("%d names (%v); %d were committed", names, err, committed)
	}
	err = filepath.WalkDir(filepath.Join(dir, ocispec.ImageBlobsDir), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return verify.Stream(t.Context(), f, digest.NewDigestFromEncoded(digest.SHA256, filepath.Base(path)), verify.Unknown)
	})
	if err != nil {
		t.Errorf("after %d commits: %v", committed, err)
	}
}
