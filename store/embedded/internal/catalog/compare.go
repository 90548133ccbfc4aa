package catalog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/dhowhq/dhow/store/embedded/internal/codec"
)

// Difference is a place in which a database is not what its journal says.
type Difference struct {
	Bucket string
	// Record names what the key is about, as a digest or a name.
	Record string
	// What is wrong: missing, superfluous, or different.
	What string
}

// String says it in words.
func (d Difference) String() string {
	return fmt.Sprintf("%s of %s is %s", d.Bucket, d.Record, d.What)
}

// Compare calls f with the places in which t is not as want, which was made from the
// journal. An error of f ends it, as does a t that cannot be read.
func (t *Tx) Compare(want *Tx, f func(Difference) error) (err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	ended := map[uint64]bool{}
	for _, tx := range []*Tx{t, want} {
		tx.each(bucketEnded, nil, func(key, _ []byte) bool {
			if len(key) == 8 {
				ended[binary.BigEndian.Uint64(key)] = true
			}
			return true
		})
	}
	for b := bucketBlobs; b < bucketSuspects; b++ {
		if err := t.compare(want, b, ended, f); err != nil {
			return err
		}
	}
	return nil
}

// compare compares one bucket.
func (t *Tx) compare(want *Tx, b bucket, ended map[uint64]bool, f func(Difference) error) error {
	mine, theirs := t.in(b).Cursor(), want.in(b).Cursor()
	k, v := mine.First()
	wk, wv := theirs.First()
	for k != nil || wk != nil {
		order := bytes.Compare(k, wk)
		what, key := "", k
		switch {
		case k == nil || wk != nil && order > 0:
			what, key = "missing", wk
		case wk == nil || order < 0:
			what = "superfluous"
		case !bytes.Equal(v, wv):
			what = "different"
		}
		if what != "" && !ofEnded(b, key, ended) {
			if err := f(Difference{Bucket: b.String(), Record: describe(b, key), What: what}); err != nil {
				return err
			}
		}
		if what != "missing" {
			k, v = mine.Next()
		}
		if what != "superfluous" {
			wk, wv = theirs.Next()
		}
	}
	return nil
}

// ofEnded reports whether a key is about what an ended lease holds: how far that has
// been let go of is not in the journal.
func ofEnded(b bucket, key []byte, ended map[uint64]bool) bool {
	switch b {
	case bucketHolds:
		return len(key) >= 8 && ended[binary.BigEndian.Uint64(key)]
	case bucketRefs:
		_, who := cutKey(key)
		return len(who) == 9 && who[0] == refLease && ended[binary.BigEndian.Uint64(who[1:])]
	}
	return false
}

// describe says what a key is about.
func describe(b bucket, key []byte) string {
	switch b {
	case bucketBytes:
		return fmt.Sprintf("the bytes of number %x", key)
	case bucketNames:
		if len(key) > 0 && !isDangling(key) {
			return fmt.Sprintf("%.512q", key[1:])
		}
		key = bytes.TrimPrefix(key, []byte{danglingKey})
	case bucketLeases:
		return fmt.Sprintf("%.512q", key)
	case bucketHolds:
		return fmt.Sprintf("the lease of number %x", key[:min(8, len(key))])
	}
	if d, _, ok := codec.CutDigest(key); ok {
		return d.String()
	}
	return fmt.Sprintf("the key %.256x", key)
}

// CheckPages looks at all pages of the database. Nobody may write meanwhile.
func (db *DB) CheckPages() error { return checkFile(db.file, time.Time{}) }

// Check has the library check its pages, which must have passed CheckPages, and calls f
// with what is not sound.
func (t *Tx) Check(f func(problem error)) (err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	for problem := range t.bolt.Check() {
		f(problem)
	}
	return nil
}
