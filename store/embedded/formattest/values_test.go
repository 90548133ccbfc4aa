package formattest

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// decoder reads values one after the other by the section "Values" of the page.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
	d.rest = nil
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.rest)) {
		d.fail("%d bytes are wanted, there are %d", n, len(d.rest))
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

// done returns the first error, one that bytes are left too.
func (d *decoder) done() error {
	if d.err == nil && len(d.rest) > 0 {
		d.fail("%d bytes are left", len(d.rest))
	}
	return d.err
}

func (d *decoder) byte() byte {
	if b := d.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (d *decoder) number() uint64 {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 || !bytes.Equal(binary.AppendUvarint(nil, n), d.rest[:size]) {
		d.fail("no number: %.10x", d.rest)
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) signed() int64 {
	n := d.number()
	if n%2 == 1 {
		return -int64(n/2) - 1
	}
	return int64(n / 2)
}

func (d *decoder) flag() bool {
	b := d.byte()
	if b > 1 {
		d.fail("no flag: %d", b)
	}
	return b == 1
}

func (d *decoder) text() string { return string(d.take(d.number())) }

func (d *decoder) list() (all []string) {
	for n := d.number(); n > 0 && d.err == nil; n-- {
		all = append(all, d.text())
	}
	return all
}

func (d *decoder) labels() map[string]string {
	n := d.number()
	if n == 0 {
		return nil
	}
	all, before := map[string]string{}, ""
	for i := uint64(0); i < n && d.err == nil; i++ {
		key := d.text()
		if i > 0 && key <= before {
			d.fail("key %q comes after %q", key, before)
		}
		all[key], before = d.text(), key
	}
	return all
}

func (d *decoder) time() time.Time {
	if !d.flag() {
		return time.Time{}
	}
	seconds, nanoseconds := d.signed(), d.number()
	if nanoseconds >= 1e9 {
		d.fail("%d nanoseconds", nanoseconds)
	}
	return time.Unix(seconds, int64(nanoseconds)).UTC()
}

// algorithms are those of digests by their number, with the sizes of their hashes.
var algorithms = []struct {
	name string
	size uint64
}{{}, {"sha256", 32}, {"sha384", 48}, {"sha512", 64}}

// digest reads a digest; empty for its absence.
func (d *decoder) digest() string {
	n := d.byte()
	if n == 0 {
		return ""
	}
	if int(n) >= len(algorithms) {
		d.fail("digest algorithm %d", n)
		return ""
	}
	a := algorithms[n]
	return a.name + ":" + hex.EncodeToString(d.take(a.size))
}

// present is digest for one that must not be absent.
func (d *decoder) present() string {
	found := d.digest()
	if found == "" {
		d.fail("a digest is absent")
	}
	return found
}

type target struct {
	mediaType, digest string
	size              int64
}

func (d *decoder) target() target { return target{d.text(), d.digest(), d.signed()} }

type platform struct {
	os, architecture, variant, version string
	features                           []string
}

func (d *decoder) platform() *platform {
	if !d.flag() {
		return nil
	}
	return &platform{d.text(), d.text(), d.text(), d.text(), d.list()}
}

// roles are those of edges by their number.
var roles = []string{"", "index", "manifest", "attestation", "config", "layer", "opaque"}

type edge struct {
	role         string
	index        uint64
	target       target
	urls         []string
	annotations  map[string]string
	data         string
	platform     *platform
	artifactType string
}

func (d *decoder) edge() edge {
	role := d.byte()
	if role == 0 || int(role) >= len(roles) {
		d.fail("role %d", role)
		return edge{}
	}
	return edge{roles[role], d.number(), d.target(), d.list(), d.labels(), d.text(), d.platform(), d.text()}
}

type facts struct {
	mediaType    string
	size         int64
	platform     *platform
	created      time.Time
	config       string
	subject      string
	artifactType string
	parent       string
	edges        []edge
}

func (d *decoder) facts() facts {
	f := facts{d.text(), d.signed(), d.platform(), d.time(), d.digest(), d.digest(), d.text(), d.digest(), nil}
	for n := d.number(); n > 0 && d.err == nil; n-- {
		f.edges = append(f.edges, d.edge())
	}
	return f
}

type record struct {
	target           target
	labels           map[string]string
	created, updated time.Time
}

func (d *decoder) record() record { return record{d.target(), d.labels(), d.time(), d.time()} }

type lease struct {
	number         uint64
	labels         map[string]string
	created, until time.Time
	process        bool
	pid, start     uint64
	boot           string
}

func (d *decoder) lease() lease {
	l := lease{number: d.number(), labels: d.labels(), created: d.time(), until: d.time(), process: d.flag()}
	if l.process {
		l.pid, l.start, l.boot = d.number(), d.number(), d.text()
	}
	return l
}

func (d *decoder) digests() (all []string) {
	for n := d.number(); n > 0 && d.err == nil; n-- {
		all = append(all, d.present())
	}
	return all
}

// state is the value of key "state" in bucket "meta".
type state struct {
	segment, offset, sequence uint64
	live                      int64
	epoch                     uint64
	boot                      string
	clean, sweep              bool
}

func (d *decoder) state() state {
	return state{d.number(), d.number(), d.number(), d.signed(), d.number(), d.text(), d.flag(), d.flag()}
}

// sum is the checksum of all bytes.
func sum(parts ...[]byte) uint32 {
	return crc32.Checksum(bytes.Join(parts, nil), crc32.MakeTable(crc32.Castagnoli))
}

var errSeal = errors.New("the checksum is not that of key and value")

// unseal returns a value without the checksum behind it, which it checks.
func unseal(key, value []byte) ([]byte, error) {
	n := len(value) - 4
	if n < 0 || binary.LittleEndian.Uint32(value[n:]) != sum(key, value[:n]) {
		return nil, errSeal
	}
	return value[:n], nil
}
