package catalog

import (
	"encoding/binary"
	"fmt"
	"runtime/debug"

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
	if leases := t.in(bucketLeases); leases.Sequence() < c.Lease.Number {
		if err := leases.SetSequence(c.Lease.Number); err != nil {
			t.fail(err)
		}
	}
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
	number, blob := numberKey(c.Number), digestKey(c.Digest)
	if t.has(bucketHolds, join(number, blob)) || t.has(bucketEnded, number) {
		return
	}
	t.add(bucketHolds, join(number, blob))
	t.add(bucketRefs, refKey(blob, refLease, number))
	t.live(holdCost)
}

// NextLease returns the number for the next lease.
func (t *Tx) NextLease() uint64 { return t.in(bucketLeases).Sequence() + 1 }

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

// Held returns what a lease holds, in order.
func (t *Tx) Held(number uint64) (all []digest.Digest, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	prefix := numberKey(number)
	t.each(bucketHolds, prefix, func(key, _ []byte) bool {
		var d digest.Digest
		if d, err = keyDigest(bucketHolds, key[len(prefix):]); err == nil {
			all = append(all, d)
		}
		return err == nil
	})
	return all, err
}

// Holds reports whether the lease of a number holds a blob.
func (t *Tx) Holds(number uint64, d digest.Digest) (held bool, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	return t.has(bucketHolds, join(numberKey(number), digestKey(d))), nil
}

// Drain lets go of blobs that leases held which have ended, limit at most, and returns
// how many, and whether there are more.
func (t *Tx) Drain(limit int) (n int, more bool, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	for n < limit {
		number, _ := t.in(bucketEnded).Cursor().First()
		if number == nil {
			return n, false, t.err
		}
		if len(number) != 8 {
			return n, false, fmt.Errorf("a key in bucket %s is no number: %w", bucketEnded, errDamaged)
		}
		number = numberKey(binary.BigEndian.Uint64(number))
		held := t.rests(bucketHolds, number, limit-n)
		for _, blob := range held {
			t.drop(bucketHolds, join(number, blob))
			t.drop(bucketRefs, refKey(blob, refLease, number))
			t.suspect(blob)
		}
		t.live(-holdCost * len(held))
		if n += len(held); n < limit {
			t.drop(bucketEnded, number)
		}
		if t.err != nil {
			return n, false, t.err
		}
	}
	return n, true, t.err
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
		if len(key) < 8 {
			return fmt.Errorf("a key in bucket %s has no number: %w", bucketHolds, errDamaged)
		}
		n := binary.BigEndian.Uint64(key)
		if !live[n] {
			t.add(bucketEnded, numberKey(n))
		}
		if n+1 == 0 {
			break
		}
		key, _ = c.Seek(numberKey(n + 1))
	}
	return t.err
}
