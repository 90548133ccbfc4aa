package catalog

import (
	"context"
	"encoding/binary"

	"github.com/dhowhq/dhow/store/embedded/internal/codec"
)

// compareOwn calls f with what is wrong by itself in the buckets of which the journal says
// nothing: no collection, and nobody who writes a blob, would get past it. The leases of the
// numbers that are live have not ended.
func (t *Tx) compareOwn(ctx context.Context, live map[uint64]bool, f func(Difference) error) error {
	for _, b := range []bucket{bucketSuspects, bucketVerified, bucketEnded} {
		var err error
		n := 0
		t.each(b, nil, func(key, value []byte) bool {
			if n++; n%patience == 0 && ctx.Err() != nil {
				err = ctx.Err()
				return false
			}
			if what := t.ownFault(b, key, value, live); what != "" {
				err = f(Difference{Bucket: b.String(), Record: describe(b, key), What: what})
			}
			return err == nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ownFault says what is wrong with a record; empty: nothing.
func (t *Tx) ownFault(b bucket, key, value []byte, live map[uint64]bool) string {
	if b == bucketEnded {
		if len(key) != 8 || live[binary.BigEndian.Uint64(key)] {
			return "superfluous"
		}
		return ""
	}
	if n := codec.DigestLen(key); n == 0 || n != len(key) || !t.has(bucketBlobs, key) {
		return "superfluous"
	}
	if b == bucketVerified {
		if _, err := verifiedIn(key, value); err != nil {
			return "different"
		}
	}
	return ""
}
