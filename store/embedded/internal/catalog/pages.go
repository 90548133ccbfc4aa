package catalog

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"slices"
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
	window   []byte // pages that were read together
	from     uint64 // the first of them
}

const (
	// maxWindow is how many bytes are read together at most.
	maxWindow = 256 << 10
	// gap is how many pages that nobody asks for are read along with others.
	gap = 4
)

// pointer is a page that something points at.
type pointer struct {
	page     uint64
	depth    int    // below the root
	bucket   bool   // it is the root of a bucket
	from, to []byte // between which its keys are, the latter excluded; nil: no such bound
}

func unsound(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), errDamaged)
}

// checkPages looks at the pages of a database of that size, from the roots down, until a
// time; zero: at all of them, and whether there are any of which nobody knows. An error of
// stop ends it.
func checkPages(file io.ReaderAt, size int64, until time.Time, stop func() error) error {
	p := &pages{file: file, until: until}
	if err := p.readMeta(); err != nil {
		return err
	}
	if p.last > uint64(size/p.pageSize) || p.last < 4 { //nolint:gosec // not negative
		return unsound("it should have %d pages of %d bytes, the file has %d bytes", p.last, p.pageSize, size)
	}
	p.seen = make([]bool, p.last)
	p.seen[0], p.seen[1] = true, true
	if err := p.readFreelist(); err != nil {
		return err
	}
	for todo := []pointer{{page: p.root}}; len(todo) > 0; {
		var next []pointer
		slices.SortFunc(todo, func(a, b pointer) int { return cmp.Compare(a.page, b.page) })
		for i, at := range todo {
			if err := stop(); err != nil || p.late() {
				return err
			}
			if err := p.look(todo[i:]); err != nil {
				return err
			}
			below, err := p.read(at, nil)
			if err != nil {
				return err
			}
			next = append(next, below...)
		}
		todo = next
	}
	if i := slices.Index(p.seen, false); i >= 0 && p.free != noFreelist {
		return unsound("page %d is neither used nor free", i)
	}
	return nil
}

func (p *pages) late() bool { return !p.until.IsZero() && time.Now().After(p.until) }

// readMeta reads the newer one of the two meta pages that are whole.
func (p *pages) readMeta() error {
	head := make([]byte, 2*maxPageSize)
	n, err := p.file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	newest, found := uint64(0), 0
	for at := 0; at+pageHeader+metaBytes <= n; at = max(2*at, 1024) {
		m := head[at+pageHeader : at+pageHeader+metaBytes]
		pageSize := int64(binary.NativeEndian.Uint32(m[8:]))
		if !isMeta(m) || pageSize < 1024 || pageSize > maxPageSize || at > 0 && int64(at) != pageSize {
			continue
		}
		found++
		if txid := binary.NativeEndian.Uint64(m[48:]); found == 1 || txid > newest {
			newest = txid
			p.pageSize = pageSize
			p.root = binary.NativeEndian.Uint64(m[16:])
			p.free = binary.NativeEndian.Uint64(m[32:])
			p.last = binary.NativeEndian.Uint64(m[40:])
		}
	}
	switch {
	case found == 0:
		return unsound("it has no whole meta page")
	case found == 1 && p.until.IsZero(): // a crash may leave it like that, or it is damaged
		return unsound("one of its meta pages is not whole")
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

// look reads together pages that are going to be loaded, if they are near to each other.
// They are in order.
func (p *pages) look(todo []pointer) error {
	from, window := todo[0].page, uint64(len(p.window))/uint64(p.pageSize) //nolint:gosec // not negative
	if from >= p.from && from < p.from+window {
		return nil
	}
	end := from
	for _, at := range todo {
		if at.page < from || at.page >= p.last || at.page > end+gap || (at.page+1-from)*uint64(p.pageSize) > maxWindow { //nolint:gosec // not negative
			break
		}
		end = at.page + 1
	}
	p.window = p.window[:0]
	if end <= from+1 {
		return nil
	}
	if p.window == nil {
		p.window = make([]byte, 0, maxWindow)
	}
	p.from, p.window = from, p.window[:(end-from)*uint64(p.pageSize)] //nolint:gosec // not negative
	_, err := p.file.ReadAt(p.window, int64(from)*p.pageSize)         //nolint:gosec // below last
	return err
}

// readAt reads pages from one on, which is in the file.
func (p *pages) readAt(page []byte, id uint64) error {
	if id >= p.from {
		if at := (id - p.from) * uint64(p.pageSize); at < uint64(len(p.window)) && uint64(len(p.window))-at >= uint64(len(page)) { //nolint:gosec // not negative
			copy(page, p.window[at:])
			return nil
		}
	}
	_, err := p.file.ReadAt(page, int64(id)*p.pageSize) //nolint:gosec // below last
	return err
}

// load reads a page with what it runs over into. The bytes are valid until the next one.
func (p *pages) load(id uint64) (page []byte, flags uint16, count int, err error) {
	if id < 2 || id >= p.last {
		return nil, 0, 0, unsound("page %d is not in the file", id)
	}
	page = p.buf[:p.pageSize]
	if err := p.readAt(page, id); err != nil {
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
		if err := p.readAt(page, id); err != nil {
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

// read checks one page of a tree, shows the elements of a leaf, and returns the pages
// that it points at: with an error those before what is damaged.
func (p *pages) read(at pointer, show func(element)) ([]pointer, error) {
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
	below, err := elements(page, flags, count, at, show)
	if err != nil {
		err = fmt.Errorf("page %d: %w", at.page, err)
	}
	return below, err
}
