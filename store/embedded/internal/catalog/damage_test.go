package catalog_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

// readAll reads all that a database has, and returns the first error.
func readAll(p place, name string, g *graph) error {
	db, err := catalog.Open(p.Root, name, catalog.ReadWrite)
	if err != nil {
		return err
	}
	defer db.Close()
	var first error
	note := func(err error) {
		if err != nil && first == nil && !errdefs.IsNotFound(err) {
			first = err
		}
	}
	err = db.View(func(tx *catalog.Tx) error {
		for _, d := range g.order {
			b, err := tx.Blob(d)
			note(err)
			_, err = tx.Bytes(b)
			note(err)
			_, err = tx.Facts(d)
			note(err)
			_, err = tx.Containing(d)
			note(err)
			_, err = tx.Needed(d, func(digest.Digest) bool { return false })
			note(err)
			_, err = tx.Understood(d)
			note(err)
		}
		_, err := tx.List("", 0)
		note(err)
		_, err = tx.Prefix("a", 0)
		note(err)
		_, err = tx.Leases()
		note(err)
		_, err = tx.Suspects("", 100)
		note(err)
		return nil
	})
	note(err)
	tx, err := db.Update()
	note(err)
	if err == nil {
		defer tx.Rollback()
		for _, d := range g.order {
			note(tx.Do(g.put(d)))
			note(tx.Do(catalog.DropBlob{Digest: d}))
		}
		note(tx.Commit())
	}
	return first
}

// TestDamageIsAnError changes bytes of a database: whatever they are, reading and
// writing it ends, and says that the database is damaged if anything.
func TestDamageIsAnError(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	p, g := newPlace(t), newGraph(r, 12)
	db, err := catalog.Create(p.Root, "db", catalog.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	m := newModel(g)
	for range 20 {
		do(t, db, m.random(r), m.random(r), m.random(r))
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(p.path, "db")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used := len(bytes.TrimRight(whole, "\x00")) // the rest of the file is for its growth
	found := 0
	for range 60 {
		bad := slices.Clone(whole)
		switch at := r.IntN(used); r.IntN(5) {
		case 0:
			bad = bad[:at]
		case 1:
			clear(bad[at&^4095 : at&^4095+4096])
		case 2:
			page := at &^ 4095
			bad[page+r.IntN(16)] ^= byte(1 << r.IntN(8)) // the header of a page
		default:
			bad[at] ^= byte(1 << r.IntN(8))
		}
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := readAll(p, "db", g); err != nil {
			found++
			if !catalog.IsDamaged(err) || !errdefs.IsDataLoss(err) {
				t.Errorf("%v; want one that says that the database is damaged", err)
			}
		}
	}
	if found == 0 {
		t.Error("no damage was found")
	}
}

func TestOpenOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	if _, err := catalog.Open(p.Root, "db", catalog.ReadWrite); !errdefs.IsNotFound(err) {
		t.Errorf("Open: %v", err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(p.path, "db")); err != nil {
		t.Fatal(err)
	}
	if _, err := catalog.Open(p.Root, "db", catalog.ReadWrite); err == nil {
		t.Error("a symbolic link was opened")
	}
}
