package embedded_test

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// long reports whether the long tests are wanted.
func long() bool { return os.Getenv("DHOW_TEST_LONG") == "1" }

// sampled makes a store with a bit of everything, which is closed.
func sampled(t *testing.T) (dir string, src *source, want map[string]string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "store")
	s := openStore(t, dir, embedded.Options{})
	src = sample(t, s)
	want = answers(t, s, src)
	closeStore(t, s)
	return dir, src, want
}

// copyOf copies a store.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	err := os.CopyFS(to, os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(to, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o600) // which CopyFS does not keep
		if entry.IsDir() {
			mode = 0o700
		}
		return os.Chmod(path, mode)
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func check(t *testing.T, s *embedded.Store, opts embedded.CheckOptions) embedded.Report {
	t.Helper()
	r, err := s.Check(t.Context(), opts)
	if err != nil {
		t.Fatal("Check:", err)
	}
	return r
}

// wantSound checks that nothing is wrong with a store, and that it can be written to.
func wantSound(t *testing.T, s *embedded.Store) {
	t.Helper()
	if r := check(t, s, embedded.CheckOptions{}); len(r.Findings) > 0 || !r.Sound() {
		t.Errorf("findings: %v; want none", r.Findings)
	}
	if err := s.Degraded(); err != nil {
		t.Error("Degraded:", err)
	}
	if _, err := s.Lease(t.Context(), store.Lease{ID: "x"}); err != nil {
		t.Error("Lease:", err)
	}
	if err := s.Release(t.Context(), "x"); err != nil {
		t.Error("Release:", err)
	}
}

func wantAnswers(t *testing.T, when string, want, got map[string]string) {
	t.Helper()
	if !maps.Equal(want, got) {
		t.Errorf("%s, - wanted + got:\n%.3000s", when, cmp.Diff(want, got))
	}
}

func TestSoundStore(t *testing.T) {
	t.Parallel()
	dir, src, want := sampled(t)
	s := openStore(t, dir, embedded.Options{})
	defer closeStore(t, s)
	wantSound(t, s)
	r := check(t, s, embedded.CheckOptions{Repair: true})
	if len(r.Findings) > 0 || r.Blobs < 20 || r.Names != 7 || r.Bytes < 300_000 {
		t.Errorf("report: %+v", r)
	}
	wantAnswers(t, "after a repair of nothing", want, answers(t, s, src))
	if r := check(t, s, embedded.CheckOptions{Quick: true}); r.Bytes > 100_000 {
		t.Errorf("a quick check has read %d bytes", r.Bytes)
	}
}

// TestLostFiles: whatever of the store is missing or damaged as a whole, the store
// opens, says so, can still be read, and is repaired without loss.
func TestLostFiles(t *testing.T) {
	t.Parallel()
	dir, src, want := sampled(t)
	for name, tc := range map[string]struct {
		damage func(dir string) error
		found  embedded.Problem
	}{
		"no database":        {remove("catalog.db"), embedded.BadDatabase},
		"empty database":     {truncate("catalog.db", 0), embedded.BadDatabase},
		"short database":     {truncate("catalog.db", 5000), embedded.BadDatabase},
		"half a database":    {truncate("catalog.db", 40<<10), embedded.BadDatabase},
		"database of zeros":  {overwrite("catalog.db", make([]byte, 1<<20)), embedded.BadDatabase},
		"database is a text": {overwrite("catalog.db", bytes.Repeat([]byte("no database\n"), 10_000)), embedded.BadDatabase},
		"database is a link": {link("catalog.db"), embedded.BadDatabase},
		"no journal":         {remove("journal"), embedded.BadJournal},
		"empty journal":      {remove("journal/0000000000000001.log"), embedded.BadJournal},
		"short journal":      {truncate("journal/0000000000000001.log", 10_000), embedded.BadJournal},
		"journal of zeros":   {overwrite("journal/0000000000000001.log", make([]byte, 64<<10)), embedded.BadJournal},
		"no format":          {remove("format"), embedded.BadFormat},
		"empty format":       {truncate("format", 0), embedded.BadFormat},
		"format is nothing":  {overwrite("format", []byte("dhow store one\n")), embedded.BadFormat},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := copyOf(t, dir)
			if err := tc.damage(dir); err != nil {
				t.Fatal(err)
			}
			reader := openStore(t, dir, embedded.Options{ReadOnly: true})
			wantAnswers(t, "for reading only", want, answers(t, reader, src))
			wantFinding(t, tc.found, check(t, reader, embedded.CheckOptions{}))
			closeStore(t, reader)
			s := openStore(t, dir, embedded.Options{})
			defer func() { closeStore(t, s) }()
			wantAnswers(t, "before a repair", want, answers(t, s, src))
			wantDegraded(t, s)
			wantFinding(t, tc.found, check(t, s, embedded.CheckOptions{}))
			wantFinding(t, tc.found, check(t, s, embedded.CheckOptions{Repair: true}))
			wantSound(t, s)
			wantAnswers(t, "after a repair", want, answers(t, s, src))
			closeStore(t, s)
			s = openStore(t, dir, embedded.Options{})
			wantSound(t, s)
			wantAnswers(t, "when it was opened again", want, answers(t, s, src))
		})
	}
}

