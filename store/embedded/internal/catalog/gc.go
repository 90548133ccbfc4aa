package catalog

import (
	"bytes"
	"fmt"
	"runtime/debug"

	"github.com/opencontainers/go-digest"
)

// searched is up to how many blobs one search for a reason to stay looks at.
const searched = 10_000

// Needed reports whether there is a reason for a blob to stay. Of blobs in a circle,
// which those with a subject can be, none is a reason for the others; inUse is asked
// whether somebody reads one, which is a reason for as long as that.
func (t *Tx) Needed(d digest.Digest, inUse func(digest.Digest) bool) (needed bool, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	key := digestKey(d)
	if t.any(bucketTargets, key) {
		return true, nil
	}
	if !t.any(bucketRefs, key) {
		return false, nil
	}
	if first, _ := t.in(bucketReferrers).Cursor().First(); first == nil {
		return true, nil // without subjects there are no circles
	}
	return t.rooted(key, inUse)
}

// rooted reports whether a way up from a blob ends at a name, a lease or a reader.
func (t *Tx) rooted(key []byte, inUse func(digest.Digest) bool) (bool, error) {
	seen := map[string]bool{string(key): true}
	for todo := [][]byte{key}; len(todo) > 0; {
		key := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if t.any(bucketTargets, key) {
			return true, nil
		}
		found := false
		var err error
		t.each(bucketRefs, key, func(k, _ []byte) bool {
			kind, who := k[len(key)], k[len(key)+1:]
			if kind == refLease {
				found = true
				return false
			}
			if seen[string(who)] {
				return true
			}
			seen[string(who)] = true
			var d digest.Digest
			if d, err = keyDigest(bucketRefs, who); err != nil || inUse(d) || len(seen) > searched {
				found = true
				return false
			}
			todo = append(todo, bytes.Clone(who))
			return true
		})
		if found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// Counts are how many there are of what a database has.
type Counts struct {
	Blobs, Inline, Names, Dangling, Leases, Suspects int
	Bytes, InlineBytes                               int64
}

// Count counts what the database has.
func (t *Tx) Count() (n Counts, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	t.each(bucketBlobs, nil, func(key, value []byte) bool {
		var b Blob
		if value, err = unseal(bucketBlobs, key, value); err == nil {
			b, err = decodeBlob(value)
		}
		n.Blobs++
		n.Bytes += b.Size
		if !b.File() {
			n.Inline++
			n.InlineBytes += b.Size
		}
		return err == nil
	})
	if err != nil {
		return n, fmt.Errorf("counting blobs: %w", err)
	}
	t.each(bucketNames, nil, func(key, _ []byte) bool {
		if isDangling(key) {
			n.Dangling++
		} else {
			n.Names++
		}
		return true
	})
	n.Leases, n.Suspects = t.count(bucketLeases), t.count(bucketSuspects)
	return n, nil
}

func (t *Tx) count(b bucket) (n int) {
	t.each(b, nil, func([]byte, []byte) bool { n++; return true })
	return n
}
