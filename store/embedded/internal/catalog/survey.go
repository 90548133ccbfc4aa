package catalog

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"runtime/debug"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store/embedded/internal/codec"
)

// maxSurvey is how many blobs a Survey holds at most: 24 MB.
const maxSurvey = 1 << 18

// Survey has the sizes of all visible blobs. A key seek in a large database waits for the
// memory of several pages, and a lookup in it for one.
type Survey struct {
	tx    *Tx
	slots []surveyed // half of them are free at least; as many as a power of two
	used  int
	seed  uint64 // who makes digests must not choose their slots
}

// surveyed is a blob whose digest is by sha256.
type surveyed struct {
	hash [32]byte
	size int64
	kind uint8 // 0: none
}

const (
	surveyedInline = 1 + iota
	surveyedFile
)

// sha256Key is the first byte and the length of the key of a digest by sha256.
const sha256Key, sha256KeyLen = 1, 1 + 32

// Survey reads what is known of all visible blobs; of more than some hundred thousand it
// is ErrResourceExhausted.
func (t *Tx) Survey() (_ *Survey, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	n := max(int(t.db.surveyed.Load()), 1<<11) + 1
	s := &Survey{tx: t, slots: make([]surveyed, 1<<bits.Len(uint(2*n))), seed: rand.Uint64() | 1} //nolint:gosec // positive, and no secret
	c := t.in(bucketBlobs).Cursor()
	for key, value := c.First(); key != nil; key, value = c.Next() {
		if key[0] != sha256Key || len(key) != sha256KeyLen {
			continue // looked up as always
		}
		value, err := unseal(bucketBlobs, key, value)
		if err != nil {
			return nil, err
		}
		b, err := decodeBlob(value)
		if err != nil {
			return nil, err
		}
		if s.used == maxSurvey {
			return nil, fmt.Errorf("there are more than %d blobs: %w", maxSurvey, errdefs.ErrResourceExhausted)
		}
		found := surveyed{hash: [32]byte(key[1:]), size: b.Size, kind: surveyedInline}
		if b.File() {
			found.kind = surveyedFile
		}
		s.add(&found)
	}
	t.db.surveyed.Store(int64(s.used))
	return s, nil
}

func (s *Survey) add(found *surveyed) {
	if 2*(s.used+1) > len(s.slots) {
		old := s.slots
		s.slots, s.used = make([]surveyed, 2*len(old)), 0
		for i := range old {
			if old[i].kind != 0 {
				s.add(&old[i])
			}
		}
	}
	*s.slot(&found.hash) = *found
	s.used++
}

// slot returns the slot of a hash, or that in which it is to be.
func (s *Survey) slot(hash *[32]byte) *surveyed {
	mask := len(s.slots) - 1
	at := int((binary.LittleEndian.Uint64(hash[:]) * s.seed) >> (64 - bits.Len(uint(mask)))) //nolint:gosec // below len
	for s.slots[at].kind != 0 && s.slots[at].hash != *hash {
		at = (at + 1) & mask
	}
	return &s.slots[at]
}

// Blob returns the size of a visible blob, and whether its bytes are in a file, or
// ErrNotFound.
func (s *Survey) Blob(d digest.Digest) (size int64, file bool, err error) {
	var room [maxDigestKey]byte
	key, ok := codec.EncodeDigest(room[:0], d)
	if !ok || key[0] != sha256Key {
		b, err := s.tx.Blob(d)
		return b.Size, b.File(), err
	}
	found := s.slot((*[32]byte)(key[1:]))
	if found.kind == 0 {
		return 0, false, errdefs.ErrNotFound
	}
	return found.size, found.kind == surveyedFile, nil
}
