package catalog_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	bolt "go.etcd.io/bbolt"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

// TestCommitOfWhatIsDamaged: where a page goes bad of what only Commit writes, that fails, and
// all else of the open database can be read and written.
func TestCommitOfWhatIsDamaged(t *testing.T) {
	t.Parallel()
	for _, bucket := range []string{"outlines", "suspects"} {
		t.Run(bucket, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			first := fillAll(t, p)
			root := rootPage(t, filepath.Join(p.path, "db"), bucket)
			db, err := catalog.Open(p.Root, "db", catalog.ReadWrite)
			if err != nil {
				t.Fatal("Open:", err)
			}
			file, err := p.OpenFile("db", os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = file.WriteAt(make([]byte, os.Getpagesize()), root*int64(os.Getpagesize()))
			if err := errors.Join(err, file.Close()); err != nil {
				t.Fatal(err)
			}

			tx, err := db.Update()
			if err != nil {
				t.Fatal("Update:", err)
			}
			if err := tx.Do(catalog.DropName{Key: first}); err != nil {
				t.Fatal("DropName:", err)
			}
			if err := tx.Commit(); !catalog.IsDamaged(err) {
				t.Errorf("Commit: %v; want that the database is damaged", err)
			}
			tx.Rollback() // as callers do

			do(t, db, catalog.PutLease{Lease: catalog.Lease{Lease: store.Lease{ID: "after"}, Number: 2}})
			view(t, db, func(tx *catalog.Tx) error {
				if all, err := tx.List("", 1); err != nil || len(all) != 1 || all[0].Key() != first {
					t.Errorf("List: %v, %v; want %s, which was not dropped", all, err, first)
				}
				if _, err := tx.Lease("after"); err != nil {
					t.Error("what was written afterwards:", err)
				}
				return nil
			})
			if err := db.Close(); err != nil {
				t.Error("Close:", err)
			}
		})
	}
}

// fillAll makes a database in which outlines and suspects have pages of their own, closes it,
// and returns the key of its first record.
func fillAll(t *testing.T, p place) string {
	t.Helper()
	db, err := catalog.Create(p.Root, "db", catalog.ReadWrite)
	if err != nil {
		t.Fatal("Create:", err)
	}
	g := newGraph(rand.New(rand.NewPCG(1, 2)), 100)
	update(t, db, func(tx *catalog.Tx) error {
		for i, d := range g.order {
			record := store.Record{Name: fmt.Sprintf("docker.io/library/x:%04d", i), Target: ocispec.Descriptor{MediaType: "a/b", Digest: d}}
			if err := errors.Join(tx.Do(g.put(d)), tx.Do(catalog.PutName{Record: record}), tx.Suspect(d)); err != nil {
				return err
			}
		}
		return nil
	})
	if err := db.Close(); err != nil {
		t.Fatal("Close:", err)
	}
	return "docker.io/library/x:0000"
}

// rootPage returns the page of a bucket's root in a database that is closed.
func rootPage(t *testing.T, path, bucket string) (page int64) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.View(func(tx *bolt.Tx) error {
		page = int64(tx.Bucket([]byte(bucket)).RootPage())
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil || page == 0 {
		t.Fatalf("the root of %s is page %d: %v", bucket, page, err)
	}
	return page
}
