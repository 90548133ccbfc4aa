package catalog

import (
	"bytes"
	"runtime/debug"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/codec"
)

// An outline has in one place what buckets blobs and facts say of all that is below a
// target. In a large database each of them would be looked for in another page.

// maxOutline is how many bytes the digests and facts in an outline have at most: of what is
// larger there is none.
const maxOutline = 64 << 10

// outline returns the outline of a root, nil if it has none, and how many digests it has
// looked up.
func (t *Tx) outline(root []byte) (value []byte, looked int, err error) {
	records := len(t.rests(bucketTargets, root, 2))
	if records == 0 {
		return nil, 0, nil
	}
	d := drawing{t: t, at: map[string]int{}}
	err = d.enter(root, asDocument)
	for ; err == nil && len(d.todo) > 0 && !d.large(); d.todo = d.todo[1:] {
		err = d.enterAll(d.todo[0])
	}
	if err != nil || d.large() {
		return nil, len(d.nodes), err
	}
	value = codec.AppendBool(nil, records == 1)
	for _, n := range d.nodes {
		value = n.append(value)
	}
	return value, len(d.nodes), nil
}

// drawing is an outline in the making.
type drawing struct {
	t     *Tx
	nodes []drawn        // in the order in which they were met
	at    map[string]int // in nodes
	todo  [][]image.Edge // of documents, in the order in which they turned out to be some
	size  int            // of keys and facts
}

// drawn is what an outline says of a digest.
type drawn struct {
	key     []byte
	as      byte // how it was met: 0, asConfig or asDocument
	visible bool
	blob    Blob
	facts   []byte // as they are stored; empty where there are none
}

// drawnAs returns how an edge leads to its digest: as a document, through which it goes on, as
// any config, of which the facts count, or to a blob. It goes on where bucket contained does.
func drawnAs(e image.Edge) byte {
	if e.Role == image.RoleConfig {
		return asConfig
	}
	return inGraph(e)
}

// large reports whether the outline is one that there is not going to be.
func (d *drawing) large() bool { return d.size > maxOutline }

// enterAll adds what edges lead to, unless the outline gets too large.
func (d *drawing) enterAll(edges []image.Edge) error {
	for _, e := range edges {
		if err := d.enter(digestKey(e.Desc.Digest), drawnAs(e)); err != nil || d.large() {
			return err
		}
	}
	return nil
}

// enter adds a digest, or what it lacked before it was met as more. Facts for which there is no
// room are not read: those of one document may be some megabytes.
func (d *drawing) enter(key []byte, as byte) (err error) {
	at, there := d.at[string(key)]
	if !there {
		n := drawn{key: key}
		if n.blob, n.visible, err = d.t.blob(key); err != nil {
			return err
		}
		at = len(d.nodes)
		d.at[string(key)] = at
		d.nodes = append(d.nodes, n)
		d.size += len(key)
	}
	n := &d.nodes[at]
	if as <= n.as || !n.visible {
		return nil
	}
	n.as = as
	value := d.t.get(bucketFacts, key)
	if len(n.facts) == 0 {
		d.size += max(len(value)-sumSize, 0)
	}
	if value == nil || d.large() {
		return nil
	}
	if value, err = unseal(bucketFacts, key, value); err != nil {
		return err
	}
	if len(n.facts) == 0 {
		n.facts = bytes.Clone(value)
	}
	if as != asDocument {
		return nil
	}
	facts, err := decodeFacts(value)
	d.todo = append(d.todo, facts.Edges)
	return err
}

func (n *drawn) append(b []byte) []byte {
	b = codec.AppendBool(append(b, n.key...), n.visible)
	if !n.visible {
		return b
	}
	b = codec.AppendUint(b, uint64(n.blob.Size)) //nolint:gosec // not negative
	return codec.AppendString(codec.AppendUint(b, n.blob.Number), n.facts)
}

// read reads what append wrote.
func (n *drawn) read(d *codec.Decoder) {
	*n = drawn{key: d.Key(), visible: d.Bool()}
	if n.visible {
		n.blob.Size, n.blob.Number, n.facts = d.Size(), d.Uint(), d.Bytes()
	}
}

