package embedded_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	bolt "go.etcd.io/bbolt"

	"github.com/dhowhq/dhow/internal/testimage"
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
		"no suspect": {func(tx *bolt.Tx) error { return tx.Bucket([]byte("suspects")).Put([]byte("x"), nil) }, true},
		"no lease":   {func(tx *bolt.Tx) error { return tx.Bucket([]byte("ended")).Put([]byte("x"), nil) }, true},
		"live lease": {endLive, true},
		"verified":   {rotVerified, true},
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

// endLive notes that a lease which is there has ended.
func endLive(tx *bolt.Tx) error {
	key, _ := tx.Bucket([]byte("holds")).Cursor().First()
	return tx.Bucket([]byte("ended")).Put(bytes.Clone(key[:8]), nil)
}

// rotVerified changes a bit of what is known of when files were verified.
func rotVerified(tx *bolt.Tx) error {
	b := tx.Bucket([]byte("verified"))
	key, value := b.Cursor().First()
	value = bytes.Clone(value)
	value[0] ^= 1
	return b.Put(bytes.Clone(key), value)
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
	names, rounds := 0, 0
	for n, id := range livePages(t, dir) {
		if n%4 != 0 && !long() {
			continue
		}
		rounds++
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
	if names < 7*rounds/2 {
		t.Errorf("%d names were kept of %d; want half of them", names, 7*rounds)
	}
	t.Logf("%d names were kept of %d", names, 7*rounds)
}

func damagePage(t *testing.T, path string, id int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt(make([]byte, pageSize), int64(id)*pageSize)
		err = errors.Join(err, f.Close())
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
