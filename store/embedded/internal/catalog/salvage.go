package catalog

import (
	"bytes"
	"runtime/debug"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
)

// Salvage calls f with changes which make what can still be read of a database, and
// skipped with why something could not. An error of f ends it.
func (t *Tx) Salvage(f func(Change) error, skipped func(error)) error {
	for _, b := range exported {
		if err := t.salvage(b, f, skipped); err != nil {
			return err
		}
	}
	return nil
}

// salvage is Salvage of one bucket, up to where its pages cannot be read.
func (t *Tx) salvage(b bucket, f func(Change) error, skipped func(error)) (failed error) {
	var unreadable error
	func() {
		defer recovered(&unreadable, debug.SetPanicOnFault(true))
		c := t.in(b).Cursor()
		for key, value := c.First(); key != nil; key, value = c.Next() {
			change, err := t.readable(b, key, value)
			if err != nil {
				skipped(err)
				continue
			}
			if failed = f(change); failed != nil {
				return
			}
		}
	}()
	if unreadable != nil {
		skipped(unreadable)
	}
	return failed
}

// readable returns the change of one record, or why there is none.
func (t *Tx) readable(b bucket, key, value []byte) (c Change, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	return t.change(b, key, value)
}

// Has reports whether the record that a change would make is there, whatever it says.
func (t *Tx) Has(c Change) (there bool, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	switch c := c.(type) {
	case PutBlob:
		return t.has(bucketBlobs, digestKey(c.Digest)), nil
	case PutName:
		key, err := nameKey(c.Record.Key())
		return err == nil && t.has(bucketNames, key), err
	case PutLease:
		return t.has(bucketLeases, []byte(c.Lease.ID)), nil
	case Hold:
		return t.has(bucketHolds, join(numberKey(c.Number), numberKey(c.Part))), nil
	}
	return false, nil
}

// Leaks calls f with visible blobs that have no reason to stay and are not among the
// suspects either, so that nothing would ever collect them.
func (t *Tx) Leaks(f func(digest.Digest)) (err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	t.each(bucketBlobs, nil, func(key, _ []byte) bool {
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

// Suspect has the next collection look at a blob.
func (t *Tx) Suspect(d digest.Digest) (err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	t.suspect(digestKey(d))
	return t.err
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
	old, err := t.facts(key)
	if err != nil {
		return err
	}
	blob, there, err := t.blob(key)
	if err != nil || !there || old == nil {
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
