package catalog

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
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

// Compare calls f with the places in which t is not as want, which was made of the
// changes that t should have seen. An error of f ends it, as does a t that cannot be read.
func (t *Tx) Compare(ctx context.Context, want *Tx, f func(Difference) error) (err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	leases, err := want.Leases()
	if err != nil {
		return err
	}
	live := map[uint64]bool{}
	for _, l := range leases {
		live[l.Number] = true
	}
	ended := map[uint64]bool{}
	for _, tx := range []*Tx{t, want} {
		tx.each(bucketEnded, nil, func(key, _ []byte) bool {
			if len(key) == 8 && !live[binary.BigEndian.Uint64(key)] {
				ended[binary.BigEndian.Uint64(key)] = true
			}
			return true
		})
	}
	for _, b := range []bucket{bucketBytes, bucketLeases} {
		if used := t.used(b); t.in(b).Sequence() < used {
			if err := f(Difference{Bucket: b.String(), Record: fmt.Sprintf("what comes after number %d", used), What: "there already"}); err != nil {
				return err
			}
		}
	}
	for b := bucketBlobs; b < bucketSuspects; b++ {
		if err := t.compare(ctx, want, b, ended, f); err != nil {
			return err
		}
	}
	if err := t.compareOwn(ctx, live, f); err != nil {
		return err
	}
	return t.compareOutlines(ctx, want, f)
}

// used returns the last number of a bucket's that is in use.
func (t *Tx) used(b bucket) (last uint64) {
	in := []bucket{bucketBytes}
	if b == bucketLeases {
		in = []bucket{bucketHolds, bucketEnded}
		t.each(b, nil, func(id, value []byte) bool {
			if l, err := decodeLease(id, value); err == nil { // else it is found by comparing
				last = max(last, l.Number)
			}
			return true
		})
	}
	for _, b := range in {
		if key, _ := t.in(b).Cursor().Last(); len(key) >= 8 {
			last = max(last, binary.BigEndian.Uint64(key))
		}
	}
	return last
}

// patience is after how many keys a walk looks whether its context has ended.
const patience = 1 << 12

// compare compares one bucket.
func (t *Tx) compare(ctx context.Context, want *Tx, b bucket, ended map[uint64]bool, f func(Difference) error) error {
	mine, theirs := t.in(b).Cursor(), want.in(b).Cursor()
	k, v := mine.First()
	wk, wv := theirs.First()
	for n := 1; k != nil || wk != nil; n++ {
		if n%patience == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
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
func (db *DB) CheckPages(ctx context.Context) error { return checkFile(db.file, time.Time{}, ctx.Err) }

// Leaks calls f with visible blobs that have no reason to stay and are not among the
// suspects either, so that nothing would ever collect them.
func (t *Tx) Leaks(ctx context.Context, f func(digest.Digest)) (err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	n := 0
	t.each(bucketBlobs, nil, func(key, _ []byte) bool {
		if n++; n%patience == 0 && ctx.Err() != nil {
			err = ctx.Err()
			return false
		}
		if t.has(bucketSuspects, key) || t.any(bucketTargets, key) || t.any(bucketRefs, key) {
			return true
		}
		var d digest.Digest
		if d, err = keyDigest(bucketBlobs, key); err == nil {
			f(d)
		}
		return err == nil
	})
	return err
}

// Stored returns the facts of a blob as they were noted, or nil.
func (t *Tx) Stored(d digest.Digest) (f []byte, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	return t.sealed(bucketFacts, digestKey(d))
}

// ReplaceFacts notes facts in the place of those that are there, which are wrong.
func (t *Tx) ReplaceFacts(d digest.Digest, f store.Facts) (err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	key := digestKey(d)
	blob, there, err := t.blob(key)
	if err != nil || !there {
		return err
	}
	put := PutBlob{Digest: d, Created: blob.Created, Number: blob.Number, Size: blob.Size, Facts: &f}
	if !blob.File() {
		put.Bytes = bytes.Clone(t.get(bucketBytes, numberKey(blob.Number)))
	}
	if err := t.Do(DropBlob{d}); err != nil {
		return err
	}
	return t.Do(put)
}
