package catalog

import (
	"bytes"
	"runtime/debug"
	"slices"
)

const (
	// redrawn is how many digests, about, a transaction looks up to draw outlines. The
	// others are stale, and drawn by Redraw.
	redrawn = 10_000
	// manyRoots are so many, together with the documents that lead to them, that they are not
	// marked one by one when a blob below them has changed: it is touched instead.
	manyRoots = 1_000
)

// redraw notes that what is below a root has changed.
func (t *Tx) redraw(root []byte) {
	if t.changed == nil {
		t.changed = map[string]bool{}
	}
	t.changed[string(root)] = true
}

// redrawAbove notes that a blob has changed, for all roots above it.
func (t *Tx) redrawAbove(key []byte) {
	var roots [][]byte
	places := 0
	t.above(key, place{}, func(p place) bool {
		if len(p.root) > 0 {
			roots = append(roots, p.root)
		}
		places++
		return places < t.db.manyRoots
	})
	if places >= t.db.manyRoots {
		t.seal(bucketTouched, key, place{}.append(nil))
		return
	}
	for _, root := range roots {
		t.redraw(root)
	}
}

// place is one among those of the roots above a blob: the blob itself, or a document that
// leads to it, and a root that has it as a document, or none before the first. The zero value
// is before all.
type place struct{ under, root []byte }

func (p place) append(b []byte) []byte { return slices.Concat(b, p.under, p.root) }

// placeOf reads what append wrote.
func placeOf(value []byte) place {
	under, root := cutKey(value)
	return place{under, root}
}

// above calls f with the places of the roots above a blob that come after a place, until it
// returns false: those of the blob itself first, then those of the documents that lead to it.
// A root may come more than once. What f gets is valid as long as the transaction.
func (t *Tx) above(key []byte, after place, f func(place) bool) {
	more := true
	under := func(d []byte) bool {
		from := []byte{}
		if bytes.Equal(d, after.under) {
			from = after.root
		} else if more = f(place{under: d}); !more {
			return false
		}
		t.eachAfter(bucketContained, d, from, func(k, _ []byte) bool {
			more = f(place{d, k[len(d):]})
			return more
		})
		return more
	}
	parents := join(key, []byte{refParent})
	var from []byte
	switch {
	case len(after.under) == 0 || bytes.Equal(after.under, key):
		if !under(key) {
			return
		}
	default:
		if !under(after.under) {
			return
		}
		from = after.under
	}
	t.eachAfter(bucketRefs, parents, from, func(k, _ []byte) bool { return under(k[len(parents):]) })
}

// drawChanged draws the outlines of the roots below which something has changed.
func (t *Tx) drawChanged() {
	roots := make([]string, 0, len(t.changed))
	for root := range t.changed {
		roots = append(roots, root)
	}
	slices.Sort(roots)
	for left, i := redrawn, 0; i < len(roots); i++ {
		root := []byte(roots[i])
		if left > 0 || !t.any(bucketTargets, root) {
			left -= t.draw(root)
			continue
		}
		t.drop(bucketOutlines, root)
		t.add(bucketStale, root)
	}
	t.changed = nil
}

// draw draws the outline of a root as it is now, if it is still one, and returns how many
// digests it has looked up. Where these are damaged there is none: who reads them is told,
// and whatever else is written is not to fail.
func (t *Tx) draw(root []byte) int {
	value, n, err := t.guardedOutline(root)
	switch {
	case err != nil && !IsDamaged(err):
		t.fail(err)
	case err != nil || value == nil:
		t.drop(bucketOutlines, root)
	default:
		t.seal(bucketOutlines, root, value)
	}
	t.drop(bucketStale, root)
	return n
}

func (t *Tx) guardedOutline(root []byte) (value []byte, looked int, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	return t.outline(root)
}

// Redraw draws outlines that are stale, also those above what was touched, until it has looked
// up about as many digests as the limit. It returns how many, and whether more are left.
func (t *Tx) Redraw(limit int) (looked int, more bool, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	for looked < limit {
		root := t.rests(bucketStale, nil, 1)
		if len(root) == 0 {
			return t.redrawTouched(looked, limit)
		}
		looked += max(t.draw(root[0]), 1)
	}
	return looked, true, t.err
}

// redrawTouched is Redraw for what was touched, when so many digests were looked up already.
// Where it ends is where the next one begins: what has changed in between is drawn as it is.
func (t *Tx) redrawTouched(looked, limit int) (_ int, more bool, err error) {
	for looked < limit {
		touched := t.rests(bucketTouched, nil, 1)
		if len(touched) == 0 {
			return looked, false, t.err
		}
		key := touched[0]
		value, err := t.sealed(bucketTouched, key)
		if err != nil {
			return looked, false, err
		}
		last := place{}
		t.above(key, placeOf(bytes.Clone(value)), func(p place) bool {
			n := 1
			if len(p.root) > 0 {
				n = max(t.draw(p.root), 1)
			}
			looked += n
			last = p
			return looked < limit
		})
		if looked++; looked <= limit {
			t.drop(bucketTouched, key)
		} else {
			t.seal(bucketTouched, key, last.append(nil))
		}
	}
	return looked, true, t.err
}
