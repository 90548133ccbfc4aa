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
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	bolt "go.etcd.io/bbolt"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// changeDatabase changes the database of a store that is closed, behind its back.
func changeDatabase(t *testing.T, dir string, change func(*bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(filepath.Join(dir, "catalog.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(change), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// removeKeys removes every second key of a bucket.
func removeKeys(bucket string) func(*bolt.Tx) error {
	return func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(bucket))
		n, c := 0, b.Cursor()
		for key, _ := c.First(); key != nil; key, _ = c.Next() {
			if n++; n%2 == 0 {
				if err := b.Delete(key); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// TestWrongRecords: a sound database whose records are wrong is found out, by the journal
// and without it, and repaired.
func TestWrongRecords(t *testing.T) {
	t.Parallel()
	dir, src, want := sampled(t)
	for name, tc := range map[string]struct {
		change  func(*bolt.Tx) error
		derived bool // from other records, so that it is found without the journal
	}{
		"blobs":      {removeKeys("blobs"), false},
		"facts":      {removeKeys("facts"), false},
		"names":      {removeKeys("names"), false},
		"holds":      {func(tx *bolt.Tx) error { return emptyBucket(tx, "holds") }, false},
		"targets":    {removeKeys("targets"), true},
		"refs":       {removeKeys("refs"), true},
		"contained":  {removeKeys("contained"), true},
		"children":   {func(tx *bolt.Tx) error { return emptyBucket(tx, "children") }, true},
		"referrers":  {func(tx *bolt.Tx) error { return emptyBucket(tx, "referrers") }, true},
		"one more":   {func(tx *bolt.Tx) error { return tx.Bucket([]byte("targets")).Put([]byte("x"), nil) }, true},
		"next bytes": {func(tx *bolt.Tx) error { return tx.Bucket([]byte("bytes")).SetSequence(1) }, true},
		"next lease": {func(tx *bolt.Tx) error { return tx.Bucket([]byte("leases")).SetSequence(0) }, true},
	} {
		for _, alone := range []bool{false, true} {
			if alone && !tc.derived {
				continue
			}
			t.Run(name+map[bool]string{true: ", without a journal"}[alone], func(t *testing.T) {
				t.Parallel()
				dir := copyOf(t, dir)
				changeDatabase(t, dir, tc.change)
				if alone {
					if err := os.RemoveAll(filepath.Join(dir, "journal")); err != nil {
						t.Fatal(err)
					}
				}
				s := openStore(t, dir, embedded.Options{})
				defer closeStore(t, s)
				wantFinding(t, embedded.BadRecord, check(t, s, embedded.CheckOptions{}))
				wantFinding(t, embedded.BadRecord, check(t, s, embedded.CheckOptions{Repair: true}))
				wantSound(t, s)
				wantAnswers(t, "after a repair", want, answers(t, s, src))
			})
		}
	}
}

func emptyBucket(tx *bolt.Tx, name string) error {
	if err := tx.DeleteBucket([]byte(name)); err != nil {
		return err
	}
	_, err := tx.CreateBucket([]byte(name))
	return err
}

// TestBothDamaged: of a store whose database and journal are damaged both, what can be
// read in either is kept, and a lost blob is healed when it is written again.
func TestBothDamaged(t *testing.T) {
	t.Parallel()
	dir, src, want := sampled(t)
	names := 0
	for _, id := range livePages(t, dir) {
		dir := copyOf(t, dir)
		damagePage(t, filepath.Join(dir, "catalog.db"), id)
		damagePage(t, filepath.Join(dir, "journal/0000000000000001.log"), 1)
		s := openStore(t, dir, embedded.Options{})
		r := check(t, s, embedded.CheckOptions{Repair: true})
		if err := s.Degraded(); err != nil || !r.Sound() {
			t.Errorf("page %d: %v, %v", id, err, r.Findings)
		}
		if again := check(t, s, embedded.CheckOptions{}); !onlyLost(again) {
			t.Errorf("page %d: %v; want nothing but lost blobs", id, again.Findings)
		}
		got := answers(t, s, src)
		for ask, answer := range got {
			if strings.HasPrefix(ask, "bytes") && answer != want[ask] && answer != "not found" {
				t.Errorf("page %d: %s: %s; want %s", id, ask, answer, want[ask])
			}
			if strings.HasPrefix(ask, "name ") && answer == want[ask] {
				names++
			}
		}
		rewrite(t, s, src.copy(), want)
		wantSound(t, s)
		closeStore(t, s)
	}
	if names < 7*len(livePages(t, dir))/2 {
		t.Errorf("%d names were kept; want half of them", names)
	}
}

func damagePage(t *testing.T, path string, id int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		clear(page(data, id*pageSize))
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func onlyLost(r embedded.Report) bool {
	for _, f := range r.Findings {
		if f.Problem != embedded.BadBlob || f.Remedy != embedded.ByWriting {
			return false
		}
	}
	return true
}

// TestBehind: a database that has not seen the end of the journal, as a crash leaves it,
// is sound.
func TestBehind(t *testing.T) {
	t.Parallel()
	dir, src, _ := sampled(t)
	before, err := os.ReadFile(filepath.Join(dir, "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	s := openStore(t, dir, embedded.Options{})
	src.write(t, s, map[string]ocispec.Descriptor{"quay.io/x/later:1": src.Image(testimage.Image{Name: "later"})})
	want := answers(t, s, src)
	closeStore(t, s)
	if err := overwrite("catalog.db", before)(dir); err != nil {
		t.Fatal(err)
	}
	reader := openStore(t, dir, embedded.Options{ReadOnly: true})
	if r := check(t, reader, embedded.CheckOptions{}); len(r.Findings) > 0 && !onlyStrays(r) {
		t.Errorf("findings: %v; want none", r.Findings)
	}
	closeStore(t, reader)
	s = openStore(t, dir, embedded.Options{})
	defer closeStore(t, s)
	wantAnswers(t, "when it was opened again", want, answers(t, s, src))
	wantSound(t, s)
}

func onlyStrays(r embedded.Report) bool {
	for _, f := range r.Findings {
		if f.Problem != embedded.Stray {
			return false
		}
	}
	return true
}

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
	rounds := 8
	if long() {
		rounds = 100
	}
	seed := uint64(time.Now().UnixNano()) //nolint:gosec // any bits
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // reproducible
	for range rounds {
		dir := copyOf(t, dir)
		damage := []func(string) error{remove("catalog.db"), truncate("journal/0000000000000001.log", 10_000), remove("journal"), truncate("catalog.db", 20_000)}
		if err := damage[r.IntN(len(damage))](dir); err != nil {
			t.Fatal(err)
		}
		for range 1 + r.IntN(3) {
			cmd := elsewhere(t, "repair", dir)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(r.IntN(60_000)) * time.Microsecond)
			_ = cmd.Process.Kill() // it may have ended
			_ = cmd.Wait()
		}
		s := openStore(t, dir, embedded.Options{})
		wantAnswers(t, "after repairs that were killed", want, answers(t, s, src))
		check(t, s, embedded.CheckOptions{Repair: true})
		wantSound(t, s)
		wantAnswers(t, "after a repair", want, answers(t, s, src))
		closeStore(t, s)
	}
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
	ctx, cancel := context.WithCancel(t.Context())
	var ended time.Time
	told := false
	time.AfterFunc(20*time.Millisecond, func() { ended = time.Now(); cancel() })
	_, err := s.Check(ctx, embedded.CheckOptions{Progress: func(embedded.Report) { told = true }})
	if late := time.Since(ended); !errors.Is(err, context.Canceled) || late > 100*time.Millisecond || !told {
		t.Errorf("Check: %v, %v after its context had ended; told of: %t", err, late, told)
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
