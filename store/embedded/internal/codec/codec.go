// Package codec is the byte format of the values in an embedded store's database and
// journal. docs/store-format.md says the same in words.
//
// An encoding has one form: what decodes, encodes to the same bytes again.
package codec

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// algorithms are the digest algorithms by their number, in the order of their names, so
// that keys have the order of digests as text.
var algorithms = [...]algorithm{
	1: {digest.SHA256, 32},
	2: {digest.SHA384, 48},
	3: {digest.SHA512, 64},
}

type algorithm struct {
	name digest.Algorithm
	size int // of the hash, in bytes
}

// maxDigest is how long a digest can be as text.
const maxDigest = len(digest.SHA512) + 1 + 2*64

// Algorithms returns how many algorithms there are, which are numbered from 1.
func Algorithms() int { return len(algorithms) - 1 }

// HashSize returns the size in bytes of a hash of that algorithm.
func HashSize(algorithm int) int { return algorithms[algorithm].size }

// AppendDigest appends a digest that is valid by image.ParseDigest, or none.
func AppendDigest(b []byte, d digest.Digest) []byte {
	for i, a := range algorithms {
		if i > 0 && len(d) == len(a.name)+1+2*a.size && string(d[:len(a.name)]) == string(a.name) {
			var text [2 * 64]byte
			n := copy(text[:], d[len(a.name)+1:])
			b, _ = hex.AppendDecode(append(b, byte(i)), text[:n]) // it is valid
			return b
		}
	}
	return append(b, 0)
}

// EncodeDigest is AppendDigest of what may be no digest: then it is not ok.
func EncodeDigest(b []byte, d digest.Digest) (_ []byte, ok bool) {
	for i, a := range algorithms {
		if i == 0 || len(d) != len(a.name)+1+2*a.size || d[:len(a.name)] != digest.Digest(a.name) || d[len(a.name)] != ':' {
			continue
		}
		b = append(b, byte(i))
		text, good := d[len(a.name)+1:], byte(isNibble)
		b = slices.Grow(b, a.size)[:len(b)+a.size]
		hash := b[len(b)-a.size:]
		for i := range hash {
			high, low := nibbles[text[2*i]], nibbles[text[2*i+1]]
			good &= high & low
			hash[i] = high<<4 | low&0x0f
		}
		return b, good != 0
	}
	return b, false
}

// isNibble marks the values of lower-case hex characters. Digests are looked up by the ten
// thousand, and a table has no branches to be taken wrongly.
const isNibble = 0x10

var nibbles = [256]byte{
	'0': isNibble, '1': isNibble | 1, '2': isNibble | 2, '3': isNibble | 3, '4': isNibble | 4,
	'5': isNibble | 5, '6': isNibble | 6, '7': isNibble | 7, '8': isNibble | 8, '9': isNibble | 9,
	'a': isNibble | 10, 'b': isNibble | 11, 'c': isNibble | 12, 'd': isNibble | 13, 'e': isNibble | 14, 'f': isNibble | 15,
}

// DigestLen returns how long the digest is that b begins with; 0 for its absence, and for
// what is none.
func DigestLen(b []byte) int {
	if len(b) == 0 || b[0] == 0 || int(b[0]) >= len(algorithms) {
		return 0
	}
	if n := 1 + algorithms[b[0]].size; n <= len(b) {
		return n
	}
	return 0
}

// CutDigest reads the digest that b begins with, and returns what comes after it. Its
// absence, and what is none, is not ok.
func CutDigest(b []byte) (d digest.Digest, rest []byte, ok bool) {
	n := DigestLen(b)
	if n == 0 {
		return "", nil, false
	}
	var text [maxDigest]byte
	at := copy(text[:], algorithms[b[0]].name)
	text[at] = ':'
	at += 1 + hex.Encode(text[at+1:], b[1:n])
	return digest.Digest(text[:at]), b[n:], true
}

// AppendUint appends a number.
func AppendUint(b []byte, n uint64) []byte { return binary.AppendUvarint(b, n) }

// AppendInt appends a number that may be negative.
func AppendInt(b []byte, n int64) []byte { return binary.AppendVarint(b, n) }

// AppendString appends a text or bytes.
func AppendString[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// AppendStrings appends a list of texts.
func AppendStrings(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = AppendString(b, s)
	}
	return b
}

// AppendMap appends a map, in the order of its keys.
func AppendMap(b []byte, m map[string]string) []byte {
	b = binary.AppendUvarint(b, uint64(len(m)))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		b = AppendString(AppendString(b, key), m[key])
	}
	return b
}

// AppendTime appends a time, to the nanosecond. The zero time is absent.
func AppendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	b = binary.AppendVarint(append(b, 1), t.Unix())
	return binary.AppendUvarint(b, uint64(t.Nanosecond())) //nolint:gosec // not negative
}