// Outline is what is known of all that is below a target, as it was drawn. It is for one
// goroutine, and as long as its transaction.
type Outline struct {
	// Alone tells that only one record points at the target.
	Alone bool

	nodes codec.Decoder // of all
	rest  codec.Decoder // of what comes after last
	last  drawn         // what was found last
	asked digest.Digest // and of which digest
	key   [maxDigestKey]byte
}

// Outline returns the outline of a target, or ErrNotFound: that of what is no target, is
// large, or is stale, be it because something below it was touched.
func (t *Tx) Outline(target digest.Digest) (_ *Outline, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	key, err := t.find(target)
	if err != nil {
		return nil, err
	}
	value, err := t.sealed(bucketOutlines, key)
	if err == nil && (value == nil || t.hasTouched(value)) {
		err = absent("outline of %s", target)
	}
	if err != nil {
		return nil, err
	}
	o := &Outline{}
	d := codec.NewDecoder(value)
	o.Alone, o.nodes = d.Bool(), *d
	return o, nil
}

// hasTouched reports whether an outline, as it is stored, says something of a blob that was
// touched.
func (t *Tx) hasTouched(outline []byte) (has bool) {
	t.each(bucketTouched, nil, func(key, _ []byte) bool {
		d := codec.NewDecoder(outline)
		for d.Bool(); d.More() && !has; {
			var n drawn
			n.read(d)
			has = bytes.Equal(n.key, key)
		}
		return !has
	})
	return has
}

// find finds what an outline says of a digest, if it says anything. Who asks in the order in
// which they were drawn finds it at once.
func (o *Outline) find(d digest.Digest) (found bool, err error) {
	if d == o.asked && d != "" {
		return true, nil
	}
	key, ok := codec.EncodeDigest(o.key[:0], d)
	if !ok {
		return false, nil
	}
	o.asked = ""
	for turned := false; ; {
		if o.rest.More() {
			if o.last.read(&o.rest); bytes.Equal(o.last.key, key) {
				o.asked = d
				return true, nil
			}
			continue
		}
		if o.rest.Failed() {
			return false, damagedAt(bucketOutlines, o.rest.Done())
		}
		if turned {
			return false, nil
		}
		turned, o.rest = true, o.nodes
	}
}

// visible finds what an outline says of a blob, or ErrNotFound.
func (o *Outline) visible(d digest.Digest) error {
	found, err := o.find(d)
	if err == nil && !(found && o.last.visible) {
		err = absent("blob %s", d)
	}
	return err
}

// Blob is Tx.Blob for what is below the target, but for when it was made.
func (o *Outline) Blob(d digest.Digest) (b Blob, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	if err := o.visible(d); err != nil {
		return Blob{}, err
	}
	return o.last.blob, nil
}

// Facts is Tx.Facts for what is below the target.
func (o *Outline) Facts(d digest.Digest) (f store.Facts, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	return o.described(d, decodeFacts)
}

// Platform returns that of Facts.
func (o *Outline) Platform(d digest.Digest) (_ *ocispec.Platform, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	f, err := o.described(d, decodeFactsOnly)
	return f.Platform, err
}

func (o *Outline) described(d digest.Digest, decode func([]byte) (store.Facts, error)) (f store.Facts, err error) {
	found, err := o.find(d)
	if err == nil && (!found || len(o.last.facts) == 0) {
		err = absent("facts of %s", d)
	}
	if err == nil {
		f, err = decode(o.last.facts)
	}
	if err != nil || f.Config == "" {
		return f, err
	}
	rest, last, asked := o.rest, o.last, o.asked // most likely those after it are asked for next
	defer func() { o.rest, o.last, o.asked = rest, last, asked }()
	if found, err = o.find(f.Config); !found || len(o.last.facts) == 0 || err != nil {
		return f, err
	}
	config, err := decodeFactsOnly(o.last.facts)
	addConfig(&f, config)
	return f, err
}
