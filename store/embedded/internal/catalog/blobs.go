package catalog

import (
	"bytes"
	"runtime/debug"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/codec"
)

// blobCost is about how many bytes of the journal a blob's record takes.
const blobCost = 96

// bytesFill is how full pages become whose keys come in order.
const bytesFill = 0.9

func (c PutBlob) apply(t *Tx) {
	key := digestKey(c.Digest)
	old, there, err := t.blob(key)
	if err != nil {
		t.fail(err)
		return
	}
	if there {
		t.live(-t.blobCost(key, old))
	}
	b := Blob{Size: c.Size, Created: c.Created, Number: c.Number}
	t.seal(bucketBlobs, key, appendBlob(nil, b))
	if !old.File() && old.Number != b.Number {
		t.drop(bucketBytes, numberKey(old.Number))
	}
	if !b.File() {
		t.putBytes(b.Number, c.Bytes)
	}
	t.live(t.blobCost(key, b))
	if !there {
		if err := t.appeared(key); err != nil {
			t.fail(err)
			return
		}
	}
	t.redrawAbove(key)
	if c.Facts != nil {
		PutFacts{c.Digest, *c.Facts}.apply(t)
	}
}

// putBytes writes the bytes of a blob.
func (t *Tx) putBytes(number uint64, data []byte) {
	b := t.in(bucketBytes)
	b.FillPercent = bytesFill
	t.put(bucketBytes, numberKey(number), data)
	t.raise(bucketBytes, number)
}

// NextBytes returns the number for the bytes of the next blob.
func (t *Tx) NextBytes() (n uint64, err error) { return t.next(bucketBytes) }

// blobCost is about how many bytes of the journal are of use for a blob.
func (t *Tx) blobCost(key []byte, b Blob) int {
	n := blobCost + len(t.get(bucketFacts, key))
	if !b.File() {
		n += int(b.Size)
	}
	return n
}

// appeared notes what follows from a blob's having become visible.
func (t *Tx) appeared(key []byte) error {
	for _, referrer := range t.rests(bucketReferrers, key, 0) {
		t.add(bucketRefs, refKey(referrer, refSubject, key))
	}
	if !t.any(bucketTargets, key) && !t.any(bucketRefs, key) {
		t.suspect(key)
	}
	return t.containConfig(key)
}

// outranks reports whether facts take the place of those that are there: a document's
// do of a config's, for who takes a list for a config must not hide what is below it.
func outranks(f store.Facts, old *store.Facts) bool {
	return old == nil || image.IsDocument(f.MediaType) && !image.IsDocument(old.MediaType)
}

func (c PutFacts) apply(t *Tx) {
	key := digestKey(c.Digest)
	old, err := t.facts(key)
	if err != nil {
		t.fail(err)
		return
	}
	if !t.has(bucketBlobs, key) || !outranks(c.Facts, old) {
		return
	}
	if old != nil {
		t.live(-len(t.get(bucketFacts, key)))
		t.unlink(key, *old)
	}
	t.seal(bucketFacts, key, codec.AppendFacts(nil, c.Facts))
	t.live(len(t.get(bucketFacts, key)))
	for _, e := range c.Facts.Edges {
		t.add(bucketRefs, refKey(digestKey(e.Desc.Digest), refParent, key))
	}
	if c.Facts.Subject != "" {
		subject := digestKey(c.Facts.Subject)
		t.add(bucketReferrers, join(subject, key))
		if t.has(bucketBlobs, subject) {
			t.add(bucketRefs, refKey(key, refSubject, subject))
		}
	}
	if c.Facts.Parent != "" {
		t.add(bucketChildren, join(digestKey(c.Facts.Parent), key))
	}
	for _, root := range t.documentRoots(key) {
		t.contain(root, key)
	}
	t.redrawAbove(key)
}

// unlink removes what follows from a blob's facts.
func (t *Tx) unlink(key []byte, f store.Facts) {
	for _, e := range f.Edges {
		child := digestKey(e.Desc.Digest)
		t.drop(bucketRefs, refKey(child, refParent, key))
		t.suspect(child)
	}
	if f.Subject != "" {
		subject := digestKey(f.Subject)
		t.drop(bucketReferrers, join(subject, key))
		t.drop(bucketRefs, refKey(key, refSubject, subject))
	}
	if f.Parent != "" {
		t.drop(bucketChildren, join(digestKey(f.Parent), key))
	}
}

func (c DropBlob) apply(t *Tx) {
	key := digestKey(c.Digest)
	old, there, err := t.blob(key)
	if err != nil {
		t.fail(err)
		return
	}
	if !there {
		return
	}
	t.live(-t.blobCost(key, old))
	t.redrawAbove(key)
	f, err := t.facts(key)
	if err != nil {
		t.fail(err)
		return
	}
	if f != nil {
		t.unlink(key, *f)
	}
	for _, referrer := range t.rests(bucketReferrers, key, 0) {
		t.drop(bucketRefs, refKey(referrer, refSubject, key))
		t.suspect(referrer)
	}
	if !old.File() {
		t.drop(bucketBytes, numberKey(old.Number))
	}
	for _, b := range []bucket{bucketBlobs, bucketFacts, bucketVerified} {
		t.drop(b, key)
	}
	t.unsuspect(key)
	t.uncontainConfig(key)
	if f != nil { // it may be needed, and what was below it go
		t.uncontainBelow(t.documentRoots(key), *f)
	}
}

