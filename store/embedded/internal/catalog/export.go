package catalog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime/debug"
)

// Cursor is how far Export has come. Its zero value is the beginning.
type Cursor struct {
	at   int    // in exported
	last []byte // the last key in that bucket
}

// exported are the buckets that hold what the changes of a journal say, in the order in
// which they are exported.
var exported = [...]bucket{bucketLeases, bucketHolds, bucketBlobs, bucketNames}

// Export returns changes which make what the database has, from the cursor on: about as
// many bytes as given. It reports whether there is more.
func (t *Tx) Export(from *Cursor, size int) (log []byte, more bool, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	for ; from.at < len(exported); from.at, from.last = from.at+1, nil {
		b := exported[from.at]
		c := t.in(b).Cursor()
		key, value := c.First()
		if from.last != nil {
			if key, value = c.Seek(from.last); bytes.Equal(key, from.last) {
				key, value = c.Next()
			}
		}
		for ; key != nil; key, value = c.Next() {
			if len(log) >= size {
				return log, true, nil
			}
			change, err := t.change(b, key, value)
			if err != nil {
				return nil, false, err
			}
			log = change.append(log)
			from.last = bytes.Clone(key)
		}
	}
	return log, false, nil
}

// change returns the change that makes a record.
func (t *Tx) change(b bucket, key, value []byte) (Change, error) {
	if b == bucketBlobs {
		return t.putBlob(key, value)
	}
	return changeOf(b, key, value)
}

// changeOf returns the change that makes a record which stands for itself.
func changeOf(b bucket, key, value []byte) (Change, error) {
	switch b {
	case bucketLeases:
		l, err := decodeLease(key, value)
		return PutLease{l}, err
	case bucketHolds:
		if len(key) != 16 {
			return nil, fmt.Errorf("a key in bucket %s has no number: %w", b, errDamaged)
		}
		digests, err := decodeHold(key, value)
		return Hold{binary.BigEndian.Uint64(key), binary.BigEndian.Uint64(key[8:]), digests}, err
	case bucketNames:
		r, err := decodeRecord(key, value)
		return PutName{r}, err
	}
	return nil, fmt.Errorf("bucket %s is not exported", b)
}

func (t *Tx) putBlob(key, value []byte) (Change, error) {
	d, b, err := blobOf(key, value)
	if err != nil {
		return nil, err
	}
	f, err := t.facts(key)
	if err != nil {
		return nil, err
	}
	put := PutBlob{Digest: d, Created: b.Created, Number: b.Number, Size: b.Size, Facts: f}
	if !b.File() {
		put.Bytes = t.get(bucketBytes, numberKey(b.Number))
		if int64(len(put.Bytes)) != b.Size {
			return nil, fmt.Errorf("blob %s has %d of %d bytes in the database: %w", d, len(put.Bytes), b.Size, errDamaged)
		}
	}
	return put, nil
}
