package embedded_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	bolt "go.etcd.io/bbolt"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
	"github.com/dhowhq/dhow/store/storetest"
)

func TestSuite(t *testing.T) {
	storetest.Run(t, storetest.Factory{New: func(tb testing.TB) storetest.Place {
		tb.Helper()
		return place(filepath.Join(tb.TempDir(), "store"))
	}})
}

// place returns the place of a store in a directory.
func place(dir string) storetest.Place {
	return storetest.Place{
		Open: func(ctx context.Context) (store.Store, error) { return embedded.Open(ctx, dir, embedded.Options{}) },
		Crash: func(tb testing.TB) storetest.Place {
			tb.Helper()
			after := filepath.Join(tb.TempDir(), "store")
			if err := os.CopyFS(after, os.DirFS(dir)); err != nil {
				tb.Fatal(err)
			}
			return place(after)
		},
		Damage: func(d digest.Digest, change func([]byte) []byte) error { return damage(dir, d, change) },
		Ended:  func(tb testing.TB, l store.Lease) { tb.Helper(); leaseFromElsewhere(tb, dir, l) },
	}
}

// damage changes the bytes of a blob in the file or in the database.
func damage(dir string, d digest.Digest, change func([]byte) []byte) error {
	path := filepath.Join(dir, "blobs", d.Algorithm().String(), d.Encoded()[:2], d.Encoded())
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return damageInline(dir, d, change)
	}
	if err != nil {
		return err
	}
	if data = change(data); data == nil {
		return os.Remove(path)
	}
	return os.WriteFile(path, data, 0o600)
}

func damageInline(dir string, d digest.Digest, change func([]byte) []byte) error {
	if d.Algorithm() != digest.SHA256 {
		return errdefs.ErrNotImplemented
	}
	db, err := bolt.Open(filepath.Join(dir, "catalog.db"), 0o600, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	hash, err := hex.DecodeString(d.Encoded())
	if err != nil {
		return err
	}
	return db.Update(func(tx *bolt.Tx) error {
		record := tx.Bucket([]byte("blobs")).Get(append([]byte{1}, hash...))
		if record == nil {
			return fmt.Errorf("blob %s is nowhere: %w", d, errdefs.ErrNotFound)
		}
		key := numberOf(record)
		b := tx.Bucket([]byte("bytes"))
		data := change(bytes.Clone(b.Get(key)))
		if data == nil {
			return b.Delete(key)
		}
		return b.Put(key, data)
	})
}

// numberOf returns the key in bucket bytes that is in a record of a blob: what comes
// after size and time, and before the checksum.
func numberOf(record []byte) []byte {
	_, size := binary.Uvarint(record)
	rest := record[size+1:] // there is a time
	_, seconds := binary.Varint(rest)
	_, nanos := binary.Uvarint(rest[seconds:])
	number, _ := binary.Uvarint(rest[seconds+nanos:])
	return binary.BigEndian.AppendUint64(nil, number)
}
