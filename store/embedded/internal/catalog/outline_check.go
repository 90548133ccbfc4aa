package catalog

import (
	"bytes"
	"context"
)

// compareOutlines calls f with the outlines that are not what those of want would be, and
// with the targets that should have one: not each has one, and how far those that were stale
// are drawn is not in the journal.
func (t *Tx) compareOutlines(ctx context.Context, want *Tx, f func(Difference) error) error {
	n := 0
	var err error
	differs := func(b bucket, root []byte, what string) {
		if err == nil {
			err = f(Difference{Bucket: b.String(), Record: describe(b, root), What: what})
		}
	}
	ended := func() bool {
		if n++; n%64 == 0 && err == nil {
			err = ctx.Err()
		}
		return err != nil
	}
	t.each(bucketOutlines, nil, func(root, sealed []byte) bool {
		value, _, wrong := want.outline(root)
		mine, damaged := unseal(bucketOutlines, root, sealed)
		switch {
		case wrong != nil:
			err = wrong
		case value == nil:
			differs(bucketOutlines, root, "superfluous")
		case damaged != nil || !bytes.Equal(value, mine):
			differs(bucketOutlines, root, "different")
		}
		return !ended()
	})
	t.each(bucketStale, nil, func(root, _ []byte) bool {
		if !want.any(bucketTargets, root) {
			differs(bucketStale, root, "superfluous")
		}
		return !ended()
	})
	var last []byte
	want.each(bucketTargets, nil, func(key, _ []byte) bool {
		root, _ := cutKey(key)
		if bytes.Equal(root, last) {
			return true
		}
		last = bytes.Clone(root)
		if t.has(bucketOutlines, root) || t.has(bucketStale, root) {
			return !ended()
		}
		value, _, wrong := want.outline(root)
		switch {
		case wrong != nil:
			err = wrong
		case value != nil:
			differs(bucketOutlines, root, "missing")
		}
		return !ended()
	})
	return err
}
