package catalog

import (
	"runtime/debug"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// Lacks reports whether a blob is visible and has no facts, or none that are enough.
func (t *Tx) Lacks(d digest.Digest, enough func(store.Facts) bool) (lacking bool, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	key, err := t.find(d)
	if err != nil || !t.has(bucketBlobs, key) {
		return false, err
	}
	f, err := t.facts(key)
	return err == nil && (f == nil || !enough(*f)), err
}

// understandBy is how many documents are asked how they call a blob.
const understandBy = 256

// Understood returns how visible documents call a blob that has no facts: the
// descriptors in them which say that it is a document or an image config.
func (t *Tx) Understood(d digest.Digest) (as []image.Edge, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	key := digestKey(d)
	for _, parent := range t.rests(bucketRefs, join(key, []byte{refParent}), understandBy) {
		f, err := t.facts(parent)
		if err != nil {
			return nil, err
		}
		if f == nil {
			continue
		}
		for _, e := range f.Edges {
			if e.Desc.Digest == d && inGraph(e) != 0 {
				as = append(as, e)
			}
		}
	}
	return as, nil
}
