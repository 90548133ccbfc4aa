package catalog

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/codec"
)

// Get returns the record with that store.Record.Key, or ErrNotFound.
func (t *Tx) Get(name string) (r store.Record, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	key, err := nameKey(name)
	if err != nil {
		return store.Record{}, err
	}
	found, err := t.record(key)
	if err != nil {
		return store.Record{}, err
	}
	if found == nil {
		return store.Record{}, absent("name %.512q", name)
	}
	return *found, nil
}

// Target returns the records that point at a digest.
func (t *Tx) Target(d digest.Digest) (all []store.Record, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	if _, err := image.ParseDigest(string(d)); err != nil {
		return nil, err
	}
	return t.target([]store.Record{}, digestKey(d))
}

// target appends the records that point at a digest.
func (t *Tx) target(all []store.Record, d []byte) ([]store.Record, error) {
	var err error
	t.each(bucketTargets, d, func(key, value []byte) bool {
		name := key[len(d):]
		if len(name) == 0 {
			err = fmt.Errorf("a key in bucket %s has no name: %w", bucketTargets, errDamaged)
			return false
		}
		var r store.Record
		if r, err = recordIn(bucketTargets, name, key, value); err == nil {
			all = append(all, r)
		}
		return err == nil
	})
	return all, err
}

// Containing returns the records in whose graph a digest is.
func (t *Tx) Containing(d digest.Digest) (all []store.Record, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	if _, err := image.ParseDigest(string(d)); err != nil {
		return nil, err
	}
	all = []store.Record{}
	prefix := digestKey(d)
	roots := 0
	t.each(bucketContained, prefix, func(key, _ []byte) bool {
		roots++
		all, err = t.target(all, key[len(prefix):])
		return err == nil
	})
	if roots > 1 {
		slices.SortFunc(all, func(a, b store.Record) int { return strings.Compare(a.Key(), b.Key()) })
	}
	return all, err
}

// Prefix returns the digests of targets, manifests and image configs whose hex begins
// with the given characters.
func (t *Tx) Prefix(digits string, limit int) (all []digest.Digest, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	p, err := parsePrefix(digits)
	if err != nil {
		return nil, err
	}
	all = []digest.Digest{}
	for alg := 1; alg <= codec.Algorithms(); alg++ {
		p.from[0] = byte(alg)
		if all, err = t.prefix(all, p, limit); err != nil || limit > 0 && len(all) == limit {
			break
		}
	}
	return all, err
}

// hexPrefix is what a key begins with.
type hexPrefix struct {
	from []byte // the algorithm, and the digits as bytes
	odd  bool   // of the last byte only the upper half counts
}

func parsePrefix(digits string) (hexPrefix, error) {
	p := hexPrefix{odd: len(digits)%2 == 1}
	even := digits
	if p.odd {
		even += "0"
	}
	var err error
	p.from, err = hex.AppendDecode(make([]byte, 1, 1+len(even)/2), []byte(even))
	if err != nil || digits == "" || len(digits) > 64 || strings.ToLower(digits) != digits {
		return hexPrefix{}, fmt.Errorf("%.100q is not 1 to 64 characters from 0-9a-f: %w", digits, errdefs.ErrInvalidArgument)
	}
	return p, nil
}

// begins reports whether a key begins with the prefix.
func (p hexPrefix) begins(key []byte) bool {
	if !p.odd {
		return bytes.HasPrefix(key, p.from)
	}
	last := len(p.from) - 1
	return bytes.HasPrefix(key, p.from[:last]) && len(key) > last && key[last]>>4 == p.from[last]>>4
}

// prefix appends the digests of one algorithm.
func (t *Tx) prefix(all []digest.Digest, p hexPrefix, limit int) ([]digest.Digest, error) {
	c := t.cursor(bucketContained)
	defer t.keep(bucketContained, c)
	for key, _ := c.Seek(p.from); key != nil && p.begins(key) && (limit <= 0 || len(all) < limit); {
		d, _, ok := codec.CutDigest(key)
		if !ok {
			return all, fmt.Errorf("a key in bucket %s does not begin with a digest: %w", bucketContained, errDamaged)
		}
		all = append(all, d)
		n := codec.DigestLen(key)
		found := [65]byte{}
		copy(found[:], key[:n])
		if key, _ = c.Next(); bytes.HasPrefix(key, found[:n]) {
			key, _ = c.Seek(after(found[:n]))
		}
	}
	return all, nil
}

// after returns the first key that does not begin with a prefix, and comes after it.
func after(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i]++; prefix[i] != 0 {
			return prefix[:i+1]
		}
	}
	return prefix
}

// Repository returns the records of a repository.
func (t *Tx) Repository(name string) (all []store.Record, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	all = []store.Record{}
	for _, separator := range []string{":", "@"} {
		prefix := slices.Concat([]byte{namedKey}, []byte(name), []byte(separator))
		t.each(bucketNames, prefix, func(key, value []byte) bool {
			if bytes.IndexByte(key[len(prefix):], '/') >= 0 {
				return true // of a host with that name, and a port
			}
			var r store.Record
			if r, err = decodeRecord(key, value); err == nil {
				all = append(all, r)
			}
			return err == nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Children returns the digests of configs which say that they were built upon an image.
func (t *Tx) Children(config digest.Digest) (all []digest.Digest, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	if _, err := image.ParseDigest(string(config)); err != nil {
		return nil, err
	}
	return t.digests(bucketChildren, digestKey(config))
}

// Referrers returns the digests of documents with a subject.
func (t *Tx) Referrers(subject digest.Digest) (all []digest.Digest, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	if _, err := image.ParseDigest(string(subject)); err != nil {
		return nil, err
	}
	return t.digests(bucketReferrers, digestKey(subject))
}

// digests returns those that follow a prefix in the keys of a bucket.
func (t *Tx) digests(b bucket, prefix []byte) (all []digest.Digest, err error) {
	all = []digest.Digest{}
	t.each(b, prefix, func(key, _ []byte) bool {
		var d digest.Digest
		if d, err = keyDigest(b, key[len(prefix):]); err == nil {
			all = append(all, d)
		}
		return err == nil
	})
	return all, err
}

// List returns records in the order of their keys.
func (t *Tx) List(after string, limit int) (all []store.Record, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	all = []store.Record{}
	c := t.in(bucketNames).Cursor()
	key, value := c.First()
	if after != "" {
		from, err := nameKey(after)
		if err != nil {
			return nil, err
		}
		if key, value = c.Seek(from); bytes.Equal(key, from) {
			key, value = c.Next()
		}
	}
	for ; key != nil && (limit <= 0 || len(all) < limit); key, value = c.Next() {
		r, err := decodeRecord(key, value)
		if err != nil {
			return all, err
		}
		all = append(all, r)
	}
	return all, nil
}

// Named reports whether a name, not a dangling record, points at a digest.
func (t *Tx) Named(d digest.Digest) (named bool, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	return t.any(bucketTargets, append(digestKey(d), namedKey)), nil
}
