package catalog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"time"
)

// The library believes what its pages say: of pages that lie it may read without end, or
// write over others. So they are looked at before, by this reader of its file format.
const (
	pageHeader    = 16
	pageElement   = 16
	metaBytes     = 64 // behind the header of a meta page
	metaMagic     = 0xED0CDAED
	metaVersion   = 2
	flagBranch    = 0x01
	flagLeaf      = 0x02
	flagFreelist  = 0x10
	elementBucket = 0x01
	bucketHeader  = 16
	noFreelist    = math.MaxUint64
	maxPageSize   = 64 << 10
	maxDepth      = 32
)

// pages are the pages of a database file.
type pages struct {
	file     io.ReaderAt
	pageSize int64
	last     uint64 // the first page that there is not
	root     uint64
	free     uint64 // of the freelist
	seen     []bool // pages that something points at, or that are free
	until    time.Time
	buf      []byte
}

// pointer is a page that something points at, and how far below a root.
type pointer struct {
	page  uint64
	depth int
}

func unsound(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), errDamaged)
}

// checkPages looks at the pages of a database of that size, from the roots down, until a
// time; zero: at all of them.
func checkPages(file io.ReaderAt, size int64, until time.Time) error {
	p := &pages{file: file, until: until}
	if err := p.readMeta(size); err != nil {
		return err
	}
	if size < int64(p.last)*p.pageSize { //nolint:gosec // readMeta has checked it
		return unsound("the file has %d bytes of the %d that it should have", size, int64(p.last)*p.pageSize) //nolint:gosec // as above
	}
	p.seen = make([]bool, p.last)
	p.seen[0], p.seen[1] = true, true
	if err := p.readFreelist(); err != nil {
		return err
	}
	for todo := []pointer{{p.root, 0}}; len(todo) > 0 && !p.late(); {
		var next []pointer
		for _, at := range todo {
			below, err := p.read(at)
			if err != nil {
				return err
			}
			if next = append(next, below...); p.late() {
				return nil
			}
		}
		todo = next
	}
	return nil
}

func (p *pages) late() bool { return !p.until.IsZero() && time.Now().After(p.until) }

// readMeta reads the newer one of the two meta pages that are whole.
func (p *pages) readMeta(size int64) error {
	head := make([]byte, 2*maxPageSize)
	n, err := p.file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	newest, found := uint64(0), false
	for at := 0; at+pageHeader+metaBytes <= n; at = max(2*at, 1024) {
		m := head[at+pageHeader : at+pageHeader+metaBytes]
		pageSize := int64(binary.NativeEndian.Uint32(m[8:]))
		if !isMeta(m) || pageSize < 1024 || pageSize > maxPageSize || at > 0 && int64(at) != pageSize {
			continue
		}
		if txid := binary.NativeEndian.Uint64(m[48:]); !found || txid > newest {
			newest, found = txid, true
			p.pageSize = pageSize
			p.root = binary.NativeEndian.Uint64(m[16:])
			p.free = binary.NativeEndian.Uint64(m[32:])
			p.last = binary.NativeEndian.Uint64(m[40:])
		}
	}
	switch {
	case !found:
		return unsound("it has no whole meta page")
	case p.last > uint64(size/p.pageSize), p.last < 4: //nolint:gosec // not negative
		return unsound("it should have %d pages of %d bytes, the file has %d bytes", p.last, p.pageSize, size)
	}
	p.buf = make([]byte, p.pageSize)
	return nil
}

func isMeta(m []byte) bool {
	sum := fnv.New64a()
	_, _ = sum.Write(m[:metaBytes-8]) // never fails
	return binary.NativeEndian.Uint32(m) == metaMagic && binary.NativeEndian.Uint32(m[4:]) == metaVersion &&
		binary.NativeEndian.Uint64(m[metaBytes-8:]) == sum.Sum64()
}

// claim notes that something points at a page and those that it runs over into.
func (p *pages) claim(id uint64, overflow uint32) error {
	if id < 2 || id >= p.last || uint64(overflow) >= p.last-id {
		return unsound("page %d and %d more are not in the file", id, overflow)
	}
	for i := id; i <= id+uint64(overflow); i++ {
		if p.seen[i] {
			return unsound("page %d is used twice", i)
		}
		p.seen[i] = true
	}
	return nil
}

