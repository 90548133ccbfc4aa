package catalog

import (
	"runtime/debug"

	"github.com/opencontainers/go-digest"

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
