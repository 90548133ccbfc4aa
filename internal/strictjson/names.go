package strictjson

import (
	"hash/maphash"
	"math"
)

// nameSet is the names that an object has been seen to have. It holds where they
// stand in the document instead of the names: a hostile object has half a million
// of them, and a map of strings would take 50 MB and the most of the time.
type nameSet struct {
	known   uint64 // the bits of known fields
	unknown int    // how many names the slots hold
	slots   []slot // open addressing; the length is a power of two, at most half are in use
}

// slot holds a name; one that is free has the offset 0, where no name can be.
type slot struct {
	hash   uint32
	offset uint32
}

// fewSlots is how large a table begins.
const fewSlots = 16

// reset empties the set for another object. Only a small table is kept: to clear a
// large one for each of a million small objects would take longer than all else.
func (s *nameSet) reset() {
	slots := s.slots
	if len(slots) > fewSlots {
		slots = nil
	}
	if s.unknown > 0 {
		clear(slots)
	}
	*s = nameSet{slots: slots}
}

// add adds the name that stands at offset and reports whether it is new. key is
// what is compared: two names are the same where same says so of the offset of
// one that is there, which it is asked only where the keys have one hash.
func (s *nameSet) add(seed maphash.Seed, key []byte, offset uint32, same func(offset uint32) bool) bool {
	if 2*s.unknown >= len(s.slots) {
		s.grow()
	}
	hash := uint32(maphash.Bytes(seed, key) & math.MaxUint32)
	mask := len(s.slots) - 1
	at := int(hash) & mask
	for ; s.slots[at].offset != 0; at = (at + 1) & mask {
		if s.slots[at].hash == hash && same(s.slots[at].offset) {
			return false
		}
	}
	s.slots[at] = slot{hash: hash, offset: offset}
	s.unknown++
	return true
}

// grow makes room for more names.
func (s *nameSet) grow() {
	old := s.slots
	s.slots = make([]slot, max(fewSlots, 4*len(old)))
	mask := len(s.slots) - 1
	for _, full := range old {
		if full.offset == 0 {
			continue
		}
		at := int(full.hash) & mask
		for s.slots[at].offset != 0 {
			at = (at + 1) & mask
		}
		s.slots[at] = full
	}
}