// load reads a page with what it runs over into. The bytes are valid until the next one.
func (p *pages) load(id uint64) (page []byte, flags uint16, count int, err error) {
	if id < 2 || id >= p.last {
		return nil, 0, 0, unsound("page %d is not in the file", id)
	}
	page = p.buf[:p.pageSize]
	if _, err := p.file.ReadAt(page, int64(id)*p.pageSize); err != nil { //nolint:gosec // below last
		return nil, 0, 0, err
	}
	overflow := binary.NativeEndian.Uint32(page[12:])
	if got := binary.NativeEndian.Uint64(page); got != id {
		return nil, 0, 0, unsound("page %d says that it is page %d", id, got)
	}
	if err := p.claim(id, overflow); err != nil {
		return nil, 0, 0, err
	}
	flags, count = binary.NativeEndian.Uint16(page[8:]), int(binary.NativeEndian.Uint16(page[10:]))
	if overflow > 0 {
		all := (int64(overflow) + 1) * p.pageSize
		if int64(cap(p.buf)) < all {
			p.buf = make([]byte, all)
		}
		page = p.buf[:all]
		if _, err := p.file.ReadAt(page, int64(id)*p.pageSize); err != nil { //nolint:gosec // below last
			return nil, 0, 0, err
		}
	}
	return page, flags, count, nil
}

// readFreelist notes which pages are free.
func (p *pages) readFreelist() error {
	if p.free == noFreelist {
		return nil
	}
	page, flags, count, err := p.load(p.free)
	if err != nil {
		return err
	}
	at := pageHeader
	if count == math.MaxUint16 {
		count, at = int(min(binary.NativeEndian.Uint64(page[at:]), p.last)), at+8 //nolint:gosec // not more than there are
	}
	if flags != flagFreelist || at+8*count > len(page) {
		return unsound("page %d is no list of %d free pages", p.free, count)
	}
	before := uint64(0)
	for i := range count {
		id := binary.NativeEndian.Uint64(page[at+8*i:])
		if id <= before {
			return unsound("the free pages are not in order")
		}
		before = id
		if err := p.claim(id, 0); err != nil {
			return fmt.Errorf("free pages: %w", err)
		}
	}
	return nil
}

// read checks one page of a tree and returns those that it points at.
func (p *pages) read(at pointer) ([]pointer, error) {
	if at.depth > maxDepth {
		return nil, unsound("page %d is %d pages below its root", at.page, at.depth)
	}
	page, flags, count, err := p.load(at.page)
	if err != nil {
		return nil, err
	}
	if flags != flagBranch && flags != flagLeaf || flags == flagBranch && count == 0 {
		return nil, unsound("page %d is of kind %#x with %d keys", at.page, flags, count)
	}
	below, err := elements(page, flags, count)
	if err != nil {
		return nil, fmt.Errorf("page %d: %w", at.page, err)
	}
	all := make([]pointer, len(below))
	for i, id := range below {
		all[i] = pointer{id, at.depth + 1}
	}
	return all, nil
}

// elements checks the elements of a page, and returns the pages that they point at: the
// children of a branch, and the roots of the buckets in a leaf.
func elements(page []byte, flags uint16, count int) (below []uint64, err error) {
	if pageHeader+count*pageElement > len(page) {
		return nil, unsound("it has no room for %d keys", count)
	}
	var before []byte
	for i := range count {
		at := pageHeader + i*pageElement
		e := page[at : at+pageElement]
		pos, keySize, valueSize := uint64(binary.NativeEndian.Uint32(e)), uint64(binary.NativeEndian.Uint32(e[4:])), uint64(0)
		if flags == flagLeaf {
			pos, keySize, valueSize = keySize, uint64(binary.NativeEndian.Uint32(e[8:])), uint64(binary.NativeEndian.Uint32(e[12:]))
		}
		begin := uint64(at) + pos
		if pos < pageElement || begin+keySize+valueSize > uint64(len(page)) {
			return nil, unsound("key %d is outside of it", i)
		}
		key := page[begin : begin+keySize]
		if i > 0 && bytes.Compare(before, key) >= 0 {
			return nil, unsound("key %d is not in order", i)
		}
		before = key
		switch {
		case flags == flagBranch:
			below = append(below, binary.NativeEndian.Uint64(e[8:]))
		case binary.NativeEndian.Uint32(e)&elementBucket != 0:
			root, err := bucketRoot(page[begin+keySize : begin+keySize+valueSize])
			if err != nil {
				return nil, fmt.Errorf("bucket %.64q: %w", key, err)
			}
			if root != 0 {
				below = append(below, root)
			}
		}
	}
	return below, nil
}

// bucketRoot returns the root page of a bucket; 0 if its keys are in the value itself.
func bucketRoot(value []byte) (uint64, error) {
	if len(value) < bucketHeader {
		return 0, unsound("it has %d bytes", len(value))
	}
	root := binary.NativeEndian.Uint64(value)
	if root != 0 {
		return root, nil
	}
	page := value[bucketHeader:]
	if len(page) < pageHeader || binary.NativeEndian.Uint16(page[8:]) != flagLeaf {
		return 0, unsound("its page is no leaf")
	}
	below, err := elements(page, flagLeaf, int(binary.NativeEndian.Uint16(page[10:])))
	if err == nil && len(below) > 0 {
		err = unsound("there are buckets in it")
	}
	return 0, err
}