// Decoder reads what the functions of this package have appended. After an error, which
// Done returns, everything is zero.
type Decoder struct {
	data []byte
	err  error
}

// NewDecoder returns a decoder of data. What it returns shares no memory with data, but
// for Bytes.
func NewDecoder(data []byte) *Decoder { return &Decoder{data: data} }

// Done returns the first error: ErrDataLoss for bytes that are no such encoding. That
// something is left is one too.
func (d *Decoder) Done() error {
	if d.err == nil && len(d.data) > 0 {
		d.fail("it has more bytes than it should")
	}
	return d.err
}

// Failed reports whether there was an error.
func (d *Decoder) Failed() bool { return d.err != nil }

// More reports whether there are bytes left, and no error.
func (d *Decoder) More() bool { return d.err == nil && len(d.data) > 0 }

func (d *Decoder) fail(problem string) {
	if d.err == nil {
		d.err = fmt.Errorf("damaged record: %s: %w", problem, errdefs.ErrDataLoss)
	}
	d.data = nil
}

// Byte reads one byte.
func (d *Decoder) Byte() byte {
	if len(d.data) == 0 {
		d.fail("it ends too early")
		return 0
	}
	c := d.data[0]
	d.data = d.data[1:]
	return c
}

// Uint reads what AppendUint wrote.
func (d *Decoder) Uint() uint64 {
	if len(d.data) > 0 && d.data[0] < 0x80 { // as most are
		v := uint64(d.data[0])
		d.data = d.data[1:]
		return v
	}
	v, n := binary.Uvarint(d.data)
	if n <= 0 || n > 1 && d.data[n-1] == 0 {
		d.fail("it has no proper number")
		return 0
	}
	d.data = d.data[n:]
	return v
}

// Int reads what AppendInt wrote.
func (d *Decoder) Int() int64 {
	u := d.Uint()
	return int64(u>>1) ^ -int64(u&1)
}

// Count reads how many elements follow, which each have a byte at least.
func (d *Decoder) Count() int {
	n := d.Uint()
	if n > uint64(len(d.data)) {
		d.fail("it ends too early")
		return 0
	}
	return int(n) //nolint:gosec // not more than len
}

// Bytes reads what AppendString wrote, and shares memory with the decoder's.
func (d *Decoder) Bytes() []byte {
	n := d.Count()
	b := d.data[:n:n]
	d.data = d.data[n:]
	return b
}

// String reads what AppendString wrote.
func (d *Decoder) String() string { return string(d.Bytes()) }

// Strings reads what AppendStrings wrote; an empty list is nil.
func (d *Decoder) Strings() []string {
	var list []string
	for range d.Count() {
		list = append(list, d.String())
	}
	return list
}

// Map reads what AppendMap wrote; an empty one is nil.
func (d *Decoder) Map() map[string]string {
	n := d.Count()
	if n == 0 {
		return nil
	}
	m := make(map[string]string, n)
	before := ""
	for i := range n {
		key := d.String()
		if i > 0 && key <= before {
			d.fail("a map is not in order")
			return nil
		}
		m[key] = d.String()
		before = key
	}
	return m
}

// Time reads what AppendTime wrote, in UTC.
func (d *Decoder) Time() time.Time {
	switch d.Byte() {
	case 0:
		return time.Time{}
	case 1:
		seconds, nanos := d.Int(), d.Uint()
		if t := time.Unix(seconds, int64(nanos%1e9)).UTC(); nanos < 1e9 && !t.IsZero() && t.Unix() == seconds {
			return t
		}
	}
	d.fail("it has no proper time")
	return time.Time{}
}

// Digest reads what AppendDigest wrote.
func (d *Decoder) Digest() digest.Digest {
	if len(d.data) > 0 && d.data[0] == 0 {
		d.data = d.data[1:]
		return ""
	}
	found, rest, ok := CutDigest(d.data)
	if !ok {
		d.fail("it has no proper digest")
		return ""
	}
	d.data = rest
	return found
}

// Key reads what AppendDigest wrote of a digest, as bytes that share memory with the
// decoder's.
func (d *Decoder) Key() []byte {
	n := DigestLen(d.data)
	if n == 0 {
		d.fail("it has no proper digest")
		return nil
	}
	key := d.data[:n:n]
	d.data = d.data[n:]
	return key
}

// Size reads the size of a blob: a number from 0 on.
func (d *Decoder) Size() int64 {
	n := d.Uint()
	if n > math.MaxInt64 {
		d.fail("it has no proper size")
		return 0
	}
	return int64(n)
}

// Bool reads what AppendBool wrote.
func (d *Decoder) Bool() bool {
	c := d.Byte()
	if c > 1 {
		d.fail("it has no proper flag")
	}
	return c == 1
}

// AppendBool appends a flag.
func AppendBool(b []byte, flag bool) []byte { //nolint:revive // the flag is the value
	if flag {
		return append(b, 1)
	}
	return append(b, 0)
}
