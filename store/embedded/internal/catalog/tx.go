package catalog

import (
	"bytes"
	"runtime/debug"
	"slices"

	"github.com/opencontainers/go-digest"
	bolt "go.etcd.io/bbolt"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store/embedded/internal/codec"
	"github.com/dhowhq/dhow/store/embedded/internal/journal"
)

// Tx is a transaction. Its methods are for one goroutine at a time. That a write has
// failed is said by the method that follows, and by Commit at last.
type Tx struct {
	db     *DB
	bolt   *bolt.Tx
	opened [buckets]*bolt.Bucket
	seeks  [buckets]*bolt.Cursor // of a transaction that only reads
	key    [maxDigestKey]byte    // that is looked up
	err    error                 // the first of a write
	writes int
	log    []byte
	state  *State
	fresh  fresh
	// changed are the roots below which something has changed: see drawChanged.
	changed map[string]bool
	moment  uint64 // of one that reads: see idle
	ended   bool   // of one that writes
}

// State is what a database says of itself.
type State struct {
	// Journal is up to where the journal was applied.
	Journal journal.Position
	// Live is about how many bytes of the journal are of use.
	Live int64
	// Epoch counts the times that files were not to be believed any more.
	Epoch uint64
	// Boot is the boot of the machine in which the store was written to last.
	Boot string
	// Clean tells that the store was closed after that.
	Clean bool
	// Sweep tells that files may be there which no record knows.
	Sweep bool
}

const stateKey = "state"

// State returns what the database says of itself.
func (t *Tx) State() (s State, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	if t.state != nil {
		return *t.state, nil
	}
	value, err := t.sealed(bucketMeta, []byte(stateKey))
	if err != nil {
		return State{}, err
	}
	d := codec.NewDecoder(value)
	s = State{
		Journal: journal.Position{Segment: d.Uint(), Offset: d.Size(), Sequence: d.Uint()},
		Live:    d.Int(), Epoch: d.Uint(), Boot: d.String(), Clean: d.Bool(), Sweep: d.Bool(),
	}
	if err := d.Done(); err != nil {
		return State{}, damagedAt(bucketMeta, err)
	}
	t.state = &s
	return s, nil
}

// SetState replaces what the database says of itself.
func (t *Tx) SetState(s State) {
	t.state = &s
	t.writes++
}

// live counts bytes of the journal that have come to be of use, or none any more.
func (t *Tx) live(n int) {
	s, err := t.State()
	if err != nil {
		t.fail(err)
		return
	}
	s.Live += int64(n)
	t.state = &s
}

// Log returns the changes that were applied, for the journal.
func (t *Tx) Log() []byte { return t.log }

// Writes returns how often something was written.
func (t *Tx) Writes() int { return t.writes }

// Commit makes what was written durable, and visible.
func (t *Tx) Commit() (err error) {
	defer t.end()
	if err = t.complete(); err == nil {
		err = t.commit()
	}
	if err != nil {
		t.rollback() // what has failed ends all the same
	}
	return err
}

// complete writes what follows from all that was written. A page that is damaged fails this
// transaction and no other: nobody holds a lock of the library yet but that of who writes.
func (t *Tx) complete() (err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	t.writeSuspects()
	t.drawChanged()
	if s := t.state; s != nil {
		b := codec.AppendUint(nil, s.Journal.Segment)
		b = codec.AppendUint(b, uint64(s.Journal.Offset)) //nolint:gosec // not negative
		b = codec.AppendUint(b, s.Journal.Sequence)
		b = codec.AppendInt(b, s.Live)
		b = codec.AppendUint(b, s.Epoch)
		b = codec.AppendString(b, s.Boot)
		t.seal(bucketMeta, []byte(stateKey), codec.AppendBool(codec.AppendBool(b, s.Clean), s.Sweep))
	}
	return t.err
}

func (t *Tx) commit() (err error) {
	defer t.db.recovered(&err, debug.SetPanicOnFault(true))
	return t.bolt.Commit()
}

// Rollback ends a transaction that writes, unless Commit has.
func (t *Tx) Rollback() {
	t.rollback()
	t.end()
}

// end notes that nothing is written any more.
func (t *Tx) end() {
	if !t.ended {
		t.ended = true
		t.db.idle.written()
	}
}

