package catalog

import (
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/codec"
)

// Change is one change of what a store has. It says how something is from now on, and
// not what was before, so that it can be applied more than once. Digests and keys in it
// are valid.
type Change interface {
	append(b []byte) []byte
	apply(t *Tx)
}

// The first byte of a change.
const (
	tagPutBlob   = 1
	tagDropBlob  = 2
	tagPutFacts  = 3
	tagPutName   = 4
	tagDropName  = 5
	tagPutLease  = 6
	tagDropLease = 7
	tagHold      = 8
)

// PutBlob makes a blob visible.
type PutBlob struct {
	Digest  digest.Digest
	Created time.Time
	// Number is that of its Bytes, from Tx.NextBytes; 0: they are in a file of that Size.
	Number uint64
	Size   int64
	Bytes  []byte
	// Facts are those of a document; nil for any other blob.
	Facts *store.Facts
}

func (c PutBlob) append(b []byte) []byte {
	b = codec.AppendDigest(append(b, tagPutBlob), c.Digest)
	b = codec.AppendTime(b, c.Created)
	if b = codec.AppendUint(b, c.Number); c.Number == 0 {
		b = codec.AppendUint(b, uint64(c.Size)) //nolint:gosec // not negative
	} else {
		b = codec.AppendString(b, c.Bytes)
	}
	if b = codec.AppendBool(b, c.Facts != nil); c.Facts != nil {
		b = codec.AppendFacts(b, *c.Facts)
	}
	return b
}

func readPutBlob(d *codec.Decoder) PutBlob {
	c := PutBlob{Digest: d.Digest(), Created: d.Time(), Number: d.Uint()}
	if c.Number == 0 {
		c.Size = d.Size()
	} else {
		c.Bytes = append([]byte{}, d.Bytes()...)
		c.Size = int64(len(c.Bytes))
	}
	if d.Bool() {
		f := d.Facts()
		c.Facts = &f
	}
	return c
}

// DropBlob makes a blob invisible.
type DropBlob struct{ Digest digest.Digest }

func (c DropBlob) append(b []byte) []byte {
	return codec.AppendDigest(append(b, tagDropBlob), c.Digest)
}

// PutFacts notes the facts of a blob that is visible already.
type PutFacts struct {
	Digest digest.Digest
	Facts  store.Facts
}

func (c PutFacts) append(b []byte) []byte {
	return codec.AppendFacts(codec.AppendDigest(append(b, tagPutFacts), c.Digest), c.Facts)
}

// PutName makes or changes a record, which may be a dangling one.
type PutName struct{ Record store.Record }

func (c PutName) append(b []byte) []byte {
	return appendRecord(codec.AppendString(append(b, tagPutName), c.Record.Key()), c.Record)
}

func readPutName(d *codec.Decoder) PutName {
	key := d.String()
	r := readRecord(d)
	if key != "" && key[0] != '@' {
		r.Name = key
	}
	return PutName{r}
}

// DropName removes the record with that store.Record.Key.
type DropName struct{ Key string }

func (c DropName) append(b []byte) []byte { return codec.AppendString(append(b, tagDropName), c.Key) }

// PutLease makes or changes a lease.
type PutLease struct{ Lease Lease }

func (c PutLease) append(b []byte) []byte {
	return appendLease(codec.AppendString(append(b, tagPutLease), c.Lease.ID), c.Lease)
}

func readPutLease(d *codec.Decoder) Change {
	id := d.String()
	l := readLease(d)
	l.ID = id
	return PutLease{l}
}

// DropLease ends a lease. What it holds is let go by Tx.Drain.
type DropLease struct{ ID string }

func (c DropLease) append(b []byte) []byte { return codec.AppendString(append(b, tagDropLease), c.ID) }

// Hold has the lease of a number hold blobs. Part is another one for each Hold of a
// lease: see Tx.NextHold.
type Hold struct {
	Number, Part uint64
	Digests      []digest.Digest
}

func (c Hold) append(b []byte) []byte {
	b = codec.AppendUint(codec.AppendUint(append(b, tagHold), c.Number), c.Part)
	return appendDigests(b, c.Digests)
}

// Do applies a change, and adds it to the log.
func (t *Tx) Do(c Change) (err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	c.apply(t)
	t.log = c.append(t.log)
	return t.err
}

// Apply applies a change that is not for the journal.
func (t *Tx) Apply(c Change) (err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	c.apply(t)
	return t.err
}

// Replay applies changes that a log has.
func (t *Tx) Replay(log []byte) (err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	changes, err := Decode(log)
	for _, c := range changes {
		c.apply(t)
	}
	if t.err != nil {
		return t.err
	}
	return err
}

// Decode reads the changes of a log. With an error, ErrDataLoss, it returns those before
// what is damaged.
func Decode(log []byte) ([]Change, error) {
	var all []Change
	d := codec.NewDecoder(log)
	for d.More() {
		c, err := decodeChange(d)
		if err == nil && d.Failed() {
			err = d.Done()
		}
		if err != nil {
			return all, err
		}
		all = append(all, c)
	}
	return all, nil
}

func decodeChange(d *codec.Decoder) (Change, error) {
	var c Change
	var valid bool
	switch tag := d.Byte(); tag {
	case tagPutBlob:
		put := readPutBlob(d)
		c, valid = put, put.Digest != ""
	case tagDropBlob:
		blob := d.Digest()
		c, valid = DropBlob{blob}, blob != ""
	case tagPutFacts:
		blob := d.Digest()
		c, valid = PutFacts{blob, d.Facts()}, blob != ""
	case tagPutName:
		put := readPutName(d)
		_, err := nameKey(put.Record.Key())
		c, valid = put, put.Record.Target.Digest != "" && err == nil
	case tagDropName:
		key := d.String()
		_, err := nameKey(key)
		c, valid = DropName{key}, err == nil
	case tagPutLease:
		c, valid = readPutLease(d), true
	case tagDropLease:
		c, valid = DropLease{d.String()}, true
	case tagHold:
		hold := Hold{d.Uint(), d.Uint(), readDigests(d)}
		c, valid = hold, !slices.Contains(hold.Digests, "")
	default:
		return nil, fmt.Errorf("a change of the unknown kind %d: %w", tag, errdefs.ErrDataLoss)
	}
	if !valid && !d.Failed() {
		return nil, fmt.Errorf("a change of what has no valid name: %w", errdefs.ErrDataLoss)
	}
	return c, nil
}
