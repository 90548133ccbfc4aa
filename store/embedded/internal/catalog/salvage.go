package catalog

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/internal/rootfile"
)

// salvage reads what can still be read of a database, however damaged it is.
type salvage struct {
	ctx     context.Context //nolint:containedctx // it lives as long as one call
	p       *pages
	roots   map[string][]byte // the values of the buckets
	f       func(Change) error
	skipped func(error)
	failed  error // of f, or of the context
}

// Salvage calls f with changes which make what can still be read of a database file, and
// skipped with why something could not. An error of f ends it and is returned.
func Salvage(ctx context.Context, root *os.Root, name string, f func(Change) error, skipped func(error)) error {
	file, err := rootfile.Open(root, name)
	if err != nil {
		skipped(err)
		return nil
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		skipped(err)
		return nil
	}
	// Half of it is better than nothing, so until is in the past already.
	s := &salvage{ctx: ctx, p: &pages{file: file, until: time.Now()}, roots: map[string][]byte{}, f: f, skipped: skipped}
	if err := s.p.readMeta(); err != nil {
		skipped(err)
		return nil
	}
	s.p.last = min(s.p.last, uint64(info.Size()/s.p.pageSize)+1) //nolint:gosec // not negative
	s.p.seen = make([]bool, s.p.last)
	s.walk(pointer{page: s.p.root}, func(e element) {
		if e.bucket {
			s.roots[string(e.key)] = bytes.Clone(e.value)
		}
	})
	s.records(bucketLeases)
	s.records(bucketHolds)
	s.blobs()
	s.records(bucketNames)
	return s.failed
}

// Knows reports whether there is what a salvaged change would make, and nothing newer is
// to be learned from it.
func (t *Tx) Knows(c Change) (known bool, err error) {
	defer recovered(&err, debug.SetPanicOnFault(true))
	switch c := c.(type) {
	case PutBlob:
		return t.has(bucketBlobs, digestKey(c.Digest)), nil
	case Hold:
		return t.has(bucketHolds, join(numberKey(c.Number), numberKey(c.Part))), nil
	}
	return false, nil
}

// records salvages a bucket whose records stand for themselves.
func (s *salvage) records(b bucket) {
	s.each(b, func(key, value []byte) error {
		c, err := changeOf(b, key, value)
		if err == nil {
			s.do(c)
		}
		return err
	})
}

// blobs salvages blobs, their bytes and their facts. Those whose bytes are gone are as
// those whose file is.
func (s *salvage) blobs() {
	type inline struct {
		d digest.Digest
		b Blob
	}
	wanted := map[uint64]inline{}
	s.each(bucketBlobs, func(key, value []byte) error {
		d, b, err := blobOf(key, value)
		switch {
		case err != nil:
			return err
		case b.File():
			s.do(PutBlob{Digest: d, Created: b.Created, Size: b.Size})
		default:
			wanted[b.Number] = inline{d, b}
		}
		return nil
	})
	s.each(bucketBytes, func(key, value []byte) error {
		if len(key) != 8 {
			return damagedAt(bucketBytes, fmt.Errorf("a key has %d bytes", len(key)))
		}
		n := binary.BigEndian.Uint64(key)
		if w, ok := wanted[n]; ok && w.d.Algorithm().FromBytes(value) == w.d {
			s.do(PutBlob{Digest: w.d, Created: w.b.Created, Number: n, Size: w.b.Size, Bytes: append([]byte{}, value...)})
			delete(wanted, n)
		}
		return nil
	})
	for _, w := range wanted {
		s.do(PutBlob{Digest: w.d, Created: w.b.Created, Size: w.b.Size})
	}
	s.each(bucketFacts, func(key, value []byte) error {
		d, err := keyDigest(bucketFacts, key)
		if err == nil {
			value, err = unseal(bucketFacts, key, value)
		}
		if err != nil {
			return err
		}
		facts, err := decodeFacts(value)
		if err == nil {
			s.do(PutFacts{d, facts})
		}
		return err
	})
}

func (s *salvage) do(c Change) {
	if s.failed == nil {
		s.failed = s.f(c)
	}
}

// each calls f with the records of a bucket that are in pages which can be read.
func (s *salvage) each(b bucket, f func(key, value []byte) error) {
	show := func(e element) {
		if e.bucket {
			return
		}
		if err := f(e.key, e.value); err != nil {
			s.skipped(err)
		}
	}
	root, err := bucketRoot(s.roots[b.String()], show)
	switch {
	case err != nil:
		s.skipped(fmt.Errorf("bucket %s: %w", b, err))
	case root != 0:
		s.walk(pointer{page: root}, show)
	}
}

// walk shows what is in the leaves below a page, but for what is damaged, and for what is
// in buckets.
func (s *salvage) walk(at pointer, show func(element)) {
	for todo := []pointer{at}; len(todo) > 0 && s.failed == nil; {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if s.failed = s.ctx.Err(); s.failed != nil {
			return
		}
		below, err := s.p.read(at, show)
		if err != nil {
			s.skipped(err)
		}
		for _, next := range below {
			if !next.bucket {
				todo = append(todo, next)
			}
		}
	}
}
