package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

func TestExists(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	closeStore(t, openStore(t, at("store"), embedded.Options{}))
	for _, err := range []error{
		os.Mkdir(at("empty"), 0o700), os.MkdirAll(at("other/home"), 0o700), os.MkdirAll(at("rest/blobs"), 0o700),
		os.WriteFile(at("file"), nil, 0o600), os.Symlink("store", at("link")), os.Symlink("loop", at("loop")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"store": "true", "link": "true", "rest": "true", "empty": "false", "other": "false", "nothing": "false",
		"file": "error", "file/below": "error", "loop": "error",
	} {
		there, err := embedded.Exists(at(name))
		got := fmt.Sprint(there)
		if err != nil {
			got = "error"
		}
		if got != want || err != nil && there {
			t.Errorf("%s: %v, %v; want %s", name, there, err, want)
		}
	}
}

// TestInfo: a damaged store tells what it can, and a store of any size is counted whole.
func TestInfo(t *testing.T) {
	t.Parallel()
	dir, src, _ := sampled(t)
	s := openStore(t, dir, embedded.Options{})
	sound := infoOf(t, s)
	visible := 0
	if err := s.Walk(t.Context(), "", func(store.Blob) error { visible++; return nil }); err != nil {
		t.Fatal(err)
	}
	if sound.State != store.Clean || sound.Reason != "" || len(sound.Untold) > 0 || sound.Blobs.Count != visible ||
		*sound.Names != 6 || *sound.Dangling != 1 || *sound.Leases != 1 || visible > len(src.Digests()) {
		t.Errorf("info: %+v, %d blobs", sound, visible)
	}
	closeStore(t, s)

	s = openStore(t, dir, embedded.Options{ReadOnly: true})
	read := infoOf(t, s)
	closeStore(t, s)
	if read.State != store.ReadOnly || !strings.Contains(read.Reason, "opened for reading only") {
		t.Errorf("opened for reading: %+v", read)
	}

	if err := errors.Join(os.Remove(filepath.Join(dir, "format")), os.Remove(filepath.Join(dir, "catalog.db"))); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir, embedded.Options{})
	defer closeStore(t, s)
	damaged := infoOf(t, s)
	if damaged.State != store.Degraded || !strings.Contains(damaged.Reason, "fsck --repair") || damaged.Format != 0 || damaged.Untold["format"] == "" {
		t.Errorf("damaged: %+v", damaged)
	}
	for _, i := range []*store.Info{&sound, &read, &damaged} {
		i.State, i.Reason, i.Format, i.Free, i.Untold = "", "", 0, nil, nil
	}
	if diff := cmp.Diff([]store.Info{sound, sound}, []store.Info{read, damaged}); diff != "" {
		t.Errorf("counted are, - when it was sound + later:\n%s", diff)
	}
}

func infoOf(t *testing.T, s *embedded.Store) store.Info {
	t.Helper()
	info, err := s.Info(t.Context())
	if err != nil {
		t.Fatal("Info:", err)
	}
	return info
}

func TestInfoIsCancelled(t *testing.T) {
	t.Parallel()
	s := openStore(t, filepath.Join(t.TempDir(), "store"), embedded.Options{})
	defer closeStore(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if info, err := s.Info(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Info: %+v, %v", info, err)
	}
}

func ExampleExists() {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	there, err := embedded.Exists(dir)
	if err != nil {
		log.Print(err)
	}
	fmt.Println(there)
	// Output: false
}

func ExampleStore_Info() {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	s, err := embedded.Open(ctx, filepath.Join(dir, "store"), embedded.Options{})
	if err != nil {
		log.Print(err)
		return
	}
	info, err := s.Info(ctx)
	if err := errors.Join(err, s.Close()); err != nil {
		log.Print(err)
		return
	}
	fmt.Println(info.Engine, info.Format, info.State, *info.Names)
	// Output: embedded 1 clean 0
}

// TestInfoOfClosed: a store that is closed tells nothing, rather than that it is clean.
func TestInfoOfClosed(t *testing.T) {
	t.Parallel()
	s := openStore(t, filepath.Join(t.TempDir(), "store"), embedded.Options{})
	closeStore(t, s)
	if info, err := s.Info(t.Context()); err == nil {
		t.Errorf("info: %+v", info)
	}
}
