package embedded_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
)

const pageSize = 4 << 10

// mutators are the ways in which files rot. Each gets the bytes of a file, what picks the
// position of one that is of use, and the bytes of another file of the kind.
var mutators = map[string]func(r *rand.Rand, data []byte, pick func() int, other []byte) []byte{
	"one bit":     oneBit,
	"other bytes": otherBytes,
	"zeroed page": func(_ *rand.Rand, data []byte, pick func() int, _ []byte) []byte {
		clear(page(data, pick()))
		return data
	},
	"swapped":   swapped,
	"truncated": func(_ *rand.Rand, data []byte, pick func() int, _ []byte) []byte { return data[:pick()] },
	"appended":  appended,
	"emptied":   func(*rand.Rand, []byte, func() int, []byte) []byte { return []byte{} },
	"removed":   func(*rand.Rand, []byte, func() int, []byte) []byte { return nil },
}

func oneBit(r *rand.Rand, data []byte, pick func() int, _ []byte) []byte {
	data[pick()] ^= 1 << r.IntN(8)
	return data
}

func otherBytes(r *rand.Rand, data []byte, pick func() int, _ []byte) []byte {
	at := pick()
	for i := at; i < min(at+1+r.IntN(64), len(data)); i++ {
		data[i] = byte(r.IntN(256))
	}
	return data
}

// swapped swaps two files, or two pages of one.
func swapped(_ *rand.Rand, data []byte, pick func() int, other []byte) []byte {
	if other != nil {
		return other
	}
	one, two := page(data, pick()), page(data, pick())
	was := bytes.Clone(one)
	copy(one, two)
	copy(two, was)
	return data
}

func appended(r *rand.Rand, data []byte, _ func() int, _ []byte) []byte {
	for range 1 + r.IntN(2*pageSize) {
		data = append(data, byte(r.IntN(256)))
	}
	return data
}

func page(data []byte, at int) []byte {
	begin := at &^ (pageSize - 1)
	return data[begin:min(begin+pageSize, len(data))]
}

// picker picks positions in a file that are in use: before the zeros at its end, or in one
// of the pages of the database that are not free.
func (m *mutation) picker(data []byte) func() int {
	if m.file != "database" {
		used := max(1, len(bytes.TrimRight(data, "\x00")))
		return func() int { return m.r.IntN(used) }
	}
	return func() (at int) {
		for range 20 { // much of a page is often not in use
			at = min(m.live[m.r.IntN(len(m.live))]*pageSize+m.r.IntN(pageSize), len(data)-1)
			if data[at] != 0 {
				break
			}
		}
		return at
	}
}

// livePages returns the pages of a store's database that are in use.
func livePages(t *testing.T, dir string) []int {
	t.Helper()
	db, err := bolt.Open(filepath.Join(dir, "catalog.db"), 0o600, &bolt.Options{ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		t.Fatal(err)
	}
	var live []int
	err = db.View(func(tx *bolt.Tx) error {
		for id := 0; ; id++ {
			info, err := tx.Page(id)
			if info == nil || err != nil {
				return err
			}
			if info.Type != "free" {
				live = append(live, id)
			}
			for range info.OverflowCount {
				id++
				live = append(live, id)
			}
		}
	})
	if size := db.Info().PageSize; size != pageSize {
		t.Skipf("the database has pages of %d bytes", size)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return live
}
