package catalog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/codec"
)

const sumSize = 4

// seal writes a value with a checksum of key and value behind it.
func (t *Tx) seal(b bucket, key, value []byte) {
	sum := crc32.Update(crc32.Checksum(key, crc32.MakeTable(crc32.Castagnoli)), crc32.MakeTable(crc32.Castagnoli), value)
	t.put(b, key, binary.LittleEndian.AppendUint32(value, sum))
}

// sealed returns a value that seal wrote: nil if there is none.
func (t *Tx) sealed(b bucket, key []byte) ([]byte, error) { return unseal(b, key, t.get(b, key)) }

func unseal(b bucket, key, value []byte) ([]byte, error) {
	if value == nil {
		return nil, nil
	}
	if n := len(value) - sumSize; n >= 0 {
		sum := crc32.Update(crc32.Checksum(key, crc32.MakeTable(crc32.Castagnoli)), crc32.MakeTable(crc32.Castagnoli), value[:n])
		if binary.LittleEndian.Uint32(value[n:]) == sum {
			return value[:n:n], nil
		}
	}
	return nil, fmt.Errorf("a record in bucket %s does not have its checksum: %w", b, errDamaged)
}

func damagedAt(b bucket, err error) error { return fmt.Errorf("bucket %s: %w: %w", b, err, errDamaged) }

// maxDigestKey is how long the key of a digest can be.
const maxDigestKey = 65

// digestKey returns the key of a valid digest.
func digestKey(d digest.Digest) []byte { return codec.AppendDigest(make([]byte, 0, maxDigestKey), d) }

// keyDigest returns the digest that a key is.
func keyDigest(b bucket, key []byte) (digest.Digest, error) {
	d, rest, ok := codec.CutDigest(key)
	if !ok || len(rest) > 0 {
		return "", fmt.Errorf("a key in bucket %s is no digest: %w", b, errDamaged)
	}
	return d, nil
}

// cutKey splits a key after the digest that it begins with; what does not begin with one
// has nothing before the cut.
func cutKey(key []byte) (d, rest []byte) {
	n := codec.DigestLen(key)
	return key[:n], key[n:]
}

// The first byte of a key in bucket names: dangling records come before all others.
const (
	danglingKey = 0
	namedKey    = 1
)

// nameKey returns the key of a record by its store.Record.Key.
func nameKey(key string) ([]byte, error) {
	if text, ok := strings.CutPrefix(key, "@"); ok {
		d, err := image.ParseDigest(text)
		if err != nil {
			return nil, err
		}
		return codec.AppendDigest([]byte{danglingKey}, d), nil
	}
	return append([]byte{namedKey}, key...), nil
}

func isDangling(key []byte) bool { return key[0] == danglingKey }

// Blob is what is known of a visible blob.
type Blob struct {
	Size    int64
	Created time.Time
	// Number is that of its bytes in the database; 0: they are in a file.
	Number uint64
}

// File reports whether the bytes are in a file, and not in the database.
func (b Blob) File() bool { return b.Number == 0 }

func appendBlob(b []byte, blob Blob) []byte {
	b = codec.AppendUint(b, uint64(blob.Size)) //nolint:gosec // not negative
	return codec.AppendUint(codec.AppendTime(b, blob.Created), blob.Number)
}

func decodeBlob(value []byte) (Blob, error) {
	d := codec.NewDecoder(value)
	b := Blob{Size: d.Size(), Created: d.Time(), Number: d.Uint()}
	if err := d.Done(); err != nil {
		return Blob{}, damagedAt(bucketBlobs, err)
	}
	return b, nil
}

// blobOf returns the blob that a record in bucket blobs is about.
func blobOf(key, value []byte) (d digest.Digest, b Blob, err error) {
	if d, err = keyDigest(bucketBlobs, key); err != nil {
		return d, b, err
	}
	if value, err = unseal(bucketBlobs, key, value); err != nil {
		return d, b, err
	}
	b, err = decodeBlob(value)
	return d, b, err
}

func appendRecord(b []byte, r store.Record) []byte {
	b = codec.AppendTarget(b, r.Target)
	b = codec.AppendMap(b, r.Labels)
	return codec.AppendTime(codec.AppendTime(b, r.Created), r.Updated)
}

func readRecord(d *codec.Decoder) store.Record {
	return store.Record{Target: d.Target(), Labels: d.Map(), Created: d.Time(), Updated: d.Time()}
}

func decodeRecord(key, value []byte) (store.Record, error) {
	return recordIn(bucketNames, key, key, value)
}

// recordIn returns the record that a bucket has of a key of bucket names.
func recordIn(b bucket, name, key, value []byte) (store.Record, error) {
	value, err := unseal(b, key, value)
	if err != nil {
		return store.Record{}, err
	}
	d := codec.NewDecoder(value)
	r := readRecord(d)
	if err := d.Done(); err != nil {
		return store.Record{}, damagedAt(b, err)
	}
	if !isDangling(name) {
		r.Name = string(name[1:])
	}
	return r, nil
}

// Lease is a lease as it is kept.
type Lease struct {
	store.Lease
	// Number is what its holds are kept by. It is never used again.
	Number uint64
	// PID, Start and Boot are those of the process that it is tied to.
	PID   uint64
	Start uint64
	Boot  string
}

func appendLease(b []byte, l Lease) []byte {
	b = codec.AppendUint(b, l.Number)
	b = codec.AppendMap(b, l.Labels)
	b = codec.AppendTime(codec.AppendTime(b, l.Created), l.Until)
	if b = codec.AppendBool(b, l.Process); !l.Process {
		return b
	}
	return codec.AppendString(codec.AppendUint(codec.AppendUint(b, l.PID), l.Start), l.Boot)
}

func readLease(d *codec.Decoder) Lease {
	l := Lease{Number: d.Uint()}
	l.Labels, l.Created, l.Until, l.Process = d.Map(), d.Time(), d.Time(), d.Bool()
	if l.Process {
		l.PID, l.Start, l.Boot = d.Uint(), d.Uint(), d.String()
	}
	return l
}

func decodeLease(id, value []byte) (Lease, error) {
	value, err := unseal(bucketLeases, id, value)
	if err != nil {
		return Lease{}, err
	}
	d := codec.NewDecoder(value)
	l := readLease(d)
	l.ID = string(id)
	if err := d.Done(); err != nil {
		return Lease{}, damagedAt(bucketLeases, err)
	}
	return l, nil
}

func appendDigests(b []byte, all []digest.Digest) []byte {
	b = codec.AppendUint(b, uint64(len(all)))
	for _, d := range all {
		b = codec.AppendDigest(b, d)
	}
	return b
}

func readDigests(d *codec.Decoder) []digest.Digest {
	var all []digest.Digest
	for range d.Count() {
		all = append(all, d.Digest())
	}
	return all
}

// decodeHold returns what one Hold has given a lease.
func decodeHold(key, value []byte) ([]digest.Digest, error) {
	value, err := unseal(bucketHolds, key, value)
	if err != nil {
		return nil, err
	}
	d := codec.NewDecoder(value)
	all := readDigests(d)
	if err := d.Done(); err != nil {
		return nil, damagedAt(bucketHolds, err)
	}
	return all, nil
}

// numberKey returns a number as a key.
func numberKey(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// absent returns an ErrNotFound.
func absent(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, errdefs.ErrNotFound)...)
}
