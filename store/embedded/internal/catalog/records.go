package catalog

import (
	"github.com/dhowhq/dhow/store"
)

// nameCost is about how many bytes of the journal a record takes beside key and value.
const nameCost = 24

func (c PutName) apply(t *Tx) {
	key, err := nameKey(c.Record.Key())
	if err != nil {
		t.fail(err)
		return
	}
	old, err := t.record(key)
	if err != nil {
		t.fail(err)
		return
	}
	target := digestKey(c.Record.Target.Digest)
	moved := old == nil || old.Target.Digest != c.Record.Target.Digest
	if old != nil {
		t.live(-nameCost - len(key) - len(t.get(bucketNames, key)))
	}
	t.seal(bucketNames, key, appendRecord(nil, c.Record))
	t.live(nameCost + len(key) + len(t.get(bucketNames, key)))
	if moved && !t.any(bucketTargets, target) {
		t.contain(target, target)
	}
	t.seal(bucketTargets, join(target, key), appendRecord(nil, c.Record))
	if !moved {
		return
	}
	t.redraw(target)
	if old != nil {
		t.unname(key, digestKey(old.Target.Digest))
	}
}

func (c DropName) apply(t *Tx) {
	key, err := nameKey(c.Key)
	if err != nil {
		t.fail(err)
		return
	}
	old, err := t.record(key)
	if err != nil {
		t.fail(err)
		return
	}
	if old == nil {
		return
	}
	t.live(-nameCost - len(key) - len(t.get(bucketNames, key)))
	t.drop(bucketNames, key)
	t.unname(key, digestKey(old.Target.Digest))
}

// unname notes that a record points at a target no more.
func (t *Tx) unname(key, target []byte) {
	t.drop(bucketTargets, join(target, key))
	t.redraw(target)
	t.suspect(target)
	if !t.any(bucketTargets, target) {
		t.uncontain(target)
	}
}

// record returns the record of a key, or nil.
func (t *Tx) record(key []byte) (*store.Record, error) {
	value := t.get(bucketNames, key)
	if value == nil {
		return nil, nil //nolint:nilnil // said above
	}
	r, err := decodeRecord(key, value)
	if err != nil {
		return nil, err
	}
	return &r, nil
}
