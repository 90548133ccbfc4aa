package embedded_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// treeOf returns what is in a directory, whatever it is: its type and mode, and the bytes
// of files. Some names are left out.
func treeOf(tb testing.TB, dir string, without ...string) map[string]string {
	tb.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if slices.Contains(without, name) {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		all[name] = info.Mode().String()
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			all[name] += " " + string(data)
			return err
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// TestNewerFormat: a store of a newer format is refused and not touched.
func TestNewerFormat(t *testing.T) {
	t.Parallel()
	dir, _, _ := sampled(t)
	for _, version := range []string{"2", "10", "999999999999", "99999999999999999999999999"} {
		for _, opts := range []embedded.Options{{}, {ReadOnly: true}} {
			if err := os.WriteFile(filepath.Join(dir, "format"), []byte("dhow store "+version+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(dir, "catalog.db")); err != nil && !errors.Is(err, fs.ErrNotExist) { // which may be another one
				t.Fatal(err)
			}
			before := treeOf(t, dir, "lock")
			s, err := embedded.Open(t.Context(), dir, opts)
			if !errdefs.IsNotImplemented(err) || !strings.Contains(err.Error(), "format "+version) {
				t.Errorf("Open of format %s: %v, %v; want a refusal", version, s, err)
			}
			if diff := cmp.Diff(before, treeOf(t, dir, "lock")); diff != "" {
				t.Errorf("format %s, - before + after:\n%.1000s", version, diff)
			}
		}
	}
}

// TestInterruptedMaking: what is left of the making of a store is no store, and in no way
// of another try.
func TestInterruptedMaking(t *testing.T) {
	t.Parallel()
	whole := filepath.Join(t.TempDir(), "store")
	closeStore(t, openStore(t, whole, embedded.Options{}))
	const segment = "journal/0000000000000001.log"
	made := []string{"lock", "blobs", "ingest", "trash", "bad", "journal", segment, "catalog.db", "format"}
	for n := range made {
		for _, size := range []int64{0, 20, 5000, -1} { // of the last file
			dir := copyOf(t, whole)
			for _, name := range made[n+1:] {
				if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			last := filepath.Join(dir, made[n])
			info, err := os.Stat(last)
			if err != nil {
				t.Fatal(err)
			}
			if made[n] == "format" { // which is renamed when it is whole
				err = os.Rename(last, last+".new")
			} else if size >= 0 && info.Mode().IsRegular() {
				err = os.Truncate(last, min(size, info.Size()))
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := embedded.Open(t.Context(), dir, embedded.Options{ReadOnly: true}); !errdefs.IsNotFound(err) {
				t.Errorf("%s, %d bytes: Open for reading: %v; want that there is none", made[n], size, err)
			}
			s := openStore(t, dir, embedded.Options{})
			wantSound(t, s)
			closeStore(t, s)
			s = openStore(t, dir, embedded.Options{})
			wantSound(t, s)
			closeStore(t, s)
		}
	}
}

// TestInterruptedSegment: a crash in the making of a segment of the journal harms nothing.
func TestInterruptedSegment(t *testing.T) {
	t.Parallel()
	dir, src, want := sampled(t)
	for name, left := range map[string][]byte{"empty": {}, "a part": []byte("dhow"), "zeros": make([]byte, 64<<10)} {
		dir := copyOf(t, dir)
		if err := os.WriteFile(filepath.Join(dir, "journal/0000000000000002.log"), left, 0o600); err != nil {
			t.Fatal(err)
		}
		s := openStore(t, dir, embedded.Options{})
		wantSound(t, s)
		wantAnswers(t, name, want, answers(t, s, src))
		closeStore(t, s)
	}
}

// TestEverythingLostButFormat: a store is not taken for a new one because there is nothing
// left of it.
func TestEverythingLostButFormat(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	s := openStore(t, dir, embedded.Options{})
	if _, err := s.Lease(t.Context(), store.Lease{ID: "x"}); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	for _, name := range []string{"journal", "catalog.db"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	s = openStore(t, dir, embedded.Options{})
	defer closeStore(t, s)
	if err := s.Degraded(); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("Degraded: %v", err)
	}
	check(t, s, embedded.CheckOptions{Repair: true})
	wantSound(t, s)
}
