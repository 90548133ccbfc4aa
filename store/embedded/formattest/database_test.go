package formattest

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

type blob struct {
	size    uint64
	created time.Time
	number  uint64 // of its bytes; 0: in a file
	bytes   string // if they are not
}

// content is what a store has, be it read from the database or from the journal.
type content struct {
	blobs  map[string]blob
	facts  map[string]facts
	names  map[string]record
	leases map[string]lease
	holds  map[[2]uint64][]string // by the number of the lease and that of the part
	ended  map[uint64]bool        // leases whose holds are not let go of yet
}

func newContent() *content {
	return &content{
		blobs: map[string]blob{}, facts: map[string]facts{}, names: map[string]record{},
		leases: map[string]lease{}, holds: map[[2]uint64][]string{}, ended: map[uint64]bool{},
	}
}

// database is all that is in the file catalog.db.
type database struct {
	*content
	state    state
	verified map[string]uint64
	suspects map[string]bool
	outlines map[string]outline
	stale    map[string]bool
	touched  map[string]bool
	// The keys of the buckets that follow from content, with their values.
	targets                              map[string]record
	refs, contained, children, referrers map[string]string
	// The bytes of all, bucket by bucket, for the golden file.
	raw       map[string][][2][]byte
	sequences map[string]uint64
}

// buckets are those of the page, in its order.
var buckets = []string{
	"meta", "blobs", "bytes", "facts", "names", "leases", "holds",
	"targets", "refs", "contained", "children", "referrers", "suspects", "ended", "verified", "outlines", "stale", "touched",
}

// readDatabase reads the database by the section "catalog.db" of the page.
func readDatabase(path string) (*database, error) {
	file, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return nil, err
	}
	defer file.Close()
	db := &database{
		content: newContent(), verified: map[string]uint64{}, suspects: map[string]bool{},
		targets: map[string]record{}, refs: map[string]string{}, contained: map[string]string{},
		children: map[string]string{}, referrers: map[string]string{},
		outlines: map[string]outline{}, stale: map[string]bool{}, touched: map[string]bool{},
		raw: map[string][][2][]byte{}, sequences: map[string]uint64{},
	}
	err = file.View(func(tx *bolt.Tx) error {
		var found []string
		err := tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			found = append(found, string(name))
			db.sequences[string(name)] = b.Sequence()
			return b.ForEach(func(key, value []byte) error {
				if value == nil {
					return fmt.Errorf("bucket %s has a bucket %x", name, key)
				}
				db.raw[string(name)] = append(db.raw[string(name)], [2][]byte{slices.Clone(key), slices.Clone(value)})
				return nil
			})
		})
		want := slices.Sorted(slices.Values(buckets))
		if err == nil && !slices.Equal(found, want) {
			err = fmt.Errorf("buckets %q; want %q", found, want)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, name := range buckets {
		for _, kv := range db.raw[name] {
			if err := db.read(name, kv[0], kv[1]); err != nil {
				return nil, fmt.Errorf("bucket %s, key %x: %w", name, kv[0], err)
			}
		}
	}
	if err := db.takeBytes(); err != nil {
		return nil, err
	}
	return db, nil
}

// read reads one value.
func (db *database) read(bucket string, key, value []byte) (err error) {
	switch bucket {
	case "meta", "blobs", "facts", "names", "leases", "holds", "targets", "verified", "outlines", "touched":
		if value, err = unseal(key, value); err != nil {
			return err
		}
	}
	k, v := &decoder{rest: key}, &decoder{rest: value}
	switch bucket {
	case "meta":
		if text := string(k.take(uint64(len(key)))); text != "state" {
			return fmt.Errorf("key %q", text)
		}
		db.state = v.state()
	case "blobs":
		db.blobs[k.present()] = blob{size: v.number(), created: v.time(), number: v.number()}
	case "bytes":
		k.take(8)
		v.take(uint64(len(value)))
	case "facts":
		db.facts[k.present()] = v.facts()
	case "names":
		db.names[k.name()] = v.record()
	case "leases":
		db.leases[string(k.take(uint64(len(key))))] = v.lease()
	case "holds":
		db.holds[[2]uint64{k.fixed(), k.fixed()}] = v.digests()
	case "targets":
		k.present()
		k.name()
		db.targets[string(key)] = v.record()
	case "refs":
		k.present()
		k.who()
		db.refs[string(key)] = string(v.take(0))
	case "contained":
		k.present()
		k.present()
		db.contained[string(key)] = string(v.take(1))
	case "children", "referrers":
		k.present()
		k.present()
		map[string]map[string]string{"children": db.children, "referrers": db.referrers}[bucket][string(key)] = string(v.take(0))
	case "suspects":
		db.suspects[k.present()] = true
	case "ended":
		db.ended[k.fixed()] = true
	case "verified":
		db.verified[k.present()] = v.number()
	case "outlines":
		db.outlines[k.present()] = v.outline()
	case "stale":
		db.stale[k.present()] = true
	case "touched":
		db.touched[k.present()] = true
		if len(v.rest) > 0 {
			v.present()
			v.present()
		}
	}
	if err := k.done(); err != nil {
		return fmt.Errorf("key: %w", err)
	}
	return v.done()
}

// fixed reads a number of eight bytes in a key.
func (d *decoder) fixed() uint64 {
	if b := d.take(8); len(b) == 8 {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// name reads the key of a record, to the end.
func (d *decoder) name() string {
	if d.byte() == 0 {
		return "@" + d.present()
	}
	return string(d.take(uint64(len(d.rest))))
}

// who reads a reason for a blob to stay.
func (d *decoder) who() {
	switch kind := d.byte(); kind {
	case 1, 3:
		d.present()
	case 2:
		d.fixed()
	default:
		d.fail("kind of reference %d", kind)
	}
}

// takeBytes gives the blobs the bytes that the database has.
func (db *database) takeBytes() error {
	all := map[uint64]string{}
	for _, kv := range db.raw["bytes"] {
		all[binary.BigEndian.Uint64(kv[0])] = string(kv[1])
	}
	for d, b := range db.blobs {
		if b.number == 0 {
			continue
		}
		data, there := all[b.number]
		if !there || uint64(len(data)) != b.size {
			return fmt.Errorf("blob %s has %d of %d bytes", d, len(data), b.size)
		}
		delete(all, b.number)
		b.bytes = data
		db.blobs[d] = b
	}
	if len(all) > 0 {
		return fmt.Errorf("bytes of no blob: %v", all)
	}
	return nil
}
