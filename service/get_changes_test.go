package service_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// TestGetDamaged has bytes of a large and a small config change behind the store's back,
// and its file go.
func TestGetDamaged(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	s, err := embedded.Open(t.Context(), dir, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // it may be damaged
	f := &fixture{service.New(s, amd64), s, &testimage.Store{}}
	root := f.labelled(map[string]string{"x": strings.Repeat("x", 100_000)})
	f.put(t, root, "a:1")
	f.Get(t.Context(), "a:1", service.GetOptions{}) //nolint:errcheck // what was cached must not hide anything
	config := f.config(t, root)
	file := findFile(t, dir, config.Encoded())
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[50_000] ^= 1
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Get(t.Context(), "a:1", service.GetOptions{}); !errdefs.IsDataLoss(err) || !strings.Contains(err.Error(), config.String()) {
		t.Errorf("Get of a damaged config: %v, want ErrDataLoss with its digest", err)
	}
	if _, err := f.History(t.Context(), "a:1", nil); !errdefs.IsDataLoss(err) {
		t.Errorf("History of a damaged config: %v, want ErrDataLoss", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Get(t.Context(), "a:1", service.GetOptions{}); !errors.Is(err, service.ErrConfigMissing) || !errdefs.IsNotFound(err) {
		t.Errorf("Get without the config's file: %v, want ErrConfigMissing", err)
	}
	f.putBlobs(t, root)
	if img := get(t, f, "a:1", service.GetOptions{}); string(img.Config) != string(f.src.Get(config)) {
		t.Error("the config that was written again is another one")
	}
}

func findFile(t *testing.T, dir, name string) string {
	t.Helper()
	var found string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if filepath.Base(path) == name {
			found = path
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("no file %s: %v", name, err)
	}
	return found
}

// TestGetAfterChanges asks of one image as parts of it come and go: nothing that was
// kept of it may answer.
func TestGetAfterChanges(t *testing.T) {
	t.Parallel()
	f := newFixture(t, amd64)
	p := f.parts(t, two)
	root, arm := p.root, p.order[1]
	config := f.config(t, arm)
	f.putPart(t, root, func(n *image.Node) bool { return n.Desc.Digest == config }, "a")
	wantArm := func(want service.Presence) {
		t.Helper()
		all, err := f.List(t.Context(), service.ListOptions{})
		if err != nil || all[0].Instances[1].Presence != want {
			t.Errorf("List has it %v, %v; want %s", all, err, want)
		}
		img := get(t, f, "a", service.GetOptions{Details: true})
		if got := img.Details.Instances[1]; got.Presence != want || got.Created.IsZero() != (want != service.Complete) {
			t.Errorf("Get has it %s created %s; want %s", got.Presence, got.Created, want)
		}
	}
	wantArm(service.Partial)
	f.putBlobs(t, root)
	wantArm(service.Complete)
	if err := f.store.Drop(t.Context(), root.Digest, arm.Digest); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Collect(t.Context(), f.store); err != nil {
		t.Fatal(err)
	}
	wantArm(service.Absent)
	f.putBlobs(t, root)
	wantArm(service.Complete)
}
