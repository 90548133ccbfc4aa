package catalog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/opencontainers/go-digest"
)

// About how many bytes of the journal a lease takes beside its value, and a hold.
const (
	leaseCost = 24
	holdCost  = 40
)

func (c PutLease) apply(t *Tx) {
	key := []byte(c.Lease.ID)
	old := t.get(bucketLeases, key)
	if old != nil {
		t.live(-leaseCost - len(old))
		if l, err := decodeLease(key, old); err != nil {
			t.fail(err)
		} else if l.Number != c.Lease.Number {
			t.add(bucketEnded, numberKey(l.Number))
		}
	}
	t.drop(bucketEnded, numberKey(c.Lease.Number)) // a snapshot may know of later ones
	t.seal(bucketLeases, key, appendLease(nil, c.Lease))
	t.live(leaseCost + len(t.get(bucketLeases, key)))
	t.raise(bucketLeases, c.Lease.Number)
}

func (c DropLease) apply(t *Tx) {
	key := []byte(c.ID)
	old := t.get(bucketLeases, key)
	if old == nil {
		return
	}
	l, err := decodeLease(key, old)
	if err != nil {
		t.fail(err)
		return
	}
	t.live(-leaseCost - len(old))
	t.drop(bucketLeases, key)
	t.add(bucketEnded, numberKey(l.Number))
}

func (c Hold) apply(t *Tx) {
	number := numberKey(c.Number)
	key := join(number, numberKey(c.Part))
	if t.has(bucketHolds, key) || t.has(bucketEnded, number) {
		return
	}
	t.seal(bucketHolds, key, appendDigests(nil, c.Digests))
	t.live(holdCost + len(t.get(bucketHolds, key)))
	for _, d := range c.Digests {
		t.add(bucketRefs, refKey(digestKey(d), refLease, number))
	}
}

// NextHold returns the Part for the next Hold of a lease: one that is free. It looks keys up
// and does not go back through them from the last one: bbolt loses its way there, and may
// not return at all, where the same transaction has emptied pages.
func (t *Tx) NextHold(number uint64) (part uint64, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	taken := func(part uint64) bool { return t.has(bucketHolds, join(numberKey(number), numberKey(part))) }
	last, free := uint64(0), uint64(1)
	for taken(free) {
		last, free = free, 2*free
	}
	for free-last > 1 { // last is taken, or 0
		if middle := last + (free-last)/2; taken(middle) {
			last = middle
		} else {
			free = middle
		}
	}
	return free, nil
}

// NextLease returns the number for the next lease.
func (t *Tx) NextLease() (n uint64, err error) { return t.next(bucketLeases) }

// next returns the number after the last one of a bucket's.
func (t *Tx) next(b bucket) (n uint64, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	return t.in(b).Sequence() + 1, nil
}

// Lease returns a lease, or ErrNotFound.
func (t *Tx) Lease(id string) (l Lease, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	value := t.get(bucketLeases, []byte(id))
	if id == "" || value == nil {
		return Lease{}, absent("lease %.256q", id)
	}
	return decodeLease([]byte(id), value)
}

// Leases returns all leases in the order of their IDs.
func (t *Tx) Leases() (all []Lease, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	t.each(bucketLeases, nil, func(id, value []byte) bool {
		var l Lease
		if l, err = decodeLease(id, value); err == nil {
			all = append(all, l)
		}
		return err == nil
	})
	return all, err
}

// LeasesAfter returns leases in the order of their IDs, from the one after the given one on,
// limit of them at most; empty: from the first.
func (t *Tx) LeasesAfter(after string, limit int) (all []Lease, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	c := t.in(bucketLeases).Cursor()
	id, value := c.Seek([]byte(after))
	if string(id) == after {
		id, value = c.Next()
	}
	for ; id != nil && len(all) < limit; id, value = c.Next() {
		l, err := decodeLease(id, value)
		if err != nil {
			return all, err
		}
		all = append(all, l)
	}
	return all, nil
}

// Held returns what a lease holds, in order.
func (t *Tx) Held(number uint64) (all []digest.Digest, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	t.each(bucketHolds, numberKey(number), func(key, value []byte) bool {
		var part []digest.Digest
		part, err = decodeHold(key, value)
		all = append(all, part...)
		return err == nil
	})
	slices.Sort(all)
	return slices.Compact(all), err
}

// Holds reports whether the lease of a number holds a blob.
func (t *Tx) Holds(number uint64, d digest.Digest) (held bool, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	return t.has(bucketRefs, refKey(digestKey(d), refLease, numberKey(number))), nil
}

// Drain lets go of blobs that leases held which have ended, of about limit, and returns
// of how many, and whether there are more.
func (t *Tx) Drain(limit int) (n int, more bool, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	for {
		number, _ := t.in(bucketEnded).Cursor().First()
		if number == nil {
			return n, false, t.err
		}
		if len(number) != 8 {
			return n, false, fmt.Errorf("a key in bucket %s is no number: %w", bucketEnded, errDamaged)
		}
		number = bytes.Clone(number)
		let, more, err := t.drain(number, limit-n)
		n += let
		if more || err != nil {
			return n, more, err
		}
		t.drop(bucketEnded, number)
		if t.err != nil {
			return n, false, t.err
		}
	}
}

// drain is Drain for what one lease held.
func (t *Tx) drain(number []byte, limit int) (n int, more bool, err error) {
	for {
		key, value := t.in(bucketHolds).Cursor().Seek(number)
		if key == nil || !bytes.HasPrefix(key, number) {
			return n, false, nil
		}
		if n >= limit {
			return n, true, t.err
		}
		held, err := decodeHold(key, value)
		if err != nil {
			return n, false, err
		}
		t.live(-holdCost - len(value))
		t.drop(bucketHolds, bytes.Clone(key))
		for _, d := range held {
			blob := digestKey(d)
			t.drop(bucketRefs, refKey(blob, refLease, number))
			t.suspect(blob)
		}
		n += len(held)
	}
}

// EndOrphans ends the leases of which there is nothing but their holds: a snapshot may
// have them.
func (t *Tx) EndOrphans() (err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	leases, err := t.Leases()
	if err != nil {
		return err
	}
	live := map[uint64]bool{}
	for _, l := range leases {
		live[l.Number] = true
	}
	c := t.in(bucketHolds).Cursor()
	for key, _ := c.First(); key != nil; {
		if len(key) != 16 {
			return fmt.Errorf("a key in bucket %s has no number: %w", bucketHolds, errDamaged)
		}
		n := binary.BigEndian.Uint64(key)
		if !live[n] {
			t.add(bucketEnded, numberKey(n))
			t.raise(bucketLeases, n) // or another one would come to hold that
		}
		if n+1 == 0 {
			break
		}
		key, _ = c.Seek(numberKey(n + 1))
	}
	return t.err
}