// blob returns what is known of a blob, if it is visible.
func (t *Tx) blob(key []byte) (Blob, bool, error) {
	value, err := t.sealed(bucketBlobs, key)
	if value == nil || err != nil {
		return Blob{}, false, err
	}
	b, err := decodeBlob(value)
	return b, err == nil, err
}

// facts returns the facts of a blob as they were noted, or nil.
func (t *Tx) facts(key []byte) (*store.Facts, error) {
	value, err := t.sealed(bucketFacts, key)
	if value == nil || err != nil {
		return nil, err
	}
	f, err := decodeFacts(value)
	if err != nil {
		return nil, err
	}
	return &f, nil
}

func decodeFacts(value []byte) (store.Facts, error) {
	d := codec.NewDecoder(value)
	f := d.Facts()
	if err := d.Done(); err != nil {
		return store.Facts{}, damagedAt(bucketFacts, err)
	}
	return f, nil
}

// decodeFactsOnly leaves out the edges.
func decodeFactsOnly(value []byte) (store.Facts, error) {
	d := codec.NewDecoder(value)
	f := d.FactsOnly()
	if d.Failed() {
		return store.Facts{}, damagedAt(bucketFacts, d.Done())
	}
	return f, nil
}

// addConfig adds to the facts of a manifest what those of its config say.
func addConfig(f *store.Facts, config store.Facts) {
	if !image.IsDocument(config.MediaType) {
		f.Platform, f.Created = config.Platform, config.Created
	}
}

// Blob returns what is known of a visible blob, or ErrNotFound.
func (t *Tx) Blob(d digest.Digest) (b Blob, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	key, err := t.find(d)
	if err != nil {
		return Blob{}, err
	}
	b, there, err := t.blob(key)
	if err == nil && !there {
		err = absent("blob %s", d)
	}
	return b, err
}

// Bytes returns a copy of the bytes of a blob in the database, which nobody has verified;
// nil if they are not there, or not as many.
func (t *Tx) Bytes(b Blob) (data []byte, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	if data = t.get(bucketBytes, numberKey(b.Number)); int64(len(data)) != b.Size {
		return nil, nil
	}
	return append([]byte{}, data...), nil
}

// Facts returns what is known of a document, or ErrNotFound.
func (t *Tx) Facts(d digest.Digest) (f store.Facts, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	key, err := t.find(d)
	if err != nil {
		return store.Facts{}, err
	}
	found, err := t.facts(key)
	if err != nil {
		return store.Facts{}, err
	}
	if found == nil {
		return store.Facts{}, absent("facts of %s", d)
	}
	if found.Config == "" {
		return *found, nil
	}
	if key, err = t.find(found.Config); err != nil {
		return store.Facts{}, damagedAt(bucketFacts, err)
	}
	config, err := t.facts(key)
	if config != nil {
		addConfig(found, *config)
	}
	return *found, err
}

// Verified returns the epoch in which a blob's file was verified last; 0: in none.
func (t *Tx) Verified(d digest.Digest) (epoch uint64, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	key := digestKey(d)
	return verifiedIn(key, t.get(bucketVerified, key))
}

// verifiedIn reads a record of bucket verified; nil: there is none.
func verifiedIn(key, value []byte) (epoch uint64, err error) {
	value, err = unseal(bucketVerified, key, value)
	if value == nil || err != nil {
		return 0, err
	}
	dec := codec.NewDecoder(value)
	epoch = dec.Uint()
	if err := dec.Done(); err != nil {
		return 0, damagedAt(bucketVerified, err)
	}
	return epoch, nil
}

// SetVerified notes the epoch in which a blob's file was verified last; 0: it is not to
// be believed.
func (t *Tx) SetVerified(d digest.Digest, epoch uint64) (err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	if epoch == 0 {
		t.drop(bucketVerified, digestKey(d))
	} else {
		t.seal(bucketVerified, digestKey(d), codec.AppendUint(nil, epoch))
	}
	return t.err
}

// Walk returns visible blobs in the order of their digests, from the one after the given
// one on; empty: from the first.
func (t *Tx) Walk(after digest.Digest, limit int) (digests []digest.Digest, blobs []Blob, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	c := t.in(bucketBlobs).Cursor()
	key, value := c.First()
	if after != "" {
		from := digestKey(after)
		if key, value = c.Seek(from); bytes.Equal(key, from) {
			key, value = c.Next()
		}
	}
	for ; key != nil && len(blobs) < limit; key, value = c.Next() {
		d, b, err := blobOf(key, value)
		if err != nil {
			return digests, blobs, err
		}
		digests, blobs = append(digests, d), append(blobs, b)
	}
	return digests, blobs, nil
}