// wantDegraded checks that nothing can be written to a store, and that it is said what
// helps.
func wantDegraded(t *testing.T, s *embedded.Store) {
	t.Helper()
	ctx := t.Context()
	_, leaseErr := s.Lease(ctx, store.Lease{})
	_, beginErr := s.Begin(ctx, "held")
	_, moveErr := s.Move(ctx, store.Move{Name: "quay.io/x/old:latest"})
	_, collectErr := s.Collect(ctx)
	for what, err := range map[string]error{
		"Degraded": s.Degraded(), "Lease": leaseErr, "Begin": beginErr, "Move": moveErr, "Collect": collectErr,
		"Release": s.Release(ctx, "held"), "Hold": s.Hold(ctx, "held"), "Extend": s.Extend(ctx, "held", time.Time{}), "Abort": s.Abort(ctx, "ref"),
	} {
		if !errdefs.IsFailedPrecondition(err) || !strings.Contains(err.Error(), "dhow fsck --repair") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func wantFinding(t *testing.T, want embedded.Problem, r embedded.Report) {
	t.Helper()
	if !slices.ContainsFunc(r.Findings, func(f embedded.Finding) bool { return f.Problem == want && f.Err != nil }) {
		t.Errorf("findings: %v; want one of %s", r.Findings, want)
	}
}

func remove(name string) func(string) error {
	return func(dir string) error { return os.RemoveAll(filepath.Join(dir, name)) }
}

func truncate(name string, size int64) func(string) error {
	return func(dir string) error { return os.Truncate(filepath.Join(dir, name), size) }
}

func overwrite(name string, data []byte) func(string) error {
	return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), data, 0o600) }
}

func link(name string) func(string) error {
	return func(dir string) error {
		if err := os.Rename(filepath.Join(dir, name), filepath.Join(dir, "..", "elsewhere")); err != nil {
			return err
		}
		return os.Symlink(filepath.Join("..", "elsewhere"), filepath.Join(dir, name))
	}
}

// TestEverythingLost: of a store that has lost database and journal the blobs in files
// are still there.
func TestEverythingLost(t *testing.T) {
	t.Parallel()
	dir, src, _ := sampled(t)
	for _, name := range []string{"catalog.db", "journal"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	s := openStore(t, dir, embedded.Options{})
	defer closeStore(t, s)
	wantFinding(t, embedded.Stray, check(t, s, embedded.CheckOptions{Repair: true}))
	wantSound(t, s)
	if _, err := store.Collect(t.Context(), s); err != nil {
		t.Error("Collect:", err)
	}
	wantLarge(t, s, src)
	leases, err := s.Leases(t.Context())
	if err != nil || len(leases) != 1 || !strings.HasPrefix(leases[0].ID, "recovered") || time.Until(leases[0].Until) < 24*time.Hour {
		t.Errorf("leases: %+v, %v; want one that holds what was recovered", leases, err)
	}
}

// wantLarge checks that the blobs of the sample that are in files are there.
func wantLarge(t *testing.T, s *embedded.Store, src *source) {
	t.Helper()
	large := 0
	for _, d := range src.Digests() {
		if len(src.Get(d)) > 64<<10 && read(t, s, src, d) == "ok" {
			large++
		}
	}
	if large != 4 {
		t.Errorf("%d large blobs are there; want 4", large)
	}
}
