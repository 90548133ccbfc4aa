package catalog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// Dropping is what Droppable has found out about a part of an image.
type Dropping struct {
	// File tells that its bytes are in a file.
	File bool
}

// Droppable looks whether a manifest or list can be taken from below a target. It returns
// ErrNotFound for what is not there, and ErrFailedPrecondition for what is needed
// otherwise. live are the leases that count, by their numbers.
func (t *Tx) Droppable(target, part digest.Digest, live map[uint64]string) (found Dropping, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	root, key := digestKey(target), digestKey(part)
	how := t.get(bucketContained, join(key, root))
	if len(how) != 1 || how[0] != asDocument {
		return found, absent("a manifest or list %s below %s", part, target)
	}
	blob, there, err := t.blob(key)
	if err != nil {
		return found, err
	}
	if !there {
		return found, absent("blob %s", part)
	}
	if err := t.inRecords(root, key, part); err != nil {
		return found, err
	}
	return Dropping{File: blob.File()}, t.leased(root, key, part, live)
}

// inRecords returns an error for a part that is a target, or below another one.
func (t *Tx) inRecords(root, key []byte, part digest.Digest) error {
	for _, other := range t.rests(bucketContained, key, 0) {
		if bytes.Equal(other, root) && !bytes.Equal(other, key) {
			continue
		}
		records, err := t.target(nil, other)
		if err != nil {
			return err
		}
		if len(records) == 0 {
			return fmt.Errorf("%s is below a target without records: %w", part, errDamaged)
		}
		return fmt.Errorf("%s is needed by %.512q: %w", part, records[0].Key(), errdefs.ErrFailedPrecondition)
	}
	return nil
}

// leased returns an error for a part that a lease holds, itself or by a document above it
// other than the root.
func (t *Tx) leased(root, key []byte, part digest.Digest, live map[uint64]string) error {
	seen := map[string]bool{string(root): true, string(key): true}
	for todo := [][]byte{key}; len(todo) > 0; {
		above := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, who := range t.rests(bucketRefs, above, 0) {
			switch kind, id := who[0], who[1:]; {
			case kind == refLease && len(id) == 8:
				if lease, ok := live[binary.BigEndian.Uint64(id)]; ok {
					return fmt.Errorf("%s is held by the lease %.256q: %w", part, lease, errdefs.ErrFailedPrecondition)
				}
			case kind == refParent && !seen[string(id)]:
				seen[string(id)] = true
				todo = append(todo, slices.Clone(id))
			}
		}
		if len(seen) > searched {
			return fmt.Errorf("%s is below more than %d documents: %w", part, searched, errdefs.ErrFailedPrecondition)
		}
	}
	return nil
}
