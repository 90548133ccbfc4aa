package catalog

import (
	"bytes"
	"runtime/debug"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/codec"
)

// An outline has in one place what buckets blobs and facts say of all that is below a
// target. In a large database each of them would be looked for in another page.

const (
	// maxOutline is how many bytes the digests and facts in an outline have at most: of what
	// is larger there is none.
	maxOutline = 64 << 10
	// redrawn is how many digests, about, a transaction looks up to draw outlines. The
	// others are stale, and drawn by Redraw.
	redrawn = 10_000
)

// redraw notes that what is below a root has changed.
func (t *Tx) redraw(root []byte) {
	if t.changed == nil {
		t.changed = map[string]bool{}
	}
	t.changed[string(root)] = true
}

// redrawAbove notes that a blob has changed, for all roots above it.
func (t *Tx) redrawAbove(key []byte) {
	above := func(d []byte) {
		t.each(bucketContained, d, func(k, _ []byte) bool {
			t.redraw(k[len(d):])
			return true
		})
	}
	above(key)
	t.each(bucketRefs, slices.Concat(key, []byte{refParent}), func(k, _ []byte) bool {
		above(k[len(key)+1:])
		return true
	})
}

// drawChanged draws the outlines of the roots below which something has changed.
func (t *Tx) drawChanged() {
	roots := make([]string, 0, len(t.changed))
	for root := range t.changed {
		roots = append(roots, root)
	}
	slices.Sort(roots)
	for left, i := redrawn, 0; i < len(roots); i++ {
		root := []byte(roots[i])
		if left > 0 || !t.any(bucketTargets, root) {
			left -= t.draw(root)
			continue
		}
		t.drop(bucketOutlines, root)
		t.add(bucketStale, root)
	}
	t.changed = nil
}

// draw draws the outline of a root as it is now, if it is still one, and returns how many
// digests it has looked up. Where these are damaged there is none: who reads them is told,
// and whatever else is written is not to fail.
func (t *Tx) draw(root []byte) int {
	value, n, err := t.guardedOutline(root)
	switch {
	case err != nil && !IsDamaged(err):
		t.fail(err)
	case err != nil || value == nil:
		t.drop(bucketOutlines, root)
	default:
		t.seal(bucketOutlines, root, value)
	}
	t.drop(bucketStale, root)
	return n
}

func (t *Tx) guardedOutline(root []byte) (value []byte, looked int, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	return t.outline(root)
}

// Redraw draws outlines that are stale until it has looked up about as many digests as the
// limit. It returns how many, and whether more are left.
func (t *Tx) Redraw(limit int) (looked int, more bool, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	for looked < limit {
		root := t.rests(bucketStale, nil, 1)
		if len(root) == 0 {
			return looked, false, t.err
		}
		looked += max(t.draw(root[0]), 1)
	}
	return looked, true, t.err
}

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
	key   [maxDigestKey]byte
}

// Outline returns the outline of a target, or ErrNotFound: that of what is no target, is
// large, or is stale.
func (t *Tx) Outline(target digest.Digest) (_ *Outline, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	key, err := t.find(target)
	if err != nil {
		return nil, err
	}
	value, err := t.sealed(bucketOutlines, key)
	if err == nil && value == nil {
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

// find finds what an outline says of a digest, if it says anything. Who asks in the order in
// which they were drawn finds it at once.
func (o *Outline) find(d digest.Digest) (found bool, err error) {
	key, ok := codec.EncodeDigest(o.key[:0], d)
	if !ok {
		return false, nil
	}
	if bytes.Equal(o.last.key, key) {
		return true, nil
	}
	for turned := false; ; {
		if o.rest.More() {
			if o.last.read(&o.rest); bytes.Equal(o.last.key, key) {
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
	rest, last := o.rest, o.last // most likely those after it are asked for next
	defer func() { o.rest, o.last = rest, last }()
	if found, err = o.find(f.Config); !found || len(o.last.facts) == 0 || err != nil {
		return f, err
	}
	config, err := decodeFactsOnly(o.last.facts)
	addConfig(&f, config)
	return f, err
}
