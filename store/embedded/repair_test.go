package embedded_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// TestMisplaced: what has no place in a store, or may be used by others, is found, and set
// aside or set right.
func TestMisplaced(t *testing.T) {
	t.Parallel()
	dir, src, want := sampled(t)
	blob := strings.Repeat("ab", 32)
	for name, tc := range map[string]struct {
		change func(dir string) error
		found  embedded.Finding
	}{
		"a file at the top":        {overwrite("notes", []byte("x")), embedded.Finding{Problem: embedded.Stray, What: "notes"}},
		"a link at the top":        {func(dir string) error { return os.Symlink("/etc", filepath.Join(dir, "etc")) }, embedded.Finding{Problem: embedded.Stray, What: "etc"}},
		"a file in the journal":    {overwrite("journal/x.log", []byte("x")), embedded.Finding{Problem: embedded.Stray, What: "journal/x.log"}},
		"a directory among blobs":  {mkdir("blobs/md5/x"), embedded.Finding{Problem: embedded.Stray, What: "blobs/md5"}},
		"a directory as a blob":    {mkdir("blobs/sha256/ab/" + blob), embedded.Finding{Problem: embedded.Stray, What: "blobs/sha256/ab/" + blob}},
		"a directory in ingest":    {mkdir("ingest/x"), embedded.Finding{Problem: embedded.Stray, What: "ingest/x"}},
		"a name that is too long":  {overwrite(strings.Repeat("x", 255), nil), embedded.Finding{Problem: embedded.Stray, What: strings.Repeat("x", 255)}},
		"a journal for all":        {chmod("journal", 0o755), embedded.Finding{Problem: embedded.BadMode, What: "journal/0000000000000001.log"}},
		"a database for all":       {chmod("catalog.db", 0o644), embedded.Finding{Problem: embedded.BadMode, What: "catalog.db"}},
		"a file for others in bad": {func(dir string) error { return os.WriteFile(filepath.Join(dir, "bad/x.1"), nil, 0o644) }, embedded.Finding{Problem: embedded.BadMode, What: "bad/x.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := copyOf(t, dir)
			if err := tc.change(dir); err != nil {
				t.Fatal(err)
			}
			s := openStore(t, dir, embedded.Options{})
			defer closeStore(t, s)
			for _, opts := range []embedded.CheckOptions{{}, {Repair: true}} {
				var found []embedded.Finding
				opts.Found = func(f embedded.Finding) { found = append(found, f) }
				r := check(t, s, opts)
				if len(r.Findings) != 1 || r.Findings[0].Problem != tc.found.Problem || r.Findings[0].What != tc.found.What || r.Sound() != opts.Repair || len(found) != 1 || found[0].Repaired {
					t.Errorf("findings: %v; want %v", r.Findings, tc.found)
				}
			}
			wantSound(t, s)
			wantAnswers(t, "after a repair", want, answers(t, s, src))
		})
	}
}

func mkdir(name string) func(string) error {
	return func(dir string) error { return os.MkdirAll(filepath.Join(dir, name), 0o700) }
}

// chmod changes the mode of a file, or of what is in a directory.
func chmod(name string, mode os.FileMode) func(string) error {
	return func(dir string) error {
		entries, err := os.ReadDir(filepath.Join(dir, name))
		if err != nil {
			return os.Chmod(filepath.Join(dir, name), mode)
		}
		return os.Chmod(filepath.Join(dir, name, entries[0].Name()), mode)
	}
}

// TestRepairIsKilled: a repair that is killed, whenever that is, can be repeated.
func TestRepairIsKilled(t *testing.T) {
	t.Parallel()
	dir, src, want := sampled(t)
	rounds := 10
	if long() {
		rounds = 100
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	damages := [][]func(string) error{
		{remove("catalog.db")}, {truncate("catalog.db", 20_000)}, {remove("journal")}, {truncate("journal/0000000000000001.log", 10_000)},
		{remove("catalog.db"), remove("journal")},
	}
	for n := range rounds {
		dir := copyOf(t, dir)
		damage := damages[n%len(damages)]
		for _, do := range damage {
			if err := do(dir); err != nil {
				t.Fatal(err)
			}
		}
		for range 1 + r.IntN(3) {
			kill(t, dir, time.Duration(r.IntN(60_000))*time.Microsecond)
		}
		s := openStore(t, dir, embedded.Options{})
		check(t, s, embedded.CheckOptions{Repair: true})
		wantSound(t, s)
		if wantLarge(t, s, src); len(damage) == 1 {
			wantAnswers(t, "after a repair", want, answers(t, s, src))
		}
		closeStore(t, s)
	}
}

// kill has another process repair a store, and kills it after a while.
func kill(t *testing.T, dir string, after time.Duration) {
	t.Helper()
	cmd := elsewhere(t, "repair", dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	_ = cmd.Process.Kill() // it may have ended
	_ = cmd.Wait()
}

// repair is the role of a process that repairs a store.
func repair(input []byte) error {
	var dir string
	if err := json.Unmarshal(input, &dir); err != nil {
		return err
	}
	s, err := embedded.Open(context.Background(), dir, embedded.Options{})
	if err != nil {
		return err
	}
	_, err = s.Check(context.Background(), embedded.CheckOptions{Repair: true})
	return errors.Join(err, s.Close())
}

// TestCheckIsStopped: a check ends soon after its context, and tells how far it is.
func TestCheckIsStopped(t *testing.T) {
	t.Parallel()
	s := openStore(t, filepath.Join(t.TempDir(), "store"), embedded.Options{})
	defer closeStore(t, s)
	src := &source{Store: &testimage.Store{}}
	b, _ := newBatch(t, s)
	src.put(t, b, src.Put("text/plain", bytes.Repeat([]byte("large"), 40<<20)), image.RoleLayer)
	if _, err := b.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	closeStore(t, b)
	least := time.Hour // of several tries: what a loaded machine adds is not the check's
	for try := 0; try < 20 && least > 100*time.Millisecond; try++ {
		ctx, cancel := context.WithCancel(t.Context())
		var ended time.Time
		told := false
		time.AfterFunc(20*time.Millisecond, func() { ended = time.Now(); cancel() })
		_, err := s.Check(ctx, embedded.CheckOptions{Progress: func(embedded.Report) { told = true }})
		if !errors.Is(err, context.Canceled) || !told {
			t.Fatalf("Check: %v; told of: %t", err, told)
		}
		least = min(least, time.Since(ended))
	}
	if least > 100*time.Millisecond {
		t.Errorf("Check ended %v after its context", least)
	}
	if _, err := s.Lease(t.Context(), store.Lease{}); err != nil {
		t.Error("Lease after that:", err)
	}
	reader := s.Degraded()
	if reader != nil {
		t.Error("Degraded:", reader)
	}
}

// TestRepairForReadingOnly is refused.
func TestRepairForReadingOnly(t *testing.T) {
	t.Parallel()
	dir, _, _ := sampled(t)
	s := openStore(t, dir, embedded.Options{ReadOnly: true})
	if _, err := s.Check(t.Context(), embedded.CheckOptions{Repair: true}); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("Check: %v", err)
	}
	closeStore(t, s)
	if _, err := s.Check(t.Context(), embedded.CheckOptions{}); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("Check when it was closed: %v", err)
	}
}
