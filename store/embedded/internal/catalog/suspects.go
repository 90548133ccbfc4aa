package catalog

import (
	"bytes"
	"maps"
	"runtime/debug"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store/embedded/internal/codec"
)

// fresh are blobs that have come to be suspects in a transaction. A collection looks at most of
// them in the same one, and so they are written down only when it is committed.
type fresh struct {
	queued map[string]bool // whether they are in next still
	next   []string
	seen   []string // that were in next, and are needed for all that is known
}

func (f *fresh) add(key []byte) {
	if f.queued == nil {
		f.queued = map[string]bool{}
	}
	if !f.queued[string(key)] {
		f.queued[string(key)] = true
		f.next = append(f.next, string(key))
	}
}

// suspect notes that a blob has lost a reason to stay, if it is visible.
func (t *Tx) suspect(key []byte) {
	if t.has(bucketBlobs, key) {
		t.writes++
		t.fresh.add(key)
	}
}

// unsuspect notes that a blob is no suspect.
func (t *Tx) unsuspect(key []byte) {
	delete(t.fresh.queued, string(key))
	if t.has(bucketSuspects, key) {
		t.drop(bucketSuspects, key)
	}
}

// writeSuspects writes down those that are left.
func (t *Tx) writeSuspects() {
	for _, key := range slices.Sorted(maps.Keys(t.fresh.queued)) {
		t.add(bucketSuspects, []byte(key))
	}
	t.fresh = fresh{}
}

// Suspect has the next collection look at a blob.
func (t *Tx) Suspect(d digest.Digest) (err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	t.suspect(digestKey(d))
	return t.err
}

// Suspects returns visible blobs that had lost a reason to stay before this transaction, in
// the order of their digests, from the one after the given one on.
func (t *Tx) Suspects(after digest.Digest, limit int) (all []digest.Digest, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	c := t.in(bucketSuspects).Cursor()
	key, _ := c.First()
	if after != "" {
		from := digestKey(after)
		if key, _ = c.Seek(from); bytes.Equal(key, from) {
			key, _ = c.Next()
		}
	}
	for ; key != nil && len(all) < limit; key, _ = c.Next() {
		d, err := keyDigest(bucketSuspects, key)
		if err != nil {
			return all, err
		}
		all = append(all, d)
	}
	return all, nil
}

// Orphan returns a blob that has come to be a suspect in this transaction, and to which nothing
// refers any more; empty if there is none that it has not returned.
func (t *Tx) Orphan() (d digest.Digest, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	for f := &t.fresh; len(f.next) > 0; {
		key := f.next[0]
		f.next = f.next[1:]
		if !f.queued[key] {
			continue
		}
		f.queued[key] = false
		if !t.any(bucketRefs, []byte(key)) && !t.any(bucketTargets, []byte(key)) {
			return keyed(key), nil
		}
		f.seen = append(f.seen, key)
	}
	return "", nil
}

// Doubtful returns a blob that has come to be a suspect in this transaction and to which
// something refers; empty if there is none that neither it nor Orphan has returned.
func (t *Tx) Doubtful() digest.Digest {
	for f := &t.fresh; len(f.seen) > 0; {
		key := f.seen[0]
		f.seen = f.seen[1:]
		if _, suspect := f.queued[key]; suspect {
			return keyed(key)
		}
	}
	return ""
}

// keyed returns the digest of a key that digestKey has made.
func keyed(key string) digest.Digest {
	d, _, _ := codec.CutDigest([]byte(key))
	return d
}

// Clear takes a blob from the suspects: it is needed.
func (t *Tx) Clear(d digest.Digest) (err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	t.unsuspect(digestKey(d))
	return t.err
}