func (t *Tx) rollback() {
	if t.db.broken.Load() && !t.bolt.Writable() {
		return // the library would wait for itself
	}
	var err error
	defer t.db.recovered(&err, debug.SetPanicOnFault(true))
	_ = t.bolt.Rollback() // fails after Commit only
}

func (t *Tx) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

// in returns a bucket.
func (t *Tx) in(b bucket) *bolt.Bucket {
	if t.opened[b] == nil {
		t.opened[b] = t.bolt.Bucket([]byte(b.String()))
	}
	return t.opened[b]
}

// get returns a value, which is valid as long as the transaction; nil if there is none.
func (t *Tx) get(b bucket, key []byte) []byte {
	if t.bolt.Writable() {
		return t.in(b).Get(key)
	}
	c := t.cursor(b)
	defer t.keep(b, c)
	if found, value := c.Seek(key); bytes.Equal(found, key) {
		return value
	}
	return nil
}

// cursor returns a cursor that nobody else has until it is given to keep.
func (t *Tx) cursor(b bucket) *bolt.Cursor {
	if c := t.seeks[b]; c != nil {
		t.seeks[b] = nil
		return c
	}
	return t.in(b).Cursor()
}

// keep keeps a cursor for who needs one next: to make one takes longer than to move it.
func (t *Tx) keep(b bucket, c *bolt.Cursor) {
	if !t.bolt.Writable() {
		t.seeks[b] = c
	}
}

// find returns the key of a digest, which is so until the next find. An error is that of
// image.ParseDigest.
func (t *Tx) find(d digest.Digest) ([]byte, error) {
	if key, ok := codec.EncodeDigest(t.key[:0], d); ok {
		return key, nil
	}
	_, err := image.ParseDigest(string(d))
	return nil, err
}

func (t *Tx) has(b bucket, key []byte) bool { return t.get(b, key) != nil }

// put writes a value. Neither key nor value may be changed afterwards.
func (t *Tx) put(b bucket, key, value []byte) {
	t.writes++
	if err := t.in(b).Put(key, value); err != nil {
		t.fail(err)
	}
}

// add writes a key without a value, unless it is there.
func (t *Tx) add(b bucket, key []byte) {
	if !t.has(b, key) {
		t.put(b, key, []byte{})
	}
}

// drop removes a key.
func (t *Tx) drop(b bucket, key []byte) {
	t.writes++
	if err := t.in(b).Delete(key); err != nil {
		t.fail(err)
	}
}

// raise has the numbers of a bucket go on after one.
func (t *Tx) raise(b bucket, number uint64) {
	if t.in(b).Sequence() < number {
		if err := t.in(b).SetSequence(number); err != nil {
			t.fail(err)
		}
	}
}

// maxKey is how long a key may be: the ID of a lease, or a name.
const maxKey = 2 << 10

// each calls f with the keys that begin with a prefix, and their values, until it
// returns false. It is not to write to the bucket; what it gets is valid as long as
// the transaction.
func (t *Tx) each(b bucket, prefix []byte, f func(key, value []byte) bool) {
	t.eachAfter(b, prefix, nil, f)
}

// eachAfter is each for the keys which go on with what comes after a rest; nil: for all.
func (t *Tx) eachAfter(b bucket, prefix, rest []byte, f func(key, value []byte) bool) {
	c := t.cursor(b)
	defer t.keep(b, c)
	from := prefix
	if rest != nil {
		from = append(join(prefix, rest), 0) // the least that comes after it
	}
	for k, v := c.Seek(from); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if len(k) > maxKey {
			panic("a key is too long") // and would be copied: see recovered
		}
		if !f(k, v) {
			return
		}
	}
}

// any reports whether a key begins with a prefix.
func (t *Tx) any(b bucket, prefix []byte) bool {
	c := t.cursor(b)
	defer t.keep(b, c)
	k, _ := c.Seek(prefix)
	return k != nil && bytes.HasPrefix(k, prefix)
}

// rests returns what comes after a prefix in the keys that begin with it: limit of them
// at most, 0 is no limit. They stay valid when the bucket is written to.
func (t *Tx) rests(b bucket, prefix []byte, limit int) [][]byte {
	var all [][]byte
	t.each(b, prefix, func(key, _ []byte) bool {
		all = append(all, bytes.Clone(key[len(prefix):]))
		return limit == 0 || len(all) < limit
	})
	return all
}

// join returns a new key of several parts.
func join(parts ...[]byte) []byte { return slices.Concat(parts...) }
